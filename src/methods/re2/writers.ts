/**
 * Who writes the responses of passes A and B: the model to be trained, or a model behind a server. Both are asked the same
 * prompts, but the latter always in sentences (wording standard or short), also where the student was
 * pre-trained on the compact wording.
 */

import type { Instance } from '../../data/types.js'
import { askResponses } from '../../phases/prediction/responses.js'
import type { PhaseContext } from '../../phases/run/context.js'
import { baseStage } from '../../phases/run/stage-models.js'
import { derivedSeed, streamId } from '../../phases/run/streams.js'
import type { ChatTeacher } from '../../teacher/openai/teacher.js'
import { re2 } from './index.js'
import { answerTokens } from './teacher-plan.js'

export interface PassRequest {
  readonly pass: 'A' | 'B'
  /** Of the instances, from 0. */
  readonly chunk: number
  /** Of each instance. */
  readonly samples: number
}

export interface PassResponse {
  readonly text: string
  readonly stream: string
  readonly tokens: number
}

export interface PassWriter {
  /** "self" or the model's name; stored with every trace. */
  readonly name: string
  /** One list per instance, at most as long as was asked. */
  write(instances: readonly Instance[], request: PassRequest): Promise<readonly (readonly PassResponse[])[]>
  close?(): Promise<void>
}

export class SelfWriter implements PassWriter {
  readonly name = 'self'

  constructor(private readonly context: PhaseContext) {}

  async write(
    instances: readonly Instance[],
    { pass, chunk, samples }: PassRequest,
  ): Promise<readonly (readonly PassResponse[])[]> {
    const { collect: settings, seed } = this.context.config
    const purpose = pass === 'A' ? 'collect_free' : 'collect_hinted'
    const asks = instances.map((instance, index) => ({
      instance,
      mode: modeOf(pass),
      streams: Array.from({ length: samples }, (_, sample) => streamId(purpose, chunk, index, sample)),
    }))
    const groups = await askResponses(this.context, baseStage(this.context), asks, {
      style: settings.answer,
      maxNew: settings.max_new,
      sampling: { temperature: settings.temperature, topP: settings.top_p },
      seed: derivedSeed(seed, 'collect'),
    })
    return groups.map(({ ask, responses }) =>
      responses.map(({ text, written }, index) => ({
        text,
        stream: String(ask.streams[index]),
        tokens: written,
      })),
    )
  }
}

export class ChatWriter implements PassWriter {
  readonly name: string

  constructor(
    private readonly context: PhaseContext,
    private readonly teacher: ChatTeacher,
  ) {
    this.name = teacher.name
  }

  async write(
    instances: readonly Instance[],
    { pass, samples }: PassRequest,
  ): Promise<readonly (readonly PassResponse[])[]> {
    const { config, dataset } = this.context
    const { temperature, top_p: topP } = config.collect
    const asking = re2({ maxWords: config.prompt.max_words })
    const prompts = instances.map((instance) => asking.prompt(dataset, instance, modeOf(pass)))
    return this.teacher.respond(prompts, samples, { maxTokens: answerTokens(config), temperature, topP })
  }

  close(): Promise<void> {
    return this.teacher.close()
  }
}

function modeOf(pass: PassRequest['pass']): 'reason' | 'hinted' {
  return pass === 'A' ? 'reason' : 'hinted'
}

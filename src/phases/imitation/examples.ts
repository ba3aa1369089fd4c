/**
 * Training examples of Pattern Imitation: prompt ids with weight 0, response ids with lambda_reason up to the
 * answer's tag and lambda_answer from there to the end of the turn. A share of answer-only examples under
 * the direct prompt keeps the score without reasoning meaningful. Over-long examples are dropped, never cut.
 */

import type { Instance } from '../../data/types.js'
import { ReasonrecError } from '../../engine/errors.js'
import type { SftSequence } from '../../engine/index.js'
import type { Trace } from '../../methods/method.js'
import { joined } from '../../prompts/tokenizer.js'
import { untrustedPassage } from '../../prompts/untrusted-text.js'
import { instanceOf, keptTraces } from '../collection/traces.js'
import type { PhaseContext } from '../run/context.js'
import type { EncodedResponse } from '../run/encoding.js'
import { askedInstances } from '../run/instances.js'
import { hashOrder } from '../run/streams.js'

export interface Example extends SftSequence {
  readonly id: string
  readonly ids: Int32Array
  /** Response tokens: what the loss is averaged over. */
  readonly responseTokens: number
}

export interface Examples {
  readonly examples: readonly Example[]
  readonly direct: number
  readonly overlong: number
}

/** What Imitation learns from, in which order: a function of traces.jsonl and the configuration. */
export function imitationPlan(context: PhaseContext): Examples & { readonly plan: BatchPlan } {
  const { config, method, run } = context
  const { seed, sft } = config
  if (sft.epochs === 0)
    return { examples: [], direct: 0, overlong: 0, plan: new BatchPlan([], seed, sft.batch, 0) }
  const traces = method.mixture(keptTraces(run), seed)
  const examples = imitationExamples(context, traces, askedInstances(context))
  return { ...examples, plan: new BatchPlan(examples.examples, seed, sft.batch, sft.epochs) }
}

/** `answered`: instances that may serve as answer-only examples. */
function imitationExamples(
  context: PhaseContext,
  traces: readonly Trace[],
  answered: readonly Instance[],
): Examples {
  const { sft, seed } = context.config
  const used = traces.slice(0, sft.instances ?? traces.length)
  const directCount = Math.min(
    answered.length,
    Math.round((used.length * sft.direct_mix) / (1 - sft.direct_mix)),
  )
  const direct = hashOrder(answered, ({ id }) => id, seed, 'direct-mix').slice(0, directCount)
  const all = [
    ...used.map((trace, index) => reasonExample(context, trace, index)),
    ...direct.map((instance) => directExample(context, instance)),
  ]
  const limit = Math.min(sft.max_length, context.base.config.maxPosition)
  const examples = all.filter(({ ids }) => ids.length <= limit)
  if (examples.length === 0) {
    throw new ReasonrecError('RR_DATA_TOO_LONG', 'every training example is longer than the limit', {
      expected: `at most ${limit} tokens`,
      got: `at least ${Math.min(...all.map(({ ids }) => ids.length))} tokens`,
      remedy: 'raise sft.max_length or shorten prompts (data.max_hist)',
    })
  }
  return { examples, direct: directCount, overlong: all.length - examples.length }
}

function reasonExample(context: PhaseContext, trace: Trace, index: number): Example {
  const response = context.encoding.response(
    untrustedPassage(trace.reasoning),
    context.method.taughtAnswer(context.dataset, trace),
  )
  return example(
    context,
    `${trace.instance}#${index}`,
    context.encoding.prompt(instanceOf(trace), 'reason'),
    response,
  )
}

/** `answerWeight`: of the answer's tokens, all there are. */
export function directExample(
  context: PhaseContext,
  instance: Instance,
  answerWeight = context.config.sft.lambda_answer,
): Example {
  const response = context.encoding.directRight(instance)
  const prompt = context.encoding.prompt(instance, 'direct')
  return example(context, `${instance.id}#direct`, prompt, response, answerWeight)
}

function example(
  context: PhaseContext,
  id: string,
  prompt: Int32Array,
  response: EncodedResponse,
  lambda_answer = context.config.sft.lambda_answer,
): Example {
  const { lambda_reason } = context.config.sft
  const ids = joined([prompt, response.ids])
  const weights = new Float32Array(ids.length)
  weights.fill(lambda_reason, prompt.length, prompt.length + response.answerBegin)
  weights.fill(lambda_answer, prompt.length + response.answerBegin)
  return { id, ids, weights, responseTokens: response.ids.length }
}

/** Batches as a pure function of (seed, epoch, place): the last one of an epoch may be smaller. */
export class BatchPlan {
  readonly perEpoch: number
  readonly steps: number
  private known: { readonly epoch: number; readonly order: readonly Example[] } | null = null

  constructor(
    private readonly examples: readonly Example[],
    private readonly seed: number,
    private readonly size: number,
    epochs: number,
  ) {
    this.perEpoch = Math.ceil(examples.length / size)
    this.steps = this.perEpoch * epochs
  }

  at(step: number): readonly Example[] {
    const epoch = Math.floor(step / this.perEpoch)
    const place = step % this.perEpoch
    if (this.known?.epoch !== epoch) {
      this.known = { epoch, order: hashOrder(this.examples, ({ id }) => id, this.seed, 'imitate', epoch) }
    }
    return this.known.order.slice(place * this.size, (place + 1) * this.size)
  }
}

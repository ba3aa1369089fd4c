/**
 * The model that is to be trained writes its own thoughts. In the standard wording each step has a prompt of its own
 * (prompts/step.txt) whose answer is one sentence. In the compact wording, where a model knows nothing but the question's
 * form, the prompt is the question under its mask (the answer in place of "?" at the last step) and the response
 * is continued behind the thoughts so far. The blind answer continues the student's own response in both.
 */

import { createTrie, type DecodeGroup, generate, type Sample, type ScriptStep } from '../../engine/index.js'
import type { PhaseContext } from '../../phases/run/context.js'
import { decodeOptions } from '../../phases/run/context.js'
import { baseStage } from '../../phases/run/stage-models.js'
import { derivedSeed } from '../../phases/run/streams.js'
import type { Prompt } from '../../prompts/prompt.js'
import { joined } from '../../prompts/tokenizer.js'
import { untrustedPassage } from '../../prompts/untrusted-text.js'
import { ratingClasses } from './question.js'
import { StepPrompts } from './step-prompt.js'
import type { BlindRequest, StepTeacher, ThoughtRequest, ThoughtsRequest, Written } from './step-teacher.js'
import type { Step } from './walk.js'
import type { Wording } from './wording.js'

const greedy = { temperature: 0 } as const

export class SelfTeacher implements StepTeacher {
  readonly name = 'self'
  readonly temperature: number
  private readonly steps: StepPrompts

  constructor(
    private readonly context: PhaseContext,
    private readonly words: Wording,
  ) {
    this.temperature = context.config.collect.temperature
    this.steps = new StepPrompts(words)
  }

  async writeThoughts(requests: readonly ThoughtRequest[]): Promise<Written[]> {
    const { compact } = this.words
    const groups = requests.map((request) =>
      compact ? this.compactGroup(request) : this.standardGroup(request),
    )
    const next = compact ? ['\n\n', this.words.form.thinkClose.trim()] : ['\n']
    // A compact line begins with its line break, so it ends where the next number does.
    const stops = compact ? [...next, ...lineStarts(requests)] : next
    const samples = await this.decode(groups, stops, this.context.config.r2rec.step_max_new)
    return samples.map((sample, at) => {
      const { walk, index } = requests[at] as ThoughtRequest
      const text = this.textOf(sample, stops)
      const line = compact ? text : `${this.words.stepHead(walk[index] as Step)}${text}`
      return { text: oneLine(line), tokens: sampledTokens(sample) }
    })
  }

  async writeAll(requests: readonly ThoughtsRequest[]): Promise<Written[]> {
    const { form } = this.words
    const groups = requests.map(({ question, answer, stream }) => ({
      prompt: this.encoded(
        this.words.question(this.context.dataset, question, 'reason', answer === null ? {} : { answer }),
      ),
      samples: [{ stream, given: this.context.encoding.frame.thinkOpen }],
    }))
    const stops = [form.thinkClose.trim()]
    const longest = Math.max(1, ...requests.map(({ walk }) => walk.length))
    const samples = await this.decode(groups, stops, longest * this.context.config.r2rec.step_max_new)
    return samples.map((sample) => ({ text: this.textOf(sample, stops), tokens: sampledTokens(sample) }))
  }

  /** Greedy, to the end of the thoughts; then the likeliest rating. */
  async answerBlind(requests: readonly BlindRequest[]): Promise<(number | null)[]> {
    const { context, words } = this
    const { encoding, tokenizer, config, dataset } = context
    const trie = createTrie(ratingClasses.map((rating) => encoding.choice(String(rating))))
    const groups = requests.map(({ question, thoughts, stream }) => ({
      prompt: this.encoded(words.question(dataset, question, 'reason')),
      samples: [{ stream, given: this.after(thoughts) }],
      trie,
    }))
    const script: ScriptStep[] = [
      {
        kind: 'free',
        maxNew: config.r2rec.step_max_new,
        sampling: greedy,
        stopTokens: tokenizer.eosIds,
        stopTokenEndsSample: false,
        stopStrings: [words.form.thinkClose.trim()],
      },
      { kind: 'given', ids: encoding.frame.answerOpen, idsIfUnclosed: encoding.frame.forcedAnswer },
      { kind: 'choose', sampling: greedy },
    ]
    const samples = await this.generated(groups, script)
    return samples.map(({ choice }) => ratingClasses[choice] ?? null)
  }

  /** The step's own prompt; the response begins with the step's head. */
  private standardGroup(request: ThoughtRequest): DecodeGroup {
    const prompt = this.steps.of(this.context.dataset, request)
    const given = this.pieces([this.steps.head(request).trimEnd()])
    return { prompt: this.encoded(prompt), samples: [{ stream: request.stream, given }] }
  }

  /** The question under its mask; the response goes on behind the thoughts so far. */
  private compactGroup({ question, thoughts, view, answer, stream }: ThoughtRequest): DecodeGroup {
    const shown = { ...view, ...(answer !== null && { answer }) }
    const prompt = this.encoded(this.words.question(this.context.dataset, question, 'reason', shown))
    return { prompt, samples: [{ stream, given: this.after(thoughts) }] }
  }

  /** "<think>" and the lines so far. */
  private after(thoughts: readonly string[]): Int32Array {
    const { thinkOpen } = this.context.encoding.frame
    if (thoughts.length === 0) return thinkOpen
    return joined([thinkOpen, this.context.tokenizer.encodeParts([untrustedPassage(thoughts.join('\n'))])])
  }

  private pieces(texts: readonly string[]): Int32Array {
    return this.context.tokenizer.encodeParts(texts)
  }

  private encoded(prompt: Prompt): Int32Array {
    return this.context.tokenizer.encodePrompt(prompt)
  }

  private decode(
    groups: readonly DecodeGroup[],
    stops: readonly string[],
    maxNew: number,
  ): Promise<Sample[]> {
    const { collect } = this.context.config
    const sampling = { temperature: collect.temperature, topP: collect.top_p }
    const stopTokens = this.context.tokenizer.eosIds
    return this.generated(groups, [{ kind: 'free', maxNew, sampling, stopTokens, stopStrings: stops }])
  }

  /** One sample of each group. */
  private async generated(groups: readonly DecodeGroup[], script: readonly ScriptStep[]): Promise<Sample[]> {
    const { context } = this
    const { model, adapters } = baseStage(context)
    const options = decodeOptions(context, derivedSeed(context.config.seed, 'collect'))
    const samples = await generate(model, adapters, groups, script, options, { signal: context.signal })
    return samples.map((own) => own[0] as Sample)
  }

  /** What the model wrote, up to the first stop. */
  private textOf({ tokens, kinds }: Sample, stops: readonly string[]): string {
    const own = tokens.filter((_, index) => kinds[index] === 0)
    const text = this.context.tokenizer.decode(own, { skipSpecial: true })
    const body = text.replace(/^\s+/, '')
    const ends = stops.map((stop) => body.indexOf(stop)).filter((at) => at >= 0)
    return body.slice(0, Math.min(body.length, ...ends)).trim()
  }
}

/** "\n2", "\n3", ...: every number that a next line of these walks may begin with. */
function lineStarts(requests: readonly ThoughtRequest[]): string[] {
  const numbers = requests.map(({ walk, index }) => walk[index + 1]?.number)
  return [...new Set(numbers.filter((number) => number !== undefined))].map((number) => `\n${number}`)
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim()
}

function sampledTokens({ kinds }: Sample): number {
  return kinds.reduce((count, kind) => count + (kind === 0 ? 1 : 0), 0)
}

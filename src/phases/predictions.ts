/**
 * How a model answers a test (spec section 6).
 *   think_score  greedy reasoning, closed by force where it does not end, then every candidate's title is
 *                scored behind it with everything before shared: a full ranking;
 *   score        the direct prompt, every candidate scored at once, no reasoning;
 *   free         greedy text, parsed: a hit or nothing;
 *   pointwise    a question for each candidate (Method.eachCandidate), reasoning and then its grades scored; candidates
 *                are ranked by the expected grade sum k p(k), not by the likeliest one, which would tie.
 */

import type { Instance } from '../data/types.js'
import { generate, type Sample } from '../engine/index.js'
import type { InferenceMode } from '../eval/result-row.js'
import { untrustedPassage } from '../prompts/untrusted-text.js'
import { decodeOptions, type ModelContext, type StageModel } from './context.js'
import { askResponses, scoreChoices } from './responses.js'
import { derivedSeed, streamId } from './streams.js'

export type ModelMode = Exclude<InferenceMode, 'none'>

/** One answer, as a line of predictions.jsonl (with the row's id and mode). */
export interface Prediction {
  readonly instance: string
  /** By candidate, in the instance's order: what they are ranked by; null in free mode. */
  readonly scores: readonly number[] | null
  /** Free mode: the item named, null where the text names none. */
  readonly item: number | null
  /** Free mode: the items named, best first, where the answer is a list. */
  readonly ranking?: readonly number[]
  /** Mean log-prob per token of the target's title; null in free mode. */
  readonly target_mean: number | null
  readonly reasoning: string
  /** The answer came in the asked form (think_score: the reasoning ended by itself). */
  readonly parsed: boolean
  /** Tokens the model wrote. */
  readonly tokens: number
}

const greedy = { temperature: 0 } as const

export async function predict(
  context: ModelContext,
  stage: StageModel,
  mode: ModelMode,
  instances: readonly Instance[],
): Promise<Prediction[]> {
  if (mode === 'score') return scoreOnly(context, stage, instances)
  if (mode === 'pointwise') return oneByOne(context, stage, instances)
  return mode === 'free' ? writeFreely(context, stage, instances) : thinkThenScore(context, stage, instances)
}

async function thinkThenScore(
  context: ModelContext,
  stage: StageModel,
  instances: readonly Instance[],
): Promise<Prediction[]> {
  const { encoding, method, tokenizer } = context
  const groups = instances.map((instance, index) => ({
    prompt: encoding.prompt(instance, 'reason'),
    samples: [{ stream: streamId('evaluate', 0, index, 0), given: encoding.frame.thinkOpen }],
    candidates: encoding.choices(instance),
  }))
  const script = [
    {
      kind: 'free',
      maxNew: maxNew(context),
      sampling: greedy,
      stopTokens: tokenizer.eosIds,
      stopTokenEndsSample: false,
      stopStrings: [method.form.thinkClose.trim()],
    },
    { kind: 'given', ids: encoding.frame.answerOpen, idsIfUnclosed: encoding.frame.forcedAnswer },
  ] as const
  const samples = await generate(
    stage.model,
    stage.adapters,
    groups,
    script,
    decodeOptions(context, seed(context)),
    { signal: context.signal },
  )
  return instances.map((instance, index) => {
    const sample = samples[index]![0]!
    return {
      ...scored(context, instance, { joint: sample.candidateJoint, mean: sample.candidateMean }),
      reasoning: thought(context, sample),
      parsed: sample.finishes[0] === 'stop_string',
      tokens: sample.kinds.reduce((count, kind) => count + (kind === 0 ? 1 : 0), 0),
    }
  })
}

/** Candidates scored behind a reasoning that was written before, perhaps for somebody else: a think_score without the thinking. */
export async function scoreBehind(
  context: ModelContext,
  stage: StageModel,
  instances: readonly Instance[],
  reasonings: readonly string[],
): Promise<Prediction[]> {
  const { encoding } = context
  const requests = instances.map((instance, index) => ({
    prompt: encoding.prompt(instance, 'reason'),
    prefixes: [encoding.beforeAnswer(untrustedPassage(reasonings[index] as string))],
    choices: encoding.choices(instance),
  }))
  const scores = await scoreChoices(context, stage.model, stage.adapters, requests)
  return instances.map((instance, index) => ({
    ...scored(context, instance, scores[index]![0]!),
    reasoning: reasonings[index] as string,
    parsed: true,
    tokens: 0,
  }))
}

async function scoreOnly(
  context: ModelContext,
  stage: StageModel,
  instances: readonly Instance[],
): Promise<Prediction[]> {
  const requests = instances.map((instance) => ({
    prompt: context.encoding.prompt(instance, 'direct'),
    prefixes: [context.encoding.frame.directOpen],
    choices: context.encoding.choices(instance),
  }))
  const scores = await scoreChoices(context, stage.model, stage.adapters, requests)
  return instances.map((instance, index) => ({
    ...scored(context, instance, scores[index]![0]!),
    reasoning: '',
    parsed: true,
    tokens: 0,
  }))
}

async function oneByOne(
  context: ModelContext,
  stage: StageModel,
  instances: readonly Instance[],
): Promise<Prediction[]> {
  const asked = instances.map((instance) => context.method.eachCandidate?.(context.dataset, instance) ?? [])
  const answers = await thinkThenScore(context, stage, asked.flat())
  let next = 0
  return instances.map((instance, index) => {
    const own = (asked[index] ?? []).map(() => answers[next++] as Prediction)
    const scores = own.map((answer) => expectedGrade(answer.scores ?? []))
    return {
      instance: instance.id,
      scores,
      item: null,
      target_mean: null,
      reasoning: own[scores.indexOf(Math.max(...scores))]?.reasoning ?? '',
      parsed: own.every(({ parsed }) => parsed),
      tokens: own.reduce((sum, { tokens }) => sum + tokens, 0),
    }
  })
}

/** sum k p(k) over grades 1, 2, ... from their log-probs, p renormalised over them. */
export function expectedGrade(logprobs: readonly number[]): number {
  const largest = Math.max(...logprobs)
  const weights = logprobs.map((logprob) => Math.exp(logprob - largest))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  return weights.reduce((sum, weight, index) => sum + (index + 1) * weight, 0) / total
}

async function writeFreely(
  context: ModelContext,
  stage: StageModel,
  instances: readonly Instance[],
): Promise<Prediction[]> {
  const asks = instances.map((instance, index) => ({
    instance,
    mode: 'reason' as const,
    streams: [streamId('evaluate', 0, index, 0)],
  }))
  const options = { style: 'free', maxNew: maxNew(context), sampling: greedy, seed: seed(context) } as const
  const groups = await askResponses(context, stage, asks, options)
  return groups.map(({ ask, responses }) => {
    const response = responses[0]!
    const {
      reasoning,
      item,
      ranking: named,
    } = context.method.parse(context.dataset, ask.instance, response.text)
    return {
      instance: ask.instance.id,
      scores: null,
      item,
      ...(named && { ranking: named }),
      target_mean: null,
      reasoning: reasoning ?? response.text,
      parsed: item !== null,
      tokens: response.written,
    }
  })
}

function scored(
  context: ModelContext,
  instance: Instance,
  scores: { readonly joint: Float32Array; readonly mean: Float32Array },
): Pick<Prediction, 'instance' | 'scores' | 'item' | 'target_mean'> {
  const ranked = context.config.eval.norm === 'mean' ? scores.mean : scores.joint
  return {
    instance: instance.id,
    scores: Array.from(ranked),
    item: null,
    target_mean: scores.mean[instance.candidates.indexOf(instance.target)] ?? null,
  }
}

/** The reasoning as text, without its tags. */
export function thought(context: ModelContext, sample: Pick<Sample, 'tokens' | 'kinds'>): string {
  const text = context.tokenizer.decode(
    sample.tokens.filter((_, index) => sample.kinds[index] === 0),
    { skipSpecial: true },
  )
  const close = text.indexOf(context.method.form.thinkClose.trim())
  return (close < 0 ? text : text.slice(0, close)).trim()
}

function maxNew(context: ModelContext): number {
  return context.config.eval.max_new ?? context.config.rl.max_new
}

function seed(context: ModelContext): bigint {
  return derivedSeed(context.config.seed, 'evaluate')
}

/** The candidates by falling score; equal scores keep the list's order, which is random. */
export function ranking(instance: Instance, prediction: Prediction): readonly number[] {
  if (!prediction.scores) return prediction.ranking ?? (prediction.item === null ? [] : [prediction.item])
  const scores = prediction.scores
  return instance.candidates
    .map((item, index) => ({ item, index, score: scores[index] ?? Number.NEGATIVE_INFINITY }))
    .sort((a, b) => b.score - a.score || a.index - b.index)
    .map(({ item }) => item)
}

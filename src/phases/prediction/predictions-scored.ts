/**
 * Answers that score every candidate:
 *   think_score  I2: greedy reasoning, closed by force where it does not end, then every candidate's title is scored behind
 *                it with everything before shared: a full ranking;
 *   score        I5: the direct prompt, every candidate scored at once, no reasoning;
 *   pointwise    a question for each candidate (Method.eachCandidate), reasoning and then its grades scored; candidates
 *                are ranked by the expected grade sum k p(k), not by the likeliest one, which would tie.
 */

import type { Instance } from '../../data/types.js'
import { generate } from '../../engine/index.js'
import { untrustedPassage } from '../../prompts/untrusted-text.js'
import { decodeOptions, type ModelContext, type StageModel } from '../run/context.js'
import { streamId } from '../run/streams.js'
import type { Prediction } from './predictions.js'
import { scoreChoices } from './responses.js'
import { greedy, seed, thinkingOf, thinkingScript } from './thinking.js'

export async function thinkThenScore(
  context: ModelContext,
  stage: StageModel,
  instances: readonly Instance[],
): Promise<Prediction[]> {
  const { encoding } = context
  const groups = instances.map((instance, index) => ({
    prompt: encoding.prompt(instance, 'reason'),
    samples: [{ stream: streamId('evaluate', 0, index, 0), given: encoding.frame.thinkOpen }],
    candidates: encoding.choices(instance),
  }))
  const samples = await generate(
    stage.model,
    stage.adapters,
    groups,
    thinkingScript(context, greedy),
    decodeOptions(context, seed(context)),
    { signal: context.signal },
  )
  return instances.map((instance, index) => {
    const sample = samples[index]![0]!
    return {
      ...scored(context, instance, { joint: sample.candidateJoint, mean: sample.candidateMean }),
      ...thinkingOf(context, sample),
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

export async function scoreOnly(
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

export async function oneByOne(
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

/** What the cases that train share: sequences, fixed rollouts, a trainer, and the step that is timed. */

import {
  aggregationWeights,
  type Model,
  type PolicyGroup,
  type PolicyLossConfig,
  philox,
  type SftSequence,
  Trainer,
} from '../../src/engine/index.js'
import type { Subject } from '../subject.js'

/** As torch's AdamW without decay and a clip at 1, on both sides. */
export const optimiser = {
  learningRate: 1e-4,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0,
  clipNorm: 1,
} as const

/** Rows of a micro-batch: a case's whole batch fits unless it is larger. */
const tokenBudget = 4096

/** What a peer is told: loss on tokens from `first` on. */
export interface Text {
  readonly ids: number[]
  readonly first: number
}

/** A quarter of each sequence carries loss, as an answer after a history does. */
export function textsOf(subject: Subject, lengths: readonly number[]): Text[] {
  return lengths.map((length, text) => ({
    ids: subject.ids(length, text),
    first: length - Math.max(1, length >> 2),
  }))
}

export const trainedOf = (texts: readonly Text[]): number =>
  texts.reduce((sum, { ids, first }) => sum + ids.length - first, 0)

export async function trainerOf(subject: Subject, model: Model): Promise<Trainer> {
  return Trainer.forAdapter(model, { adapter: await subject.adapter(model), tokenBudget })
}

/** Gradients of the mean NLL of the tokens with loss; returns it. */
export async function sftBackward(trainer: Trainer, texts: readonly Text[]): Promise<number> {
  const sequences = texts.map(
    ({ ids, first }): SftSequence => ({
      ids,
      weights: Float32Array.from(ids, (_, i) => (i >= first ? 1 : 0)),
    }),
  )
  const { loss } = await trainer.accumulateSft(sequences, trainedOf(texts))
  return loss
}

/** One group, sampled once and for all; a peer gets the same. */
export interface FixedRollouts {
  readonly prompt: number[]
  readonly completions: number[][]
  readonly advantages: number[]
  /** (completions, tokens): what the sampling policy said, near enough to the policy for ratios about 1. */
  readonly old: number[][]
}

export async function fixedRollouts(
  subject: Subject,
  trainer: Trainer,
  { prompt, group, length }: { readonly prompt: number; readonly group: number; readonly length: number },
): Promise<FixedRollouts> {
  const completions = Array.from({ length: group }, (_, row) => subject.ids(length, 20 + row))
  const rollouts = {
    prompt: subject.ids(prompt),
    completions,
    advantages: completions.map((_, row) => (row % 2 === 0 ? 1 : -0.8)),
    old: completions.map((ids) => ids.map(() => 0)),
  }
  const { logprobs } = await trainer.accumulatePolicy(
    [policyGroup(rollouts)],
    policyLoss(length),
    policyWeights(rollouts),
    { temperature: 1, reference: {}, gradients: false },
  )
  const noise = philox(3n, 0n, 0n, logprobs.length)
  const old = completions.map((ids, row) =>
    ids.map((_, i) => logprobs[row * length + i]! + 0.1 * (noise[row * length + i]! - 0.5)),
  )
  return { ...rollouts, old }
}

export function policyGroup({ prompt, completions, advantages, old }: FixedRollouts): PolicyGroup {
  return {
    prompt,
    completions: completions.map((ids, row) => ({
      ids,
      mask: new Uint8Array(ids.length).fill(1),
      oldLogprobs: Float32Array.from(old[row]!),
      advantage: advantages[row]!,
    })),
  }
}

/** TRL's loss_type grpo: clipped ratios, the mean over tokens of each completion, the mean of those; no KL. */
export function policyLoss(maxLength: number): PolicyLossConfig {
  return {
    loss: 'ppo_clip',
    clipLow: 0.2,
    clipHigh: 0.2,
    dualClip: 0,
    aggregation: 'seq_mean_token_mean',
    maxLength,
    kl: 'k3',
    beta: 0,
    entropyBonus: 0,
  }
}

export function policyWeights({ completions }: Pick<FixedRollouts, 'completions'>): Float64Array {
  const lengths = Int32Array.from(completions, ({ length }) => length)
  return aggregationWeights('seq_mean_token_mean', lengths, Math.max(...lengths))
}

/** Gradients of the policy loss; returns it. */
export async function policyBackward(trainer: Trainer, rollouts: FixedRollouts): Promise<number> {
  const { sums } = await trainer.accumulatePolicy(
    [policyGroup(rollouts)],
    policyLoss(rollouts.completions[0]!.length),
    policyWeights(rollouts),
    { temperature: 1, reference: {} },
  )
  return sums.loss
}

/** The line of metrics.jsonl that a step of Internalization leaves. Names are those of run-record.ts. */

import type { PolicyResult } from '../../engine/index.js'
import { isAnswered, isRight } from '../../rewards/reward.js'
import type { PhaseContext } from '../run/context.js'
import type { InternalizeMetrics } from '../run/run-record.js'
import type { UpdateResult } from '../training/training.js'
import { rewardDeviation, teaches } from './policy-batch.js'
import { isSteered, type PolicyWeights } from './policy-loss.js'
import { rolloutMetrics } from './rollout-metrics.js'
import type { RolloutGroup } from './rollouts.js'

/** Sums over the updates of a step. */
export interface StepSums {
  readonly loss: number
  readonly updates: number
  readonly tokens: number
  readonly rows: number
  readonly kl: number
  readonly entropy: number
  readonly ratio: number
  readonly clippedLow: number
  readonly clippedHigh: number
  readonly gradNorm: number
  readonly mismatch: number
  /** Tokens whose policy term was masked. */
  readonly leftOut: number
  /** Compared groups, and those whose winner leads. */
  readonly preferences: number
  readonly correct: number
  readonly skipped: boolean
}

export function emptySums(): StepSums {
  return {
    loss: 0,
    updates: 0,
    tokens: 0,
    rows: 0,
    kl: 0,
    entropy: 0,
    ratio: 0,
    clippedLow: 0,
    clippedHigh: 0,
    gradNorm: 0,
    mismatch: 0,
    leftOut: 0,
    preferences: 0,
    correct: 0,
    skipped: false,
  }
}

export function withSums(
  sums: StepSums,
  {
    result: { sums: own, sftLoss, rows },
    pairs,
    done,
  }: { readonly result: PolicyResult; readonly pairs: PolicyResult | null; readonly done: UpdateResult },
  first: boolean,
): StepSums {
  const help = pairs?.sums
  return {
    loss: sums.loss + own.loss + sftLoss + (help?.loss ?? 0),
    updates: sums.updates + 1,
    tokens: sums.tokens + own.tokens,
    rows: sums.rows + rows + (pairs?.rows ?? 0),
    kl: sums.kl + own.klSum,
    entropy: sums.entropy + own.entropySum,
    ratio: sums.ratio + own.ratioSum,
    clippedLow: sums.clippedLow + own.clippedLow,
    clippedHigh: sums.clippedHigh + own.clippedHigh,
    gradNorm: sums.gradNorm + done.gradNorm,
    mismatch: first ? own.maxAbsLogRatio : sums.mismatch,
    leftOut: sums.leftOut + own.leftOut,
    preferences: sums.preferences + own.preferences + (help?.preferences ?? 0),
    correct: sums.correct + own.correct + (help?.correct ?? 0),
    skipped: sums.skipped || done.skipped,
  }
}

export function internalizeMetrics(
  context: PhaseContext,
  groups: readonly RolloutGroup[],
  sums: StepSums,
  at: {
    readonly step: number
    readonly learningRate: number
    readonly seconds: number
    readonly weights: PolicyWeights
    /** Where it was taken from the reward, nats per token. */
    readonly divergence: number | null
  },
): InternalizeMetrics {
  const rollouts = groups.flatMap((group) => group.rollouts)
  const right = groups.flatMap(({ rollouts: own, instance }) =>
    own.map(({ parsed }) => isRight(parsed, instance)),
  )
  const rewards = groups.flatMap((group) => Array.from(group.rewards.rewards))
  const written = rollouts.reduce((sum, { tokens }) => sum + tokens, 0)
  const perToken = Math.max(1, sums.tokens)
  const perUpdate = Math.max(1, sums.updates)
  return {
    phase: 'internalize',
    step: at.step + 1,
    steps: context.config.rl.steps,
    loss: sums.loss / perUpdate,
    reward: mean(rewards),
    reward_std: mean(groups.map(rewardDeviation)),
    ...rolloutMetrics(groups),
    hr1: mean(right.map((one) => (one ? 1 : 0))),
    parse_rate: mean(
      rollouts.map(({ finish, parsed }) => (finish === 'complete' && isAnswered(parsed) ? 1 : 0)),
    ),
    kl: at.divergence ?? sums.kl / perToken,
    entropy: sums.entropy / perToken,
    ratio_mean: sums.tokens === 0 ? 1 : sums.ratio / perToken,
    clip_ratio_low: sums.clippedLow / perToken,
    clip_ratio_high: sums.clippedHigh / perToken,
    logprob_mismatch: sums.mismatch,
    frac_reward_zero_std: mean(groups.map((group) => (teaches(context, group) ? 0 : 1))),
    completion_length: written / Math.max(1, rollouts.length),
    grad_norm: sums.gradNorm / perUpdate,
    lr: at.learningRate,
    tokens: written + sums.rows,
    tokens_per_second: (written + sums.rows) / at.seconds,
    ...(sums.leftOut > 0 && { left_out: sums.leftOut / perToken }),
    ...(sums.preferences > 0 && { preference_accuracy: sums.correct / sums.preferences }),
    ...(isSteered(context.config.rl) && { kl_beta: at.weights.beta, entropy_weight: at.weights.entropy }),
    ...(sums.skipped && { skipped: true }),
  }
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length
}

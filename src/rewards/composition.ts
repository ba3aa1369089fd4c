/**
 * Terms to one reward per rollout (spec 5.4):
 *   r = gateFail                              if the gate (fmt unless told) is 0
 *   r = sum_k w_k (v_k - neutral_k)           else
 * additive     as above
 * conditional  a positive rationality term counts only where the recommendation is good: a hit, or ndcg_cand at least
 *              the median of the group; a negative one always counts
 * gated        the same with ground >= 0.5 as the condition
 * Missing values: a term without a value takes the mean of its group (over well-formed rows; nothing if all are
 * missing). A well-formed row without a core term is not valid: no reward, out of its group's mean and deviation.
 */

import { grounding } from './grounding.js'
import { type RewardSettings, rewardTerm } from './registry.js'
import type { RewardContext, RewardNeed, RewardTerm, RewardTermId, Rollout } from './reward.js'

export interface RewardComposition {
  readonly compose: 'additive' | 'conditional' | 'gated'
  readonly gateFail: number
  /** The term that is 1 for what may be rewarded at all; fmt unless told. */
  readonly gate?: 'fmt' | 'answered'
  /** Terms with weight 0 or without one are not computed. The gate needs none. */
  readonly weights: Readonly<Partial<Record<Exclude<RewardTermId, 'fmt' | 'answered'>, number>>>
}

/** A group's terms one by one, for estimators that do not start from their sum (spec 5.4). */
export interface RewardMatrix {
  /** (rollouts x terms), row after row; any finite number where a row is not valid. */
  readonly values: Float64Array
  /** (terms), the same for every group of a step. */
  readonly weights: Float64Array
  /** (terms) 1: rationality, which decoupled credit gives to the reasoning alone. */
  readonly rationality: Uint8Array
  /**
   * gdpo: every term is standardised within its group, the weighted sum over the batch.
   * decoupled: the answer's tokens are credited with the other terms only, the reasoning's with all.
   */
  readonly use: 'gdpo' | 'decoupled'
}

export interface GroupRewards {
  /** Per rollout; 0 where not valid. */
  readonly rewards: Float64Array
  readonly valid: Uint8Array
  /** Values before weighting, NaN where missing; the gate always. */
  readonly terms: Readonly<Partial<Record<RewardTermId, readonly number[]>>>
  /** Left out where the rewards above are all there is to credit. */
  readonly matrix?: RewardMatrix
  /** Values replaced by their group's mean. */
  readonly imputed: number
}

function median(values: readonly number[]): number {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort((a, b) => a - b)
  const middle = sorted.length >> 1
  if (sorted.length === 0) return Number.NaN
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

export class ComposedReward {
  readonly terms: readonly RewardTerm[]
  private readonly gate: RewardTerm
  private readonly composition: RewardComposition

  constructor(composition: RewardComposition, settings: RewardSettings) {
    const ids = Object.entries(composition.weights).filter(
      ([, weight]) => weight !== 0 && weight !== undefined,
    )
    this.terms = ids.map(([id]) => rewardTerm(id as RewardTermId, settings))
    this.gate = rewardTerm(composition.gate ?? 'fmt', settings)
    this.composition = composition
  }

  /** What the rollouts must carry; forward passes that nobody needs can be left out. */
  get needs(): ReadonlySet<RewardNeed> {
    return new Set(this.terms.map(({ needs }) => needs))
  }

  compute(group: readonly Rollout[], context: RewardContext): GroupRewards {
    const passed = this.gate.compute(group, context)
    const values = new Map<RewardTermId, readonly number[]>(
      this.terms.map((term) => [term.id, term.compute(group, context)]),
    )
    const open = this.openToRationality(group, context, passed, values)
    const rewards = new Float64Array(group.length)
    const valid = new Uint8Array(group.length).fill(1)
    let imputed = 0
    for (const term of this.terms) {
      const column = values.get(term.id) ?? []
      const known = column.filter((value, row) => passed[row] === 1 && !Number.isNaN(value))
      const mean =
        known.length === 0 ? term.neutral : known.reduce((sum, value) => sum + value, 0) / known.length
      const weight = this.composition.weights[term.id as Exclude<RewardTermId, 'fmt' | 'answered'>] ?? 0
      column.forEach((value, row) => {
        if (passed[row] !== 1) return
        if (Number.isNaN(value) && term.core) valid[row] = 0
        if (Number.isNaN(value)) imputed++
        const part = weight * ((Number.isNaN(value) ? mean : value) - term.neutral)
        rewards[row]! += term.rationality && part > 0 && !open[row] ? 0 : part
      })
    }
    passed.forEach((pass, row) => {
      if (pass !== 1) rewards[row] = this.composition.gateFail
      else if (valid[row] === 0) rewards[row] = 0
    })
    return { rewards, valid, terms: Object.fromEntries([[this.gate.id, passed], ...values]), imputed }
  }

  /** Per rollout: may a positive rationality term count? */
  private openToRationality(
    group: readonly Rollout[],
    context: RewardContext,
    passed: readonly number[],
    values: ReadonlyMap<RewardTermId, readonly number[]>,
  ): readonly boolean[] {
    if (this.composition.compose === 'additive') return group.map(() => true)
    if (this.composition.compose === 'gated') {
      const grounds = values.get('ground') ?? grounding().compute(group, context)
      return grounds.map((ground) => ground >= 0.5)
    }
    const ndcg = values.get('ndcg_cand')
    const middle = median((ndcg ?? []).filter((_, row) => passed[row] === 1))
    return group.map(
      ({ parsed }, row) => parsed.item === context.instance.target || (ndcg?.[row] ?? Number.NaN) >= middle,
    )
  }
}

/**
 * Terms to one reward per rollout (spec 5.4):
 *   r = gateFail                              if the gate (fmt unless told) is 0
 *   r = sum_k w_k (v_k - neutral_k)           else
 * additive     as above
 * conditional  a positive rationality term counts only where the recommendation is good: a hit, or ndcg_cand at least
 *              the median of the group; a negative one always counts
 * gated        the same with ground >= 0.5 as the condition
 * gdpo         as additive for what is shown; trained on the terms one by one (RewardMatrix)
 * Missing values: a term without a value takes the mean of its group (over well-formed rows; nothing if all are
 * missing). A well-formed row without a core term is not valid: no reward, out of its group's mean and deviation.
 */

import { grounding } from './grounding.js'
import type { Judge } from './judge.js'
import { type RewardSettings, rewardTerm } from './registry.js'
import type { RewardContext, RewardNeed, RewardTerm, Rollout } from './reward.js'

export interface RewardComposition {
  readonly compose: 'additive' | 'conditional' | 'gated' | 'gdpo'
  readonly gateFail: number
  /** The term that is 1 for what may be rewarded at all; fmt unless told. */
  readonly gate?: 'fmt' | 'answered'
  /** Terms with weight 0 or without one are not computed. The gate needs none. */
  readonly weights: Readonly<Partial<Record<string, number>>>
  /** decoupled: which tokens a term is credited to depends on the term; whole unless told. */
  readonly credit?: 'whole' | 'decoupled'
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
  /** Per rollout; 0 where a core term is missing. */
  readonly rewards: Float64Array
  readonly valid: Uint8Array
  /** Values before weighting, NaN where missing; the gate always. */
  readonly terms: Readonly<Record<string, readonly number[]>>
  /** Left out where the rewards above are all there is to credit. */
  readonly matrix?: RewardMatrix
  /** Values replaced by their group's mean. */
  readonly imputed: number
}

/** One term over a group, as it goes into the sum. */
interface Column {
  readonly term: RewardTerm
  readonly weight: number
  /** Per rollout: value - neutral, missing ones replaced, withheld ones 0; 0 where the gate failed. */
  readonly shifted: Float64Array
}

export class ComposedReward {
  readonly terms: readonly RewardTerm[]
  private readonly gate: RewardTerm

  /** `judge` is asked where a term needs one. */
  constructor(
    private readonly composition: RewardComposition,
    private readonly settings: RewardSettings,
    readonly judge: Judge | null = null,
  ) {
    const ids = Object.entries(composition.weights).filter(
      ([, weight]) => weight !== 0 && weight !== undefined,
    )
    this.terms = ids.map(([id]) => rewardTerm(id, settings))
    this.gate = rewardTerm(composition.gate ?? 'fmt', settings)
  }

  /** The same reward, asking this judge. */
  withJudge(judge: Judge): ComposedReward {
    return new ComposedReward(this.composition, this.settings, judge)
  }

  /** What the rollouts must carry; forward passes that nobody needs can be left out. */
  get needs(): ReadonlySet<RewardNeed> {
    return new Set(this.terms.flatMap(({ needs }) => needs))
  }

  compute(group: readonly Rollout[], context: RewardContext): GroupRewards {
    const passed = this.gate.compute(group, context)
    const values = new Map<string, readonly number[]>(
      this.terms.map((term) => [term.id, term.compute(group, context)]),
    )
    const open = this.openToRationality(group, context, passed, values)
    const rewards = new Float64Array(group.length)
    const valid = new Uint8Array(group.length).fill(1)
    let imputed = 0
    const columns = this.terms.map((term): Column => {
      const column = values.get(term.id) ?? []
      const weight = this.composition.weights[term.id] ?? 0
      const mean = knownMean(column, passed) ?? term.neutral
      const shifted = new Float64Array(group.length)
      column.forEach((value, row) => {
        if (passed[row] !== 1) return
        if (Number.isNaN(value) && term.core) valid[row] = 0
        if (Number.isNaN(value)) imputed++
        const own = (Number.isNaN(value) ? mean : value) - term.neutral
        const part = weight * own
        const withheld = term.rationality && part > 0 && !open[row]
        shifted[row] = withheld ? 0 : own
        rewards[row]! += withheld ? 0 : part
      })
      return { term, weight, shifted }
    })
    passed.forEach((pass, row) => {
      if (pass !== 1) rewards[row] = this.composition.gateFail
      else if (valid[row] === 0) rewards[row] = 0
    })
    const terms = Object.fromEntries([[this.gate.id, passed], ...values])
    return { rewards, valid, terms, imputed, ...this.matrix(columns, passed) }
  }

  /** Per rollout: may a positive rationality term count? */
  private openToRationality(
    group: readonly Rollout[],
    context: RewardContext,
    passed: readonly number[],
    values: ReadonlyMap<string, readonly number[]>,
  ): readonly boolean[] {
    const { compose } = this.composition
    if (compose === 'additive' || compose === 'gdpo') return group.map(() => true)
    if (compose === 'gated') {
      const grounds = values.get('ground') ?? grounding().compute(group, context)
      return grounds.map((ground) => ground >= 0.5)
    }
    const ndcg = values.get('ndcg_cand')
    const middle = median((ndcg ?? []).filter((_, row) => passed[row] === 1))
    return group.map(
      ({ parsed }, row) => parsed.item === context.instance.target || (ndcg?.[row] ?? Number.NaN) >= middle,
    )
  }

  /**
   * The gate is the first column, 0 or -1 with weight -gateFail. Elsewhere a row that failed it has the worst value of
   * the rows that passed, so it is below them in whatever is standardised; decoupled, it earns gateFail and nothing
   * else for the recommendation, as in the sum.
   */
  private matrix(columns: readonly Column[], passed: readonly number[]): { readonly matrix?: RewardMatrix } {
    const { compose, credit, gateFail } = this.composition
    if (compose !== 'gdpo' && credit !== 'decoupled') return {}
    const use = compose === 'gdpo' ? 'gdpo' : 'decoupled'
    const width = columns.length + 1
    const values = new Float64Array(passed.length * width)
    const ofReasoning = columns.map(({ term }) => term.credit === 'reasoning')
    const floors = columns.map((column, index) =>
      use === 'gdpo' || ofReasoning[index] ? worst(column, passed) : 0,
    )
    passed.forEach((pass, row) => {
      values[row * width] = pass === 1 ? 0 : -1
      columns.forEach(({ shifted }, index) => {
        values[row * width + index + 1] = pass === 1 ? shifted[row]! : floors[index]!
      })
    })
    return {
      matrix: {
        values,
        weights: Float64Array.from([Math.max(0, -gateFail), ...columns.map(({ weight }) => weight)]),
        rationality: Uint8Array.from([0, ...ofReasoning.map((own) => (own ? 1 : 0))]),
        use,
      },
    }
  }
}

/** Of the rows that passed the gate and have a value. */
function knownMean(column: readonly number[], passed: readonly number[]): number | null {
  const known = column.filter((value, row) => passed[row] === 1 && !Number.isNaN(value))
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length
}

/** The value that earns least among the rows that passed the gate; 0 where none did. */
function worst({ shifted, weight }: Column, passed: readonly number[]): number {
  const own = Array.from(shifted).filter((_, row) => passed[row] === 1)
  if (own.length === 0) return 0
  return weight < 0 ? Math.max(...own) : Math.min(...own)
}

function median(values: readonly number[]): number {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort((a, b) => a - b)
  const middle = sorted.length >> 1
  if (sorted.length === 0) return Number.NaN
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

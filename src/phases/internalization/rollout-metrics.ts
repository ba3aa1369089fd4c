/**
 * What the rollouts of a step earned, told apart by hit and miss: a term that pays misses as well as hits, or that moves while
 * the hits do not, is one the policy has learned to please.
 */

import { isRight } from '../../rewards/reward.js'
import type { InternalizeMetrics } from '../run/run-record.js'
import type { RolloutGroup } from './rollouts.js'

type RolloutMetrics = Pick<
  InternalizeMetrics,
  | 'reward_terms'
  | 'reward_hit'
  | 'reward_miss'
  | 'reward_terms_hit'
  | 'reward_terms_miss'
  | 'truncated'
  | 'reward_imputed'
  | 'reward_invalid'
>

export function rolloutMetrics(groups: readonly RolloutGroup[]): RolloutMetrics {
  const rows = groups.flatMap(({ instance, rollouts, rewards }) =>
    rollouts.map(({ parsed, finish }, row) => ({
      hit: isRight(parsed, instance),
      truncated: finish === 'length',
      reward: rewards.rewards[row] ?? 0,
      valid: rewards.valid[row] === 1,
      terms: Object.entries(rewards.terms).map(([id, column]) => [id, column[row] ?? Number.NaN] as const),
    })),
  )
  const hits = rows.filter(({ hit }) => hit)
  const misses = rows.filter(({ hit }) => !hit)
  const rewardOf = (some: typeof rows): number => mean(some.map(({ reward }) => reward))
  const imputed = groups.reduce((sum, { rewards }) => sum + rewards.imputed, 0)
  const invalid = rows.filter(({ valid }) => !valid).length
  return {
    reward_terms: termMeans(rows),
    ...(hits.length > 0 && { reward_hit: rewardOf(hits), reward_terms_hit: termMeans(hits) }),
    ...(misses.length > 0 && { reward_miss: rewardOf(misses), reward_terms_miss: termMeans(misses) }),
    truncated: mean(rows.map(({ truncated }) => (truncated ? 1 : 0))),
    ...(imputed > 0 && { reward_imputed: imputed }),
    ...(invalid > 0 && { reward_invalid: invalid }),
  }
}

/** Mean of each term over the rows that have it, before weighting. */
function termMeans(
  rows: readonly { readonly terms: readonly (readonly [string, number])[] }[],
): Record<string, number> {
  const values = new Map<string, number[]>()
  for (const { terms } of rows)
    for (const [id, value] of terms)
      if (!Number.isNaN(value)) values.set(id, [...(values.get(id) ?? []), value])
  return Object.fromEntries([...values].map(([id, column]) => [id, mean(column)]))
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length
}

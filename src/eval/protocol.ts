/**
 * From scores or ranks to a row of the result table. Every method and baseline goes through here, so all
 * rows share candidates, tie rule and interval. A row of scores belongs to the instance at its place and
 * to instance.candidates in their order; it is null for an invalid answer. Ranks serve free answers:
 * 1 for a hit, infinity otherwise.
 */

import type { Instance } from '../data/types.js'
import { ReasonrecError } from '../engine/errors.js'
import { metricsOfRank, metricsOfStanding, standing, type TieRule } from './metrics.js'
import {
  basicMetrics,
  type InferenceMode,
  type RankingMetric,
  type ResultRow,
  type RowId,
} from './result-row.js'
import { interval, meansOf, type Outcome } from './significance.js'

export type Scores = readonly (readonly (number | null)[] | null)[]
export type Ranking = { readonly scores: Scores } | { readonly ranks: readonly number[] }

export interface RowOptions {
  readonly id: RowId
  readonly mode: InferenceMode
  /** Share of answers that could be read; 1 for rows without text. */
  readonly parseRate?: number
  /** `expected` unless told; see metrics.ts. */
  readonly ties?: TieRule
  /** The basic ones unless told. */
  readonly metrics?: readonly RankingMetric[]
  /** Of the bootstrap. */
  readonly seed?: number
}

/** Each test's own metrics, kept for paired comparisons. */
export function rankingOutcomes(
  instances: readonly Instance[],
  ranking: Ranking,
  options: Pick<RowOptions, 'ties' | 'metrics'> = {},
): Outcome[] {
  const { ties = 'expected', metrics = basicMetrics } = options
  const rows = 'scores' in ranking ? ranking.scores.length : ranking.ranks.length
  if (rows !== instances.length) throw lengthMismatch('rows of the ranking', instances.length, rows)
  return instances.map((instance, index) => {
    const own = { instance: instance.id, user: instance.user }
    if ('ranks' in ranking) return { ...own, ...metricsOfRank(ranking.ranks[index] as number, metrics) }
    const scores = ranking.scores[index] ?? null
    if (scores && scores.length !== instance.candidates.length)
      throw lengthMismatch(`scores of ${instance.id}`, instance.candidates.length, scores.length)
    const target = instance.candidates.indexOf(instance.target)
    return { ...own, ...metricsOfStanding(standing(scores, target), ties, metrics) }
  })
}

export function resultRow(outcomes: readonly Outcome[], options: RowOptions): ResultRow {
  const { id, mode, parseRate = 1, seed = 0 } = options
  const { lo95, hi95 } = interval(outcomes, seed)
  return { id, mode, n: outcomes.length, ...meansOf(outcomes), lo95, hi95, parse_rate: parseRate }
}

export function evaluateRanking(
  instances: readonly Instance[],
  ranking: Ranking,
  options: RowOptions,
): ResultRow {
  return resultRow(rankingOutcomes(instances, ranking, options), options)
}

function lengthMismatch(what: string, expected: number, got: number): ReasonrecError {
  return new ReasonrecError('RR_SHAPE_MISMATCH', `${what} do not match`, {
    expected: String(expected),
    got: String(got),
    remedy: 'give one score for each candidate of each instance, in the order of the candidates',
  })
}

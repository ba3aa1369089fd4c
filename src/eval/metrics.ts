/**
 * Accuracy of one ranked target (spec section 7.4), one place for every formula.
 *
 *   HR@K = [rank <= K]    NDCG@K = [rank <= K] / log2(rank + 1)    MRR = 1 / rank
 *   K = 1, 3, 5, 10 on lists, 1, 5, 10, 20, 50 on a whole catalogue; recall@K of one target is HR@K
 *
 * An invalid answer has rank infinity and scores 0 everywhere. Two rules for equal scores, neither
 * optimistic: `mean_rank` puts the target in the middle of its ties (a fraction is possible), `expected`
 * takes each metric's mean over random orders of the ties. They agree wherever nothing ties. Under
 * `expected` a constant score gets exactly the value of guessing, which is what baselines that count need.
 */

import { basicMetrics, type RankingMeans, type RankingMetric, rankingMetrics } from './result-row.js'

export type TieRule = 'mean_rank' | 'expected'

/** Place of the target among the scores: how many beat it and how many others equal it. */
export interface Standing {
  readonly above: number
  readonly equal: number
}

/** Null where the answer is invalid (no scores, or a target whose score is null or NaN). */
export function standing(scores: readonly (number | null)[] | null, target: number): Standing | null {
  const own = scores?.[target]
  if (!scores || own === null || own === undefined || Number.isNaN(own)) return null
  let above = 0
  let equal = 0
  scores.forEach((score, position) => {
    if (position === target || score === null) return
    if (score === own) equal++
    // A NaN beside a sound target counts against it: never optimistic.
    else if (!(score < own)) above++
  })
  return { above, equal }
}

export function meanRank({ above, equal }: Standing): number {
  return 1 + above + equal / 2
}

/** `targetPosition` counts from 0; infinity for an invalid answer. */
export function rankOf(scores: readonly (number | null)[] | null, targetPosition: number): number {
  const place = standing(scores, targetPosition)
  return place ? meanRank(place) : Number.POSITIVE_INFINITY
}

export function hitRate(rank: number, k: number): number {
  return rank <= k ? 1 : 0
}

export function ndcg(rank: number, k: number): number {
  return rank <= k ? 1 / Math.log2(rank + 1) : 0
}

/** Share of several right items among the first K; with one right item it is HR@K. `ranks`: of the right items. */
export function recall(ranks: readonly number[], k: number): number {
  return ranks.reduce((sum, rank) => sum + hitRate(rank, k), 0) / ranks.length
}

export function reciprocalRank(rank: number): number {
  return Number.isFinite(rank) ? 1 / rank : 0
}

/** `hr10` is HR@10. */
function formulaOf(metric: RankingMetric): (rank: number) => number {
  if (metric === 'mrr') return reciprocalRank
  const k = Number(/\d+$/.exec(metric)?.[0])
  return metric.startsWith('hr') ? (rank) => hitRate(rank, k) : (rank) => ndcg(rank, k)
}

const formulas = Object.fromEntries(rankingMetrics.map((metric) => [metric, formulaOf(metric)])) as Readonly<
  Record<RankingMetric, (rank: number) => number>
>

export function metricsOfRank(rank: number, metrics: readonly RankingMetric[] = basicMetrics): RankingMeans {
  return each(metrics, (metric) => formulas[metric](rank))
}

/** `metrics` holds the basic ones. */
export function each(
  metrics: readonly RankingMetric[],
  value: (metric: RankingMetric) => number,
): RankingMeans {
  return Object.fromEntries(metrics.map((metric) => [metric, value(metric)])) as unknown as RankingMeans
}

/** Mean of a metric over the ranks that a random order of the ties can give. */
export function expectedOverTies({ above, equal }: Standing, metric: (rank: number) => number): number {
  let sum = 0
  for (let rank = above + 1; rank <= above + equal + 1; rank++) sum += metric(rank)
  return sum / (equal + 1)
}

export function metricsOfStanding(
  place: Standing | null,
  ties: TieRule,
  metrics: readonly RankingMetric[] = basicMetrics,
): RankingMeans {
  if (!place) return metricsOfRank(Number.POSITIVE_INFINITY, metrics)
  if (ties === 'mean_rank' || place.equal === 0) return metricsOfRank(meanRank(place), metrics)
  return each(metrics, (metric) => expectedOverTies(place, formulas[metric]))
}

/** What guessing scores on lists of `candidates` (closed form of spec 7.4). */
export function guessing(candidates: number, metrics?: readonly RankingMetric[]): RankingMeans {
  return metricsOfStanding({ above: 0, equal: candidates - 1 }, 'expected', metrics)
}

/** How often free answers can be used at all (spec 7.4); shares of all tests. */
export interface AnswerRates {
  /** The answer came in the asked form. */
  readonly parse_rate: number
  /** It names exactly one candidate: ValidRatio of published tables. */
  readonly valid_ratio: number
  /** It names an item of the catalogue, candidate or not. */
  readonly in_catalogue: number
}

export interface FreeAnswer {
  readonly parsed: boolean
  /** Candidates whose title the answer holds. */
  readonly candidatesNamed: number
  readonly inCatalogue: boolean
}

export function answerRates(answers: readonly FreeAnswer[]): AnswerRates {
  const share = (holds: (answer: FreeAnswer) => boolean): number =>
    answers.filter(holds).length / answers.length
  return {
    parse_rate: share(({ parsed }) => parsed),
    valid_ratio: share(({ candidatesNamed }) => candidatesNamed === 1),
    in_catalogue: share(({ inCatalogue }) => inCatalogue),
  }
}

/** Share of the catalogue that stands in any list: |union of the lists| / items. */
export function coverage(lists: readonly (readonly number[])[], items: number): number {
  return new Set(lists.flat()).size / items
}

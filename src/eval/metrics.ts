/**
 * Accuracy of one ranked target (spec section 7.4), one place for every formula.
 *
 *   HR@K = [rank <= K]    NDCG@K = [rank <= K] / log2(rank + 1)    MRR = 1 / rank
 *
 * An invalid answer has rank infinity and scores 0 everywhere. Two rules for equal scores, neither
 * optimistic: `mean_rank` puts the target in the middle of its ties (a fraction is possible), `expected`
 * takes each metric's mean over random orders of the ties. They agree wherever nothing ties. Under
 * `expected` a constant score gets exactly the value of guessing, which is what baselines that count need.
 */

import type { RankingMeans } from './result-row.js'

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

export function reciprocalRank(rank: number): number {
  return Number.isFinite(rank) ? 1 / rank : 0
}

export function metricsOfRank(rank: number): RankingMeans {
  return { hr1: hitRate(rank, 1), hr5: hitRate(rank, 5), ndcg5: ndcg(rank, 5), mrr: reciprocalRank(rank) }
}

/** Mean of a metric over the ranks that a random order of the ties can give. */
export function expectedOverTies({ above, equal }: Standing, metric: (rank: number) => number): number {
  let sum = 0
  for (let rank = above + 1; rank <= above + equal + 1; rank++) sum += metric(rank)
  return sum / (equal + 1)
}

export function metricsOfStanding(place: Standing | null, ties: TieRule): RankingMeans {
  if (!place) return metricsOfRank(Number.POSITIVE_INFINITY)
  if (ties === 'mean_rank' || place.equal === 0) return metricsOfRank(meanRank(place))
  const expected = (metric: (rank: number) => number): number => expectedOverTies(place, metric)
  return {
    hr1: expected((rank) => hitRate(rank, 1)),
    hr5: expected((rank) => hitRate(rank, 5)),
    ndcg5: expected((rank) => ndcg(rank, 5)),
    mrr: expected(reciprocalRank),
  }
}

/** What guessing scores on lists of `candidates` (closed form of spec 7.4). */
export function guessing(candidates: number): RankingMeans {
  return metricsOfStanding({ above: 0, equal: candidates - 1 }, 'expected')
}

/**
 * What Imitation learns from (spec 6): rating traces and ranking traces in the share that the configuration asks for.
 * The kind of which there is too much gives way, chosen by hash; where one kind is missing the other is taken whole.
 */

import { chosen } from '../../data/random.js'
import type { Trace } from '../method.js'
import { asksRating } from './question.js'

export function ratingAndRanking(traces: readonly Trace[], rankingShare: number, seed: number): Trace[] {
  const ratings = traces.filter(asksRating).length
  const rankings = traces.length - ratings
  if (ratings === 0 || rankings === 0) return [...traces]
  const ratingsWanted =
    rankingShare === 0 ? ratings : Math.round((rankings * (1 - rankingShare)) / rankingShare)
  const rankingsWanted =
    rankingShare === 1 ? rankings : Math.round((ratings * rankingShare) / (1 - rankingShare))
  const numbered = traces.map((trace, place) => ({ trace, place }))
  const kept = (rating: boolean, most: number) =>
    chosen(
      numbered.filter(({ trace }) => asksRating(trace) === rating),
      most,
      ({ place }) => String(place),
      seed,
      'mixture',
    )
  return [...kept(true, ratingsWanted), ...kept(false, rankingsWanted)]
    .sort((a, b) => a.place - b.place)
    .map(({ trace }) => trace)
}

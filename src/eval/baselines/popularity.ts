/**
 * MostPop: interactions of the candidate in the training part; or in its newest share, ties by the whole. Newest
 * is by time where users' times can be compared, else by the place from the end of each user's sequence.
 */

import type { Dataset, Interaction } from '../../data/types.js'
import { type Baseline, firstThenSecond, trainCounts } from './baseline.js'

export function popularityBaseline(dataset: Dataset): Baseline {
  const counts = trainCounts(dataset)
  return { id: 'popularity', score: ({ candidates }) => candidates.map((item) => counts[item] as number) }
}

export function recentPopularityBaseline(dataset: Dataset, share: number): Baseline {
  const counts = trainCounts(dataset)
  const recent = trainCounts({ ...dataset, trainInteractions: newest(dataset, share) })
  const of = (values: Float64Array, items: readonly number[]): number[] =>
    items.map((item) => values[item] as number)
  return {
    id: 'popularity_recent',
    score: ({ candidates }) => firstThenSecond(of(recent, candidates), of(counts, candidates)),
  }
}

/** The newest `share`, and what is as new as its oldest. */
function newest({ trainInteractions, clock }: Dataset, share: number): readonly Interaction[] {
  const wanted = Math.max(1, Math.round(share * trainInteractions.length))
  const ages = clock === 'shared' ? timeAges(trainInteractions) : placeAges(trainInteractions)
  const oldest = Float64Array.from(ages).sort()[Math.min(wanted, ages.length) - 1] ?? 0
  return trainInteractions.filter((_, at) => (ages[at] as number) <= oldest)
}

const timeAges = (interactions: readonly Interaction[]): number[] =>
  interactions.map(({ timestamp }) => -timestamp)

/** Share of the user's sequence that comes after. */
function placeAges(interactions: readonly Interaction[]): number[] {
  const lengths = new Map<string, number>()
  for (const { user } of interactions) lengths.set(user, (lengths.get(user) ?? 0) + 1)
  const seen = new Map<string, number>()
  return interactions.map(({ user }) => {
    const place = (seen.get(user) ?? 0) + 1
    seen.set(user, place)
    const length = lengths.get(user) as number
    return (length - place) / length
  })
}

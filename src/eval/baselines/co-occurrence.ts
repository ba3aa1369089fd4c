/**
 * Co-occurrence: s(c) = sum over h in H of the times c and h stood within `window` places of each other in
 * a training user's sequence, in either order. Equal sums go to the more popular.
 */

import type { Dataset } from '../../data/types.js'
import { type Baseline, firstThenSecond, trainCounts, trainSequences } from './baseline.js'

export function coOccurrenceBaseline(dataset: Dataset, window = 10): Baseline {
  const counts = trainCounts(dataset)
  const near: Map<number, number>[] = dataset.items.map(() => new Map())
  const add = (a: number, b: number): void => {
    const row = near[a] as Map<number, number>
    row.set(b, (row.get(b) ?? 0) + 1)
  }
  for (const sequence of trainSequences(dataset.trainInteractions))
    sequence.forEach((item, place) => {
      for (const other of sequence.slice(place + 1, place + 1 + window)) {
        add(item, other)
        add(other, item)
      }
    })
  const score: Baseline['score'] = ({ history, candidates }) => {
    const together = candidates.map((item) =>
      history.reduce((sum, past) => sum + ((near[past] as Map<number, number>).get(item) ?? 0), 0),
    )
    return firstThenSecond(
      together,
      candidates.map((item) => counts[item] as number),
    )
  }
  return { id: 'co_occurrence', score }
}

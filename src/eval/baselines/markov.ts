/**
 * First-order Markov chain: s(c) = times c directly followed the last item of the history in a training user's
 * sequence. Equal counts go to the more popular.
 */

import type { Dataset } from '../../data/types.js'
import { type Baseline, firstThenSecond, trainCounts, trainSequences } from './baseline.js'

export function markovBaseline(dataset: Dataset): Baseline {
  const counts = trainCounts(dataset)
  const after: Map<number, number>[] = dataset.items.map(() => new Map())
  for (const sequence of trainSequences(dataset.trainInteractions))
    for (let place = 1; place < sequence.length; place++) {
      const row = after[sequence[place - 1] as number] as Map<number, number>
      const item = sequence[place] as number
      row.set(item, (row.get(item) ?? 0) + 1)
    }
  return {
    id: 'markov',
    score: ({ history, candidates }) => {
      const last = history.at(-1)
      const row = last === undefined ? undefined : after[last]
      return firstThenSecond(
        candidates.map((item) => row?.get(item) ?? 0),
        candidates.map((item) => counts[item] as number),
      )
    },
  }
}

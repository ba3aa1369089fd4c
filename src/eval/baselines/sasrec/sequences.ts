/**
 * What SASRec learns from: each training user's items, oldest first, cut to windows of n + 1 items (n inputs and
 * their n targets). A longer sequence gives its last window, or all of them: they share the one item that is the
 * target of one and the first input of the next, so every item but a user's first is predicted once an epoch.
 */

import type { Dataset, ItemIndex } from '../../../data/types.js'
import { trainSequences } from '../baseline.js'

export function trainingWindows(
  dataset: Pick<Dataset, 'trainInteractions'>,
  length: number,
  long: 'all' | 'last',
): ItemIndex[][] {
  return trainSequences(dataset.trainInteractions).flatMap((sequence) => {
    const windows: ItemIndex[][] = []
    for (let end = sequence.length; end > 1; end -= length) {
      windows.push(sequence.slice(Math.max(0, end - length - 1), end))
      if (long === 'last') break
    }
    return windows.reverse()
  })
}

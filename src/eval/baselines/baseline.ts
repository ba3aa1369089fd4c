/** What every counting baseline supplies: a score for each candidate, from the training part only. */

import type { Dataset, Instance, Interaction, ItemIndex } from '../../data/types.js'

export interface Baseline {
  readonly id: 'random' | 'popularity' | 'item_knn' | 'co_occurrence'
  /** One score per candidate, in the candidates' order; higher is better, equal scores tie. */
  score(instance: Instance): number[]
}

/** Interactions of the training part per item; also phi of the popularity metrics. */
export function trainCounts(dataset: Pick<Dataset, 'items' | 'trainInteractions'>): Float64Array {
  const counts = new Float64Array(dataset.items.length)
  for (const { item } of dataset.trainInteractions) counts[item] = (counts[item] as number) + 1
  return counts
}

/** Each user's items, oldest first; trainInteractions come by user. */
export function trainSequences(interactions: readonly Interaction[]): ItemIndex[][] {
  const byUser = new Map<string, ItemIndex[]>()
  for (const { user, item } of interactions) {
    const sequence = byUser.get(user)
    if (sequence) sequence.push(item)
    else byUser.set(user, [item])
  }
  return [...byUser.values()]
}

/**
 * Scores that order by `first` and, where it is equal, by `second`: the number of candidates that are
 * strictly worse. Equal pairs keep equal scores.
 */
export function firstThenSecond(first: readonly number[], second: readonly number[]): number[] {
  return first.map((mine, a) => {
    const own = second[a] as number
    return first.filter((theirs, b) => theirs < mine || (theirs === mine && (second[b] as number) < own))
      .length
  })
}

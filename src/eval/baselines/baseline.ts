/** What every counting baseline supplies: a score for each candidate, from the training part only. */

import type { Dataset, Instance, Interaction, ItemIndex } from '../../data/types.js'

export interface Baseline {
  readonly id:
    | 'random'
    | 'popularity'
    | 'popularity_recent'
    | 'markov'
    | 'co_occurrence'
    | 'item_knn'
    | 'ease'
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

/** Users of each item by the number of their sequence, each once. */
export function usersOfItems(items: number, sequences: readonly (readonly ItemIndex[])[]): Int32Array[] {
  const users: number[][] = Array.from({ length: items }, () => [])
  sequences.forEach((sequence, user) => {
    for (const item of new Set(sequence)) (users[item] as number[]).push(user)
  })
  return users.map((own) => Int32Array.from(own))
}

/**
 * Scores that order by `first` and, where it is equal, by `second`: the number of candidates that are
 * strictly worse. Equal pairs keep equal scores.
 */
export function firstThenSecond(first: readonly number[], second: readonly number[]): number[] {
  const value = (of: readonly number[], at: number): number => of[at] as number
  const order = first
    .map((_, at) => at)
    .sort((a, b) => value(first, a) - value(first, b) || value(second, a) - value(second, b))
  const worse = new Array<number>(first.length).fill(0)
  order.forEach((at, place) => {
    const before = order[place - 1]
    const tied =
      before !== undefined &&
      value(first, before) === value(first, at) &&
      value(second, before) === value(second, at)
    worse[at] = tied ? (worse[before] as number) : place
  })
  return worse
}

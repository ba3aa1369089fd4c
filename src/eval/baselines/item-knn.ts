/**
 * Item-kNN: s(c) = sum over h in H of cos(v_h, v_c), where v_i holds 1 for each training user of item i.
 * Equal sums go to the more popular. Sums are compared at five decimals, so that the order in which they
 * were added up breaks no tie.
 */

import type { Dataset, ItemIndex } from '../../data/types.js'
import { type Baseline, firstThenSecond, trainCounts, trainSequences } from './baseline.js'

export function itemKnnBaseline(dataset: Dataset): Baseline {
  const counts = trainCounts(dataset)
  const sequences = trainSequences(dataset.trainInteractions)
  const usersOf: number[][] = dataset.items.map(() => [])
  sequences.forEach((sequence, user) => {
    for (const item of new Set(sequence)) (usersOf[item] as number[]).push(user)
  })
  const users = (item: ItemIndex): number[] => usersOf[item] as number[]
  // Sum of the history's unit vectors, (users); cleared after each instance through the same lists.
  const profile = new Float64Array(sequences.length)
  const score: Baseline['score'] = ({ history, candidates }) => {
    for (const item of history) {
      const weight = 1 / Math.sqrt(users(item).length)
      for (const user of users(item)) profile[user] = (profile[user] as number) + weight
    }
    const cosine = candidates.map((item) => {
      const owners = users(item)
      if (owners.length === 0) return 0
      const sum = owners.reduce((total, user) => total + (profile[user] as number), 0)
      return Math.round((sum / Math.sqrt(owners.length)) * 1e5)
    })
    for (const item of history) for (const user of users(item)) profile[user] = 0
    return firstThenSecond(
      cosine,
      candidates.map((item) => counts[item] as number),
    )
  }
  return { id: 'item_knn', score }
}

/**
 * Item-kNN: s(c) = sum over h in H of v_h . v_c / (|v_h| |v_c| + shrinkage), where v_i holds 1 for each training
 * user of item i; without shrinkage the cosine. Equal sums go to the more popular. Sums are compared at five
 * decimals, so that the order in which they were added up breaks no tie.
 */

import type { Dataset } from '../../data/types.js'
import { type Baseline, firstThenSecond, trainCounts, trainSequences, usersOfItems } from './baseline.js'

export function itemKnnBaseline(dataset: Dataset, shrinkage = 0): Baseline {
  const counts = trainCounts(dataset)
  const sequences = trainSequences(dataset.trainInteractions)
  const usersOf = usersOfItems(dataset.items.length, sequences)
  const similarity =
    shrinkage > 0 ? shrunkSums(usersOf, sequences.length, shrinkage) : cosineSums(usersOf, sequences.length)
  const score: Baseline['score'] = ({ history, candidates }) =>
    firstThenSecond(
      similarity(history, candidates).map((sum) => Math.round(sum * 1e5)),
      candidates.map((item) => counts[item] as number),
    )
  return { id: 'item_knn', score }
}

type Sums = (history: readonly number[], candidates: readonly number[]) => number[]

/** One profile of users for the whole history: the lengths of its items go into it. */
function cosineSums(usersOf: readonly Int32Array[], users: number): Sums {
  // Sum of the history's unit vectors, (users); cleared after each instance through the same lists.
  const profile = new Float64Array(users)
  return (history, candidates) => {
    for (const item of history) {
      const own = usersOf[item] as Int32Array
      for (const user of own) profile[user] = (profile[user] as number) + 1 / Math.sqrt(own.length)
    }
    const sums = candidates.map((item) => {
      const owners = usersOf[item] as Int32Array
      if (owners.length === 0) return 0
      let sum = 0
      for (const user of owners) sum += profile[user] as number
      return sum / Math.sqrt(owners.length)
    })
    for (const item of history) for (const user of usersOf[item] as Int32Array) profile[user] = 0
    return sums
  }
}

/** The denominator does not factor, so each pair is counted on its own. */
function shrunkSums(usersOf: readonly Int32Array[], users: number, shrinkage: number): Sums {
  const marked = new Uint8Array(users)
  return (history, candidates) => {
    const sums = new Array<number>(candidates.length).fill(0)
    for (const past of history) {
      const own = usersOf[past] as Int32Array
      for (const user of own) marked[user] = 1
      candidates.forEach((item, at) => {
        const owners = usersOf[item] as Int32Array
        let common = 0
        for (const user of owners) common += marked[user] as number
        const lengths = Math.sqrt(own.length * owners.length)
        if (common > 0) sums[at] = (sums[at] as number) + common / (lengths + shrinkage)
      })
      for (const user of own) marked[user] = 0
    }
    return sums
  }
}

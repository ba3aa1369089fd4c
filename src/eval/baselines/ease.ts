/**
 * EASE (Steck, WWW 2019): the item-item weights B with zero diagonal that minimise |X - X B|^2 + l2 |B|^2 over the
 * 0/1 matrix X of training users and items; P = (X'X + l2 I)^-1, B_ij = -P_ij / P_jj. s(c) = sum over h in H, h
 * not c, of B_hc. Sums are compared at nine decimals of the largest, equal ones go to the more popular.
 *
 * P is never formed. With K = X X' + l2 I over users, P = (I - X' K^-1 X) / l2, so that for h not c
 *   B_hc = x_h' K^-1 x_c / (l2 P_cc),   P_cc = (1 - x_c' K^-1 x_c) / l2,
 * and where there are fewer items than users K is taken over items (K = X'X + l2 I, P = K^-1). Either way one matrix
 * of order n = min(users, items) is inverted: n^3 / 2 multiply-adds and 8 n^2 bytes.
 */

import type { Dataset, ItemIndex } from '../../data/types.js'
import { ReasonrecError } from '../../engine/errors.js'
import { type Baseline, firstThenSecond, trainCounts, trainSequences, usersOfItems } from './baseline.js'
import { invertPositiveDefinite } from './positive-definite.js'

/** 288 MB, and some minutes of one core. */
export const largestOrder = 6000

export function easeBaseline(dataset: Dataset, l2: number): Baseline {
  const counts = trainCounts(dataset)
  const sequences = trainSequences(dataset.trainInteractions).map((sequence) => [...new Set(sequence)])
  const items = counts.reduce((sum, count) => sum + (count > 0 ? 1 : 0), 0)
  const order = Math.min(items, sequences.length)
  if (order > largestOrder)
    throw new ReasonrecError('RR_DATA_TOO_LARGE', `EASE would invert a matrix of order ${order}`, {
      expected: `at most ${largestOrder} users or items in the training part`,
      got: `${sequences.length} users and ${items} items`,
      remedy: 'cut the data (data.core, data.max_users), or leave ease out of baselines.rows',
    })
  const weights =
    sequences.length <= items
      ? overUsers(dataset.items.length, sequences, l2)
      : overItems(counts, sequences, l2)
  const score: Baseline['score'] = ({ history, candidates }) => {
    const sums = weights(history, candidates)
    const largest = sums.reduce((most, sum) => Math.max(most, Math.abs(sum)), 0)
    return firstThenSecond(
      sums.map((sum) => (largest > 0 ? Math.round((sum / largest) * 1e9) : 0)),
      candidates.map((item) => counts[item] as number),
    )
  }
  return { id: 'ease', score }
}

type Weights = (history: readonly ItemIndex[], candidates: readonly ItemIndex[]) => number[]

function overUsers(items: number, sequences: readonly (readonly ItemIndex[])[], l2: number): Weights {
  const n = sequences.length
  const usersOf = usersOfItems(items, sequences)
  const inverse = new Float64Array(n * n)
  for (const users of usersOf)
    for (const a of users) for (const b of users) inverse[a * n + b] = (inverse[a * n + b] as number) + 1
  for (let user = 0; user < n; user++) inverse[user * n + user] = (inverse[user * n + user] as number) + l2
  invertPositiveDefinite(inverse, n)
  // 1 - x_c' K^-1 x_c, which is l2 P_cc.
  const diagonal = Float64Array.from(usersOf, (users) => {
    let sum = 0
    for (const a of users) for (const b of users) sum += inverse[a * n + b] as number
    return 1 - sum
  })
  const profile = new Float64Array(n)
  return (history, candidates) => {
    profile.fill(0)
    for (const item of history)
      for (const user of usersOf[item] as Int32Array)
        for (let other = 0; other < n; other++)
          profile[other] = (profile[other] as number) + (inverse[user * n + other] as number)
    return candidates.map((item) => {
      let sum = 0
      for (const user of usersOf[item] as Int32Array) sum += profile[user] as number
      const own = 1 - (diagonal[item] as number)
      const repeats = history.filter((past) => past === item).length
      return (sum - repeats * own) / (diagonal[item] as number)
    })
  }
}

function overItems(counts: Float64Array, sequences: readonly (readonly ItemIndex[])[], l2: number): Weights {
  const known = Array.from(counts.keys()).filter((item) => (counts[item] as number) > 0)
  const placeOf = new Int32Array(counts.length).fill(-1)
  known.forEach((item, place) => {
    placeOf[item] = place
  })
  const n = known.length
  const inverse = new Float64Array(n * n)
  for (const sequence of sequences)
    for (const a of sequence) {
      const row = (placeOf[a] as number) * n
      for (const b of sequence) {
        const at = row + (placeOf[b] as number)
        inverse[at] = (inverse[at] as number) + 1
      }
    }
  for (let item = 0; item < n; item++) inverse[item * n + item] = (inverse[item * n + item] as number) + l2
  invertPositiveDefinite(inverse, n)
  return (history, candidates) =>
    candidates.map((item) => {
      const column = placeOf[item] as number
      if (column < 0) return 0
      let sum = 0
      for (const past of history) {
        const row = placeOf[past] as number
        if (past !== item && row >= 0) sum -= inverse[row * n + column] as number
      }
      return sum / (inverse[column * n + column] as number)
    })
}

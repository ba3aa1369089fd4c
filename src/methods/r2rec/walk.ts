/**
 * The walk of a response: the hops its steps stand for, in order. Usually one chain of the question; without a chain,
 * two hops of u0 alone, numbered like the first and the last of a chain:
 *   ranking  two items of the history            rating  an item of the history and the target
 */

import type { Instance } from '../../data/types.js'
import { type Hop, hopsOf } from './chain.js'
import { evidenceOf } from './question.js'

export interface Step {
  /** 1 for the first hop, 2n for the closing one. */
  readonly number: number
  readonly hop: Hop
}

/** Steps of a chain of two users. */
const lastStep = 4

/** Every walk a response to this question may take, the chains in the order shown. */
export function walksOf(instance: Instance): Step[][] {
  const { chains } = evidenceOf(instance)
  return chains.length === 0
    ? historyWalks(instance)
    : chains.map((chain) => hopsOf(chain).map((hop, k) => ({ number: k + 1, hop })))
}

/** Step numbers of each possible walk. */
export function stepNumbers(instance: Instance): number[][] {
  const { chains } = evidenceOf(instance)
  return chains.length === 0 ? [[1, lastStep]] : chains.map((chain) => hopsOf(chain).map((_, k) => k + 1))
}

function historyWalks(instance: Instance): Step[][] {
  const { history, target } = instance
  const { query, ratings } = evidenceOf(instance)
  const own = history.map((item, place): Hop => ({ user: 0, item, place: 0, rating: ratings[place] ?? null }))
  const asks = query === 'rating'
  const ends = asks ? [{ user: 0, item: target, place: 0, rating: null }] : own
  return own.flatMap((first, a) =>
    ends
      .filter((_, b) => asks || b !== a)
      .map((last) => [
        { number: 1, hop: first },
        { number: lastStep, hop: { ...last, place: 1 } },
      ]),
  )
}

/** "u1 - i0". */
export function hopName({ user, place }: Hop): string {
  return `u${user} - i${place}`
}

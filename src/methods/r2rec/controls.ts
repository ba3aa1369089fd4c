/**
 * Controls of R2Rec: what a test is shown belongs to somebody else, everything else stays.
 *   shuffled history  history, ratings and chains of another test's user
 *   shuffled ratings  the same chains, their ratings exchanged among all tests: what a chain says no longer holds,
 *                     while items, users, lengths and how often each rating occurs stay (spec check 6)
 */

import { seeded } from '../../data/random.js'
import type { Instance } from '../../data/types.js'
import type { Chain } from './chain.js'
import { type Evidence, evidenceOf } from './question.js'

/** One permutation of all known ratings of all chains of the tests, drawn from the seed. */
export function exchangedRatings(tests: readonly Instance[], seed: number): Instance[] {
  const known = tests.flatMap((test) =>
    evidenceOf(test).chains.flatMap(({ ratings }) => ratings.filter(isKnown)),
  )
  const exchanged = seeded(seed, 'exchanged ratings').shuffled(known)
  let next = 0
  const shuffled = (chain: Chain): Chain => ({
    ...chain,
    ratings: chain.ratings.map((rating) => (isKnown(rating) ? (exchanged[next++] as number) : rating)),
  })
  return tests.map((test) => {
    const evidence = evidenceOf(test)
    return { ...test, evidence: { ...evidence, chains: evidence.chains.map(shuffled) } satisfies Evidence }
  })
}

function isKnown(rating: number | null): rating is number {
  return rating !== null
}

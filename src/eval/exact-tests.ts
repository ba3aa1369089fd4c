/**
 * Two tests of a paired difference that assume less than the bootstrap (significance.ts). Both are two-sided.
 *
 *   permutation   under the null hypothesis the two sides could be exchanged for each user; users are independent, tests
 *                 of one user are not. With d_u the summed difference of user u and T = sum of d_u, p is the share of all
 *                 2^users sign flips with |sum of s_u d_u| >= |T|. Users with d_u = 0 change nothing and are left out. Up
 *                 to 2^16 flips are all tried; beyond, 9,999 are drawn and p = (1 + times) / 10,000.
 *   McNemar       of one metric that is 0 or 1: with b tests that only A got right and c that only B did,
 *                 p = min(1, 2 P(X <= min(b, c))), X binomial (b + c, 1/2), exact. It takes tests as independent, so read
 *                 it where each user has one test.
 */

import { seeded } from '../data/random.js'
import type { RankingMetric } from './result-row.js'
import type { Outcome } from './significance.js'

const largestExact = 16
const draws = 9999

export interface McNemar {
  /** Tests that only A, and only B, got right. */
  readonly onlyA: number
  readonly onlyB: number
  readonly p: number
}

/** p of the sum of `differences`, one per independent unit. */
export function signFlipTest(differences: readonly number[], seed = 0): number {
  const moved = differences.filter((difference) => difference !== 0)
  if (moved.length === 0) return 1
  const sizes = moved.map(Math.abs)
  const total = Math.abs(moved.reduce((sum, difference) => sum + difference, 0))
  // Sums that differ by rounding alone are equal.
  const reached = total - 1e-9 * sizes.reduce((sum, size) => sum + size, 0)
  return moved.length <= largestExact ? allFlips(sizes, reached) : drawnFlips(sizes, reached, seed)
}

function allFlips(sizes: readonly number[], reached: number): number {
  const flips = 2 ** sizes.length
  let times = 0
  for (let signs = 0; signs < flips; signs++) {
    const sum = sizes.reduce((total, size, place) => total + ((signs >> place) & 1 ? size : -size), 0)
    if (Math.abs(sum) >= reached) times++
  }
  return times / flips
}

function drawnFlips(sizes: readonly number[], reached: number, seed: number): number {
  const random = seeded(seed, 'permutation')
  let times = 0
  for (let draw = 0; draw < draws; draw++) {
    let sum = 0
    for (let first = 0; first < sizes.length; first += 30) {
      const signs = random.below(2 ** 30)
      for (let place = first; place < Math.min(first + 30, sizes.length); place++)
        sum += (signs >> (place - first)) & 1 ? (sizes[place] as number) : -(sizes[place] as number)
    }
    if (Math.abs(sum) >= reached) times++
  }
  return (1 + times) / (1 + draws)
}

/** Of `metric`, test by test, whole users exchanged; `a` and `b` hold the same tests. */
export function permutationTest(
  a: readonly Outcome[],
  b: readonly Outcome[],
  metric: RankingMetric,
  seed = 0,
): number {
  const other = new Map(b.map((outcome) => [outcome.instance, outcome]))
  const byUser = new Map<string, number>()
  for (const outcome of a) {
    const difference = (outcome[metric] ?? 0) - (other.get(outcome.instance)?.[metric] ?? 0)
    byUser.set(outcome.user, (byUser.get(outcome.user) ?? 0) + difference)
  }
  // By name, so that p does not depend on the order of the tests.
  const users = [...byUser].sort(([one], [two]) => (one < two ? -1 : 1))
  return signFlipTest(
    users.map(([, difference]) => difference),
    seed,
  )
}

/** Of a metric that is 0 or 1; a tie that is worth a fraction counts for neither side. */
export function mcNemar(
  a: readonly Outcome[],
  b: readonly Outcome[],
  metric: RankingMetric = 'hr1',
): McNemar {
  const other = new Map(b.map((outcome) => [outcome.instance, outcome]))
  const pairs = a.map((outcome) => [outcome[metric], other.get(outcome.instance)?.[metric]])
  const onlyA = pairs.filter(([mine, theirs]) => mine === 1 && theirs === 0).length
  const onlyB = pairs.filter(([mine, theirs]) => mine === 0 && theirs === 1).length
  return { onlyA, onlyB, p: binomialTwoSided(Math.min(onlyA, onlyB), onlyA + onlyB) }
}

/** min(1, 2 P(X <= fewer)), X binomial (n, 1/2); 1 for no trials. */
export function binomialTwoSided(fewer: number, n: number): number {
  if (2 * fewer >= n) return 1
  let logTerm = -n * Math.LN2
  let sum = Math.exp(logTerm)
  for (let k = 1; k <= fewer; k++) {
    logTerm += Math.log((n - k + 1) / k)
    sum += Math.exp(logTerm)
  }
  return Math.min(1, 2 * sum)
}

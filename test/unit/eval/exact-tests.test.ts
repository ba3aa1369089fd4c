/** Paired tests against scipy's values (test/fixtures/significance/make.py) and against closed forms. */

import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { binomialTwoSided, mcNemar, permutationTest, signFlipTest } from '../../../src/eval/exact-tests.js'
import { interval, type Outcome } from '../../../src/eval/significance.js'

interface Permutation {
  readonly differences: readonly number[]
  readonly p: number
}
const expected = JSON.parse(
  readFileSync(new URL('../../fixtures/significance/expected.json', import.meta.url), 'utf8'),
) as {
  readonly mcnemar: readonly { readonly onlyA: number; readonly onlyB: number; readonly p: number }[]
  readonly permutation_exact: readonly Permutation[]
  readonly permutation_drawn: readonly Permutation[]
  readonly bootstrap: readonly {
    readonly values: readonly number[]
    readonly lo95: number
    readonly hi95: number
  }[]
}

const outcome = (instance: string, user: string, value: number): Outcome => ({
  instance,
  user,
  hr1: value,
  hr5: value,
  ndcg5: value,
  mrr: value,
})

describe('McNemar', () => {
  it('has the exact binomial p of scipy', () => {
    for (const { onlyA, onlyB, p } of expected.mcnemar)
      expect(binomialTwoSided(Math.min(onlyA, onlyB), onlyA + onlyB) / p).toBeCloseTo(1, 9)
    expect(binomialTwoSided(0, 0)).toBe(1)
    // 2 / 2^10
    expect(binomialTwoSided(0, 10)).toBeCloseTo(2 / 1024, 15)
  })

  it('counts tests that one side alone got right, in any order, and no half-won ties', () => {
    const a = [1, 1, 0, 1, 0.5].map((value, test) => outcome(`t${test}`, `u${test}`, value))
    const b = [0, 1, 1, 0, 0].map((value, test) => outcome(`t${test}`, `u${test}`, value)).reverse()
    expect(mcNemar(a, b)).toEqual({ onlyA: 2, onlyB: 1, p: 1 })
  })
})

describe('permutation test', () => {
  it('tries every flip where they are few: the p of scipy', () => {
    for (const { differences, p } of expected.permutation_exact)
      expect(signFlipTest(differences)).toBeCloseTo(p, 12)
  })

  it('draws flips where they are many: the p of scipy within the noise of 10,000 draws', () => {
    for (const { differences, p } of expected.permutation_drawn) {
      const drawn = signFlipTest(differences)
      // Four standard errors of a share of 9,999 draws, and of the 200,000 of scipy.
      expect(Math.abs(drawn - p)).toBeLessThan(4 * Math.sqrt((p * (1 - p)) / 9999) * 1.03 + 1e-4)
      expect(signFlipTest(differences)).toBe(drawn)
    }
  })

  it('exchanges whole users: tests of one user have one sign', () => {
    // Two users, differences 3 and 1: of the four sign flips, two reach |4|.
    const a = ['u', 'u', 'u', 'v'].map((user, test) => outcome(`t${test}`, user, 1))
    const b = a.map((one) => ({ ...one, hr1: 0 }))
    expect(permutationTest(a, b, 'hr1')).toBe(0.5)
    expect(permutationTest(a, [...b].reverse(), 'hr1')).toBe(0.5)
    expect(permutationTest(a, a, 'hr1')).toBe(1)
  })
})

describe('bootstrap interval', () => {
  it('is that of scipy where each user has one test', () => {
    for (const { values, lo95, hi95 } of expected.bootstrap) {
      const own = interval(values.map((value, test) => outcome(`t${test}`, `u${test}`, value)))
      // 2,000 resamples find a 2.5 % point to about 5 % of the interval's width.
      const slack = 0.06 * (hi95 - lo95)
      expect(Math.abs(own.lo95.hr1 - lo95)).toBeLessThan(slack)
      expect(Math.abs(own.hi95.hr1 - hi95)).toBeLessThan(slack)
    }
  })
})

import { describe, expect, it } from 'vitest'
import { seeded } from '../../../src/data/random.js'
import { interval, meansOf, type Outcome, pairedDifferences } from '../../../src/eval/significance.js'

function outcomes(users: number, perUser: number, rate: (user: number, test: number) => number): Outcome[] {
  return Array.from({ length: users * perUser }, (_, at) => {
    const user = Math.floor(at / perUser)
    const value = rate(user, at % perUser)
    return {
      instance: `test/${user}/${at % perUser}`,
      user: `u${user}`,
      hr1: value,
      hr5: value,
      ndcg5: value,
      mrr: value,
    }
  })
}

describe('cluster bootstrap', () => {
  const random = seeded(3, 'significance test')
  const coins = outcomes(400, 1, () => (random.float() < 0.3 ? 1 : 0))

  it('has about the width of the normal interval where each user has one test', () => {
    const p = meansOf(coins).hr1
    const { lo95, hi95 } = interval(coins)
    const normal = 2 * 1.96 * Math.sqrt((p * (1 - p)) / coins.length)
    // 2,000 resamples give the width to a few per cent; the values themselves are multiples of 1/400.
    expect((hi95.hr1 - lo95.hr1) / normal).toBeGreaterThan(0.85)
    expect((hi95.hr1 - lo95.hr1) / normal).toBeLessThan(1.15)
    expect(lo95.hr1).toBeLessThan(p)
    expect(hi95.hr1).toBeGreaterThan(p)
  })

  it('draws users, not tests: equal answers of a user widen the interval', () => {
    const spread = outcomes(40, 25, (user, test) => ((user + test) % 2 === 0 ? 1 : 0))
    const clustered = outcomes(40, 25, (user) => user % 2)
    const width = (all: Outcome[]): number => interval(all).hi95.hr1 - interval(all).lo95.hr1
    expect(width(clustered)).toBeGreaterThan(10 * width(spread))
  })

  it('depends on neither the order of the tests nor the call before', () => {
    const again = interval([...coins].reverse())
    expect(again).toEqual(interval(coins))
    expect(interval(coins, 1)).not.toEqual(interval(coins, 2))
  })

  it('finds a paired difference and its absence', () => {
    const better = coins.map((outcome, at) => (at % 8 === 0 ? { ...outcome, hr1: 1 } : outcome))
    const [hr1] = pairedDifferences(better, [...coins].reverse())
    expect(hr1?.difference).toBeCloseTo(meansOf(better).hr1 - meansOf(coins).hr1, 12)
    expect(hr1?.lo95).toBeGreaterThan(0)
    expect(hr1?.p).toBeLessThan(0.01)
    for (const same of pairedDifferences(coins, coins))
      expect(same).toMatchObject({ difference: 0, lo95: 0, hi95: 0, p: 1 })
  })

  it('refuses results on different tests', () => {
    expect(() => pairedDifferences(coins, coins.slice(1))).toThrow(
      expect.objectContaining({ code: 'RR_DATA_UNPAIRED' }),
    )
    expect(() => interval([])).toThrow(expect.objectContaining({ code: 'RR_DATA_EMPTY' }))
  })
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { guessing, metricsOfStanding, rankOf, standing } from '../../../src/eval/metrics.js'

describe('metrics of one ranked target', () => {
  it('puts a tie in the middle, never on top', () => {
    expect(rankOf([1, 3, 3, 0], 1)).toBe(1.5)
    expect(metricsOfStanding(standing([1, 3, 3, 0], 1), 'mean_rank').hr1).toBe(0)
    expect(metricsOfStanding(standing([1, 3, 3, 0], 1), 'expected').hr1).toBe(0.5)
  })

  it('gives an invalid answer rank infinity and nothing else', () => {
    for (const scores of [null, [1, null, 0], [1, Number.NaN, 0]]) {
      expect(rankOf(scores, 1)).toBe(Number.POSITIVE_INFINITY)
      expect(metricsOfStanding(standing(scores, 1), 'expected')).toEqual({ hr1: 0, hr5: 0, ndcg5: 0, mrr: 0 })
    }
  })

  it('counts a NaN beside a sound target against it', () => {
    expect(rankOf([Number.NaN, 1, 0], 1)).toBe(2)
  })

  it('has the closed form of guessing on 20 candidates', () => {
    const { hr1, hr5, ndcg5, mrr } = guessing(20)
    expect(hr1).toBeCloseTo(0.05, 12)
    expect(hr5).toBeCloseTo(0.25, 12)
    // Printed with four decimals in the source of these values.
    expect(ndcg5).toBeCloseTo(0.1474, 4)
    expect(mrr).toBeCloseTo(0.1799, 4)
  })

  it('does not depend on the order of the candidates', () => {
    const list = fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 2, maxLength: 20 })
    fc.assert(
      fc.property(list, fc.nat(), fc.infiniteStream(fc.nat()), (scores, pick, stream) => {
        const target = pick % scores.length
        const order = scores
          .map((_, at) => ({ at, key: stream.next().value as number }))
          .sort((a, b) => a.key - b.key)
        const shuffled = order.map(({ at }) => scores[at] as number)
        const moved = order.findIndex(({ at }) => at === target)
        for (const ties of ['mean_rank', 'expected'] as const)
          expect(metricsOfStanding(standing(shuffled, moved), ties)).toEqual(
            metricsOfStanding(standing(scores, target), ties),
          )
      }),
    )
  })

  it('lets the two tie rules agree where nothing ties', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer(), { minLength: 2, maxLength: 20 }), fc.nat(), (scores, pick) => {
        const place = standing(scores, pick % scores.length)
        expect(metricsOfStanding(place, 'expected')).toEqual(metricsOfStanding(place, 'mean_rank'))
      }),
    )
  })
})

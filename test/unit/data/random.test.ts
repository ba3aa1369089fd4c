import { describe, expect, it } from 'vitest'
import { chosen, seeded } from '../../../src/data/random.js'

describe('keyed randomness', () => {
  it('is a function of the key alone', () => {
    const draw = (...labels: (string | number)[]): number[] => {
      const random = seeded(7, ...labels)
      return [random.float(), random.below(1000), ...random.shuffled([1, 2, 3, 4, 5])]
    }
    expect(draw('a', 1)).toEqual(draw('a', 1))
    expect(draw('a', 1)).not.toEqual(draw('a', 2))
    // The list of labels is hashed, not their joined text.
    expect(draw('ab', 'c')).not.toEqual(draw('a', 'bc'))
  })
  it('keeps its stream over versions: a changed value changes every list in every report', () => {
    const random = seeded(0, 'golden')
    expect([random.below(1000), random.below(1000), random.below(1000)]).toEqual([813, 682, 620])
  })
  it('is uniform enough', () => {
    const random = seeded(1, 'uniform')
    const counts = new Array<number>(10).fill(0)
    for (let draw = 0; draw < 10_000; draw++) (counts[random.below(10)] as number) += 1
    // Chi-square with 9 degrees of freedom: 33.7 has probability 10^-4, and the seed is fixed.
    expect(counts.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0)).toBeLessThan(33.7)
  })
  it('chooses the same values from any order', () => {
    const values = Array.from({ length: 50 }, (_, at) => `v${at}`)
    const first = chosen(values, 10, (value) => value, 1, 'x')
    expect(new Set(chosen([...values].reverse(), 10, (value) => value, 1, 'x'))).toEqual(new Set(first))
    expect(new Set(chosen(values, 20, (value) => value, 1, 'x'))).toEqual(
      new Set([...first, ...chosen(values, 20, (value) => value, 1, 'x')]),
    )
    expect(chosen(values, 99, (value) => value, 1, 'x')).toEqual(values)
  })
})

import { describe, expect, it } from 'vitest'
import { mergedThoughts, posterior } from '../../../src/eval/merged-thoughts.js'

const thoughts = [
  { items: [4, 1, 7], scores: [-1, -2, -4] },
  { items: [1, 7], scores: [-3, -3.5] },
]

describe('thoughts merged', () => {
  it('by the best that any of them says', () => {
    expect(mergedThoughts(thoughts, 'max')).toEqual({ items: [4, 1, 7], scores: [-1, -2, -3.5] })
  })

  it('by the mean of their posteriors; what a thought lost has none there', () => {
    const { items, scores } = mergedThoughts(thoughts, 'mean_posterior')
    const [first, second] = [Math.exp(-1) + Math.exp(-2) + Math.exp(-4), Math.exp(-3) + Math.exp(-3.5)]
    const expected = new Map([
      [4, Math.exp(-1) / first / 2],
      [1, (Math.exp(-2) / first + Math.exp(-3) / second) / 2],
      [7, (Math.exp(-4) / first + Math.exp(-3.5) / second) / 2],
    ])
    expect(items).toEqual([1, 4, 7])
    items.forEach((item, place) => {
      expect(scores[place]).toBeCloseTo(expected.get(item) as number, 12)
    })
    expect(scores.reduce((sum, score) => sum + score, 0)).toBeCloseTo(1, 12)
  })

  it('by the log of summed likelihoods, far from zero as well', () => {
    const { items, scores } = mergedThoughts(thoughts, 'logsumexp')
    expect(items).toEqual([4, 1, 7])
    expect(scores[1]).toBeCloseTo(Math.log(Math.exp(-2) + Math.exp(-3)), 12)
    const far = thoughts.map((one) => ({ ...one, scores: one.scores.map((score) => score - 2000) }))
    expect(mergedThoughts(far, 'logsumexp').scores[1]).toBeCloseTo((scores[1] as number) - 2000, 9)
    expect(mergedThoughts(far, 'mean_posterior').scores).toEqual(
      expect.arrayContaining([expect.closeTo(mergedThoughts(thoughts, 'mean_posterior').scores[0]!, 9)]),
    )
  })

  it('ties in the order of the catalogue; nothing said is nothing named', () => {
    expect(mergedThoughts([{ items: [9, 2], scores: [-1, -1] }], 'max').items).toEqual([2, 9])
    expect(mergedThoughts([{ items: [], scores: [] }], 'mean_posterior').items).toEqual([])
    expect(posterior([0, 0])).toEqual([0.5, 0.5])
  })
})

import { describe, expect, it } from 'vitest'
import { selfBleu } from '../../../src/eval/self-bleu.js'

describe('self-BLEU', () => {
  it('is 1 where everybody is told the same and small where nothing is shared', () => {
    expect(
      selfBleu(['one two three four five', 'One two three four five!', 'one two three four five']),
    ).toBeCloseTo(1, 12)
    // No shared word of five: each order counts 0.1 of 5, 4, 3 and 2 n-grams.
    const apart = selfBleu(['a b c d e', 'f g h i j'])
    expect(apart).toBeCloseTo((0.1 ** 4 / (5 * 4 * 3 * 2)) ** 0.25, 12)
  })

  it('is the formula, worked out by hand', () => {
    // "a b c d" against "a b c e f g": 3/4, 2/3, 1/2, 0.1/1, four words against six;
    // the other way 3/6, 2/5, 1/4, 0.1/3, and no penalty for the longer one.
    const short = Math.exp(1 - 6 / 4) * ((3 / 4) * (2 / 3) * (1 / 2) * 0.1) ** 0.25
    const long = ((3 / 6) * (2 / 5) * (1 / 4) * (0.1 / 3)) ** 0.25
    expect(selfBleu(['a b c d', 'a b c e f g'])).toBeCloseTo((short + long) / 2, 12)
  })

  it('counts a repeated word as often as a reference holds it', () => {
    // "a a a" against "a a b": two of three words, one of two pairs, 0.1 of one triple.
    const first = ((2 / 3) * (1 / 2) * 0.1) ** (1 / 3)
    const second = ((2 / 3) * (1 / 2) * 0.1) ** (1 / 3)
    expect(selfBleu(['a a a', 'a a b'])).toBeCloseTo((first + second) / 2, 12)
  })

  it('takes evenly spaced texts where there are many, and is 0 for one', () => {
    const texts = Array.from({ length: 100 }, (_, k) =>
      k % 2 === 0 ? 'same words for all here' : `own ${k} x${k} y${k} z${k}`,
    )
    expect(selfBleu(texts, 50)).toBeCloseTo(1, 12)
    expect(selfBleu(['alone here'])).toBe(0)
    expect(selfBleu(['', ''])).toBe(0)
  })
})

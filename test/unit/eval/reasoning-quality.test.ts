import { describe, expect, it } from 'vitest'
import { TitleScanner } from '../../../src/data/title-scanner.js'
import {
  distinctShare,
  distribution,
  grounding,
  reasoningQuality,
  repeatedShare,
} from '../../../src/eval/reasoning-quality.js'
import { untrusted } from '../../../src/prompts/untrusted-text.js'

const titles = [
  'The Silent Tide',
  'The Silent Tide Returns',
  'Static',
  'The Captain’s Garden',
  'Paper Engine',
]
const scanner = new TitleScanner(
  titles.map((title, index) => ({ id: String(index), title: untrusted(title) })),
)
const cited = (text: string): number[] => scanner.scan(text).map(({ items }) => items[0] as number)

describe('title scanner', () => {
  it('prefers the longest title and never overlaps', () => {
    expect(cited('They liked the silent tide returns, then The Silent Tide!')).toEqual([1, 0])
  })
  it('ignores one-word titles, case, quotation marks and kinds of apostrophe', () => {
    expect(cited("static noise; “THE CAPTAIN'S GARDEN”")).toEqual([3])
  })
  it('finds nothing in other text', () => {
    expect(cited('a silent tidewater paper and an engine')).toEqual([])
    expect(cited('')).toEqual([])
  })
})

describe('reasoning quality', () => {
  it('counts citations of shown and of other catalogue titles', () => {
    const sample = {
      reasoning: 'The Silent Tide, The Silent Tide and Paper Engine',
      history: [0, 3],
      candidates: [2],
    }
    expect(grounding(sample, scanner)).toEqual({ cited: 3, grounded: 2, historyCited: 1 })
    const quality = reasoningQuality(
      [sample, { reasoning: 'No title.', history: [0], candidates: [1] }],
      scanner,
    )
    expect(quality.grounding_precision).toBeCloseTo(2 / 3, 12)
    expect(quality.hallucinated_title_rate).toBe(0.5)
    expect(quality.history_coverage).toBe(0.25)
    expect(quality.gain_mean).toBeUndefined()
  })
  it('has precision 1 where nothing is cited', () => {
    expect(
      reasoningQuality([{ reasoning: 'nothing', history: [], candidates: [] }], scanner).grounding_precision,
    ).toBe(1)
  })
  it('measures repetition within a text and sameness over texts', () => {
    expect(repeatedShare('a b c d')).toBe(0)
    expect(repeatedShare('a b c')).toBe(0)
    // 5 four-grams of "a a a a a a a a", one distinct
    expect(repeatedShare('a a a a a a a a')).toBeCloseTo(1 - 1 / 5, 12)
    expect(distinctShare(['one two', 'one two'], 1)).toBe(0.5)
    expect(distinctShare(['one two', 'one three'], 2)).toBe(1)
  })
  it('summarises gains, leaving out what was not scored', () => {
    const gains = [0.5, -0.25, null, 0.75, Number.NaN]
    const quality = reasoningQuality(
      gains.map((gain) => ({ reasoning: 'x', history: [], candidates: [], gain })),
      scanner,
    )
    expect(quality).toMatchObject({ gain_n: 3, gain_median: 0.5, gain_positive_share: 2 / 3 })
    expect(quality.gain_mean).toBeCloseTo(1 / 3, 12)
    expect(distribution([1, 2, 3, 4]).median).toBe(2.5)
  })
})

/**
 * The beam through the addon: against every title scored on its own, against an order known in advance where all scores
 * are equal, and its padding. Narrow beams and bits: test/native/beam_test.cpp.
 */

import { describe, expect, it } from 'vitest'
import { createTrie, generate, Model, type Sample } from '../../../src/engine/index.js'
import { someIds, tinyConfig, tinyModel } from './tiny-model.js'

const titles = [
  [20, 7, 9, 3],
  [20, 7, 8, 3],
  [20, 50, 3],
  [21, 3],
  [5, 6, 3],
  [5, 7, 3],
]
const options = { seed: 1n, maxRows: 8 }
const search = async (model: Model, width: number, excluded: number[] = []): Promise<Sample> => {
  const group = {
    prompt: someIds(12),
    samples: [{ stream: 0n, given: [4, 9] }],
    candidates: titles,
    beam: { trie: createTrie(titles), width, excluded },
  }
  return (await generate(model, {}, [group], [], options))[0]![0]!
}

describe('constrained beam', () => {
  it('of the width of the catalogue ranks it by the log-probs of its titles', async () => {
    const sample = await search(await tinyModel(), titles.length)
    const joint = Array.from(sample.candidateJoint)
    const byScore = titles.map((_, title) => title).sort((a, b) => joint[b]! - joint[a]!)
    expect(Array.from(sample.beam)).toEqual(byScore)
    expect(Array.from(sample.beamScores, Math.fround)).toEqual(byScore.map((title) => joint[title]))
  })

  it('puts equal scores in the order of their token ids', async () => {
    // Weights of zero: every token has probability 1 / vocab, so only the length of a title counts.
    const flat = await Model.random(tinyConfig, 1n, 0)
    const sample = await search(flat, titles.length)
    expect(Array.from(sample.beam)).toEqual([3, 4, 5, 2, 1, 0])
    for (const [place, title] of sample.beam.entries())
      expect(sample.beamScores[place]).toBeCloseTo(-titles[title]!.length * Math.log(tinyConfig.vocab), 4)
    // One hypothesis follows the smallest id: the likelier, shorter title [21, 3] is lost to it.
    expect(Array.from((await search(flat, 1)).beam)).toEqual([4])
  })

  it('pads with -1 and -Infinity, and never names what is excluded', async () => {
    const sample = await search(await tinyModel(), 8, [3, 0])
    expect(new Set(sample.beam.subarray(0, 4))).toEqual(new Set([1, 2, 4, 5]))
    expect(Array.from(sample.beam.subarray(4))).toEqual([-1, -1, -1, -1])
    expect(Array.from(sample.beamScores.subarray(4))).toEqual(new Array(4).fill(Number.NEGATIVE_INFINITY))
  })

  it('is refused without a width or with an exclusion that is no title', async () => {
    const model = await tinyModel()
    await expect(search(model, 0)).rejects.toThrow(expect.objectContaining({ code: 'RR_BEAM' }))
    await expect(search(model, 2, [6])).rejects.toThrow(expect.objectContaining({ code: 'RR_BEAM' }))
  })
})

/** Baselines on a small case by hand, on synthetic data, and against the tables of real data sets. */
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadDataset } from '../../../src/data/load.js'
import type { Dataset, Instance } from '../../../src/data/types.js'
import { type Baseline, firstThenSecond } from '../../../src/eval/baselines/baseline.js'
import { coOccurrenceBaseline } from '../../../src/eval/baselines/co-occurrence.js'
import { itemKnnBaseline } from '../../../src/eval/baselines/item-knn.js'
import { markovBaseline } from '../../../src/eval/baselines/markov.js'
import { popularityBaseline } from '../../../src/eval/baselines/popularity.js'
import { randomBaseline } from '../../../src/eval/baselines/random.js'
import { evaluateRanking, rankingOutcomes } from '../../../src/eval/protocol.js'
import type { ResultRow } from '../../../src/eval/result-row.js'
import { untrusted } from '../../../src/prompts/untrusted-text.js'
import { writeSyntheticData } from '../../fixtures/synthetic-data.js'

function tiny(sequences: number[][]): Dataset {
  const items = Array.from({ length: 5 }, (_, id) => ({ id: String(id), title: untrusted(`Title ${id}`) }))
  const trainInteractions = sequences.flatMap((sequence, user) =>
    sequence.map((item, timestamp) => ({ user: String(user), item, rating: null, timestamp })),
  )
  return { name: 'tiny', noun: 'item', items, trainInteractions, train: [], valid: [], test: [], notes: [] }
}
const asked = (history: number[], candidates: number[]): Instance => ({
  id: 'test/x/1',
  user: 'x',
  history,
  candidates,
  target: candidates[0] as number,
})
const row = (instances: readonly Instance[], baseline: Baseline): ResultRow =>
  evaluateRanking(instances, { scores: instances.map(baseline.score) }, { id: 'popularity', mode: 'none' })

describe('by hand', () => {
  const dataset = tiny([
    [0, 1, 2],
    [0, 1, 3],
    [2, 1],
  ])
  it('popularity counts interactions', () => {
    expect(popularityBaseline(dataset).score(asked([0], [0, 1, 2, 3, 4]))).toEqual([2, 3, 2, 1, 0])
  })
  it('item-kNN sums cosines over the history', () => {
    // users of 0: {0,1}, of 1: {0,1,2}, of 2: {0,2}, of 3: {1}; cos(0,1) = 2/sqrt(6), cos(0,2) = 1/2, cos(0,3) = 1/sqrt(2)
    expect(itemKnnBaseline(dataset).score(asked([0], [1, 2, 3, 4]))).toEqual([3, 1, 2, 0])
    // the same again: the profile of users is cleared between instances
    const knn = itemKnnBaseline(dataset)
    knn.score(asked([3], [1, 2, 0, 4]))
    expect(knn.score(asked([0], [1, 2, 3, 4]))).toEqual([3, 1, 2, 0])
  })
  it('co-occurrence counts neighbours within the window, either order', () => {
    expect(coOccurrenceBaseline(dataset, 1).score(asked([1], [0, 2, 3, 4]))).toEqual([2, 2, 1, 0])
    expect(coOccurrenceBaseline(dataset, 1).score(asked([0], [2, 1, 3, 4]))).toEqual([2, 3, 1, 0])
  })
  it('equal first keys go to the second, equal pairs stay equal', () => {
    expect(firstThenSecond([1, 1, 2, 1], [5, 7, 0, 5])).toEqual([0, 2, 3, 0])
  })
})

describe('protocol', () => {
  const instances = [asked([0], [3, 1, 2, 4]), { ...asked([0], [1, 2, 3, 4]), id: 'test/y/1', user: 'y' }]
  it('takes ranks of free answers, infinity for a miss', () => {
    const { hr1, mrr, parse_rate } = evaluateRanking(
      instances,
      { ranks: [1, Number.POSITIVE_INFINITY] },
      { id: 'base', mode: 'free', parseRate: 0.5 },
    )
    expect({ hr1, mrr, parse_rate }).toEqual({ hr1: 0.5, mrr: 0.5, parse_rate: 0.5 })
  })
  it('scores an oracle 1 and an invalid answer 0', () => {
    const oracle = instances.map(({ candidates, target }) =>
      candidates.map((item) => (item === target ? 1 : 0)),
    )
    expect(evaluateRanking(instances, { scores: oracle }, { id: 'oracle', mode: 'none' })).toMatchObject({
      n: 2,
      hr1: 1,
      ndcg5: 1,
      lo95: { hr1: 1 },
    })
    expect(rankingOutcomes(instances, { scores: [null, [0, 0, 0, 1]] }).map(({ mrr }) => mrr)).toEqual([
      0,
      (1 / 2 + 1 / 3 + 1 / 4) / 3,
    ])
  })
  it('refuses scores that do not fit', () => {
    expect(() => rankingOutcomes(instances, { scores: [[1]] })).toThrow(
      expect.objectContaining({ code: 'RR_SHAPE_MISMATCH' }),
    )
    expect(() =>
      rankingOutcomes(instances, {
        scores: [
          [1, 2],
          [1, 2, 3, 4],
        ],
      }),
    ).toThrow(/scores of test\/x\/1/)
  })
})

describe('on synthetic data', () => {
  let directory: string
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'reasonrec-baselines-'))
    await writeSyntheticData(directory, { users: 300, items: 200, seed: 9 })
  })
  afterAll(() => rm(directory, { recursive: true, force: true }))

  it('counting beats guessing, and guessing has its closed form', async () => {
    const dataset = await loadDataset(directory)
    const guess = row(dataset.test, randomBaseline())
    expect(guess.hr1).toBeCloseTo(0.05, 12)
    expect(guess.mrr).toBeCloseTo(
      Array.from({ length: 20 }, (_, at) => 1 / (at + 1) / 20).reduce((a, b) => a + b),
      12,
    )
    for (const baseline of [
      popularityBaseline(dataset),
      itemKnnBaseline(dataset),
      coOccurrenceBaseline(dataset),
    ])
      expect(row(dataset.test, baseline).lo95.hr1, baseline.id).toBeGreaterThan(0.05)
  })
})

const folder = process.env.REASONREC_DATA
describe('on the data sets of REASONREC_DATA', () => {
  if (!folder) console.log('real data: skipped, REASONREC_DATA is not set')

  it.skipIf(!folder)(
    'agree with the tables there',
    async () => {
      const path = join(folder as string, 'baselines.json')
      if (!existsSync(path)) throw new Error(`REASONREC_DATA names ${folder}, which holds no baselines.json`)
      const tables = JSON.parse(readFileSync(path, 'utf8')) as Record<
        string,
        Record<string, Record<string, number>>
      >
      let compared = 0
      const loaded = new Map<string, Dataset>()
      for (const [key, table] of Object.entries(tables)) {
        const [name, part] = key.split(' ') as [string, string | undefined]
        const dataset =
          loaded.get(name) ?? (await loadDataset(join(folder as string, name), { maxTrainPerUser: 1 }))
        loaded.set(name, dataset)
        const instances = part === 'valid20' ? dataset.valid : dataset.test
        const ours: Record<string, Baseline> = {
          random: randomBaseline(),
          popularity: popularityBaseline(dataset),
          'co-occurrence, adjacent': markovBaseline(dataset),
          'co-occurrence, window 10': coOccurrenceBaseline(dataset, 10),
          'item-kNN, cosine': itemKnnBaseline(dataset),
        }
        for (const [theirs, baseline] of Object.entries(ours)) {
          const expected = table[theirs] as Record<string, number>
          const { n, hr1, hr5, ndcg5, mrr } = row(instances, baseline)
          expect(n, key).toBe(expected.tests)
          // Four decimals are printed; merged ids and sums in another order may move one or two tests.
          for (const [metric, value] of Object.entries({
            'HR@1': hr1,
            'HR@5': hr5,
            'NDCG@5': ndcg5,
            MRR: mrr,
          })) {
            expect(
              Math.abs(value - (expected[metric] as number)),
              `${key}, ${theirs}, ${metric}: ${value}`,
            ).toBeLessThan(1e-3)
            compared++
          }
        }
      }
      console.log(`real data: ${compared} values of ${Object.keys(tables).length} tables agree`)
    },
    240_000,
  )
})

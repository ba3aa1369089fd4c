/** Counting baselines by hand and against their definitions, rows on a whole catalogue, seeds, places of the list. */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { configSchema } from '../../../src/config/schema.js'
import { loadDataset } from '../../../src/data/load.js'
import { seeded } from '../../../src/data/random.js'
import type { Dataset, Instance } from '../../../src/data/types.js'
import { firstThenSecond } from '../../../src/eval/baselines/baseline.js'
import { countingBaselines } from '../../../src/eval/baselines/counting.js'
import { easeBaseline } from '../../../src/eval/baselines/ease.js'
import { itemKnnBaseline } from '../../../src/eval/baselines/item-knn.js'
import { markovBaseline } from '../../../src/eval/baselines/markov.js'
import { recentPopularityBaseline } from '../../../src/eval/baselines/popularity.js'
import { invertPositiveDefinite } from '../../../src/eval/baselines/positive-definite.js'
import { chiSquareTail, positionBias } from '../../../src/eval/position-bias.js'
import { rankedRows, scorerOf, withoutChosen } from '../../../src/eval/ranked-rows.js'
import { untrusted } from '../../../src/prompts/untrusted-text.js'
import { writeSyntheticData } from '../../fixtures/synthetic-data.js'

function made(sequences: number[][], items: number, time = (_user: number, place: number) => place): Dataset {
  const catalogue = Array.from({ length: items }, (_, id) => ({
    id: `${id}`,
    title: untrusted(`Title ${id}`),
  }))
  const trainInteractions = sequences.flatMap((sequence, user) =>
    sequence.map((item, place) => ({ user: `${user}`, item, rating: null, timestamp: time(user, place) })),
  )
  return {
    name: 'made',
    noun: 'item',
    items: catalogue,
    trainInteractions,
    train: [],
    valid: [],
    test: [],
    notes: [],
  }
}
const asked = (history: number[], candidates: number[]): Instance => ({
  id: 'test/x/1',
  user: 'x',
  history,
  candidates,
  target: candidates[0] as number,
})
const randomSequences = (users: number, items: number, seed: number): number[][] =>
  Array.from({ length: users }, (_, user) => {
    const random = seeded(seed, 'counting', user)
    return random.shuffled(Array.from({ length: items }, (_, item) => item)).slice(0, 3 + random.below(4))
  })

describe('by hand', () => {
  const sequences = [
    [0, 1, 2],
    [0, 1, 3],
    [2, 1],
  ]
  it('markov counts what directly followed the last item', () => {
    const { score } = markovBaseline(made(sequences, 5))
    // After 1: 2 and 3, once each; of the others 1 and 0 are more popular than 4.
    expect(score(asked([0, 1], [2, 3, 0, 4]))).toEqual([3, 2, 1, 0])
    expect(score(asked([], [0, 1, 2, 4]))).toEqual([1, 3, 1, 0])
  })
  it('recent popularity counts the newest share, by time or by place in the sequence', () => {
    const shared = { ...made(sequences, 5, (user, place) => 10 * user + place), clock: 'shared' as const }
    // Newest two of eight rows: 2 and 1 of the last user.
    expect(recentPopularityBaseline(shared, 0.25).score(asked([0], [0, 1, 2, 3, 4]))).toEqual([2, 4, 3, 1, 0])
    // Last of each sequence: 2, 3, 1.
    expect(recentPopularityBaseline(made(sequences, 5), 3 / 8).score(asked([0], [0, 1, 2, 3, 4]))).toEqual([
      1, 4, 3, 2, 0,
    ])
  })
  it('shrinkage lowers similarities that stand on few users', () => {
    // Items 2 and 3 stand on one user; 0 and 1 share three of four.
    const many = made(
      [
        [0, 1],
        [0, 1],
        [0, 1],
        [0, 4],
        [1, 4],
        [2, 3],
      ],
      5,
    )
    const both = (shrinkage: number) => {
      const { score } = itemKnnBaseline(many, shrinkage)
      return score(asked([0, 3], [1, 2, 4]))
    }
    // cos(0,1) = 3/4, cos(3,2) = 1; with shrinkage 4: 3/8 and 1/5.
    expect(both(0)).toEqual([1, 2, 0])
    expect(both(4)).toEqual([2, 1, 0])
  })
})

describe('against definitions', () => {
  it('first then second counts the strictly worse', () => {
    const keys = fc.array(fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 3 })), {
      maxLength: 30,
    })
    fc.assert(
      fc.property(keys, (pairs) => {
        const brute = pairs.map(([a, b]) => pairs.filter(([c, d]) => c < a || (c === a && d < b)).length)
        expect(
          firstThenSecond(
            pairs.map(([a]) => a),
            pairs.map(([, b]) => b),
          ),
        ).toEqual(brute)
      }),
    )
  })

  it('shrinkage towards zero is the cosine', () => {
    const dataset = made(randomSequences(40, 15, 3), 15)
    const [plain, tiny] = [itemKnnBaseline(dataset), itemKnnBaseline(dataset, 1e-9)]
    for (let first = 0; first < 12; first++) {
      const test = asked([first, (first + 1) % 15], [(first + 2) % 15, (first + 5) % 15, (first + 7) % 15])
      expect(tiny.score(test)).toEqual(plain.score(test))
    }
  })

  it('the inverse times the matrix is the identity', () => {
    for (const n of [1, 2, 3, 4, 5, 17, 53]) {
      const random = seeded(5, 'matrix', n)
      const factor = Float64Array.from({ length: n * n }, () => random.float() - 0.5)
      const a = new Float64Array(n * n)
      for (let i = 0; i < n; i++)
        for (let j = 0; j < n; j++) {
          let sum = i === j ? 1 : 0
          for (let k = 0; k < n; k++) sum += factor[i * n + k]! * factor[j * n + k]!
          a[i * n + j] = sum
        }
      const inverse = Float64Array.from(a)
      invertPositiveDefinite(inverse, n)
      for (let i = 0; i < n; i++)
        for (let j = 0; j < n; j++) {
          let sum = 0
          for (let k = 0; k < n; k++) sum += a[i * n + k]! * inverse[k * n + j]!
          // Condition numbers here are below 100, so 1e-11 is a thousand roundings.
          expect(Math.abs(sum - (i === j ? 1 : 0)), `${n}: ${i} ${j}`).toBeLessThan(1e-11)
        }
    }
    expect(() => invertPositiveDefinite(Float64Array.of(1, 2, 2, 1), 2)).toThrow(
      expect.objectContaining({ code: 'RR_NUMERIC' }),
    )
  })

  it('EASE is its closed form, whether users or items are fewer', () => {
    for (const users of [8, 60]) {
      const items = 20
      const sequences = randomSequences(users, items - 1, users)
      const { score } = easeBaseline(made(sequences, items), 3)
      const weights = closedForm(sequences, items, 3)
      const everything = Array.from({ length: items }, (_, item) => item)
      for (const history of [[0, 1, 2], [5], [4, 4, 9], [19, 3]]) {
        const sums = everything.map((c) =>
          history.reduce((sum, h) => sum + (h === c ? 0 : weights[h]![c]!), 0),
        )
        const ours = score(asked(history, everything))
        for (const a of everything)
          for (const b of everything)
            if (sums[a]! > sums[b]! + 1e-7)
              expect(ours[a]!, `${users}: ${a} over ${b}`).toBeGreaterThan(ours[b]!)
      }
    }
  })
})

/** B of the definition: Gauss-Jordan on X'X + l2 I. */
function closedForm(sequences: number[][], items: number, l2: number): number[][] {
  const gram = Array.from({ length: items }, (_, i) =>
    Array.from({ length: 2 * items }, (_, j) => {
      if (j >= items) return j - items === i ? 1 : 0
      return sequences.filter((own) => own.includes(i) && own.includes(j)).length + (i === j ? l2 : 0)
    }),
  )
  for (let pivot = 0; pivot < items; pivot++) {
    const scale = gram[pivot]![pivot]!
    gram[pivot] = gram[pivot]!.map((value) => value / scale)
    for (let row = 0; row < items; row++) {
      if (row === pivot) continue
      const factor = gram[row]![pivot]!
      gram[row] = gram[row]!.map((value, column) => value - factor * gram[pivot]![column]!)
    }
  }
  const inverse = gram.map((row) => row.slice(items))
  return inverse.map((row, i) => row.map((value, j) => (i === j ? 0 : -value / inverse[j]![j]!)))
}

describe('rows', () => {
  let directory: string
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'reasonrec-counting-'))
    await writeSyntheticData(directory, { users: 60, items: 90, seed: 9 })
  })
  afterAll(() => rm(directory, { recursive: true, force: true }))
  const settings = configSchema.parse({
    baselines: {
      rows: ['random', 'popularity', 'popularity_recent', 'markov', 'co_occurrence', 'item_knn', 'ease'],
      ease_l2: 20,
    },
  }).baselines

  it('carry further cut-offs and the error of three candidate seeds', async () => {
    const dataset = await loadDataset(directory)
    const scorers = countingBaselines(dataset, settings).map(scorerOf)
    expect(scorers.map(({ id }) => id)).toEqual(settings.rows)
    const rows = await rankedRows(dataset, dataset.test, scorers.slice(0, 3), {
      seed: 0,
      candidateSeeds: [0, 1, 2],
    })
    expect(rows.map(({ row }) => row.id)).toEqual(settings.rows.slice(0, 3))
    for (const { row } of rows) {
      expect(row.hr10).toBeGreaterThanOrEqual(row.hr5)
      expect(row.ndcg10).toBeGreaterThanOrEqual(row.ndcg5)
      expect(row.candidate_seeds?.seeds).toEqual([0, 1, 2])
    }
    const [random, popularity] = rows
    expect(random?.row.hr10).toBeCloseTo(0.5, 12)
    expect(random?.row.ndcg10).toBeCloseTo(0.2272, 4)
    expect(random?.row.candidate_seeds?.sd.hr1).toBeCloseTo(0, 12)
    const again = await Promise.all(
      [0, 1, 2].map(async (candidateSeed) => {
        const other = await loadDataset(directory, { candidateSeed })
        const [row] = await rankedRows(other, other.test, scorers.slice(1, 2), { seed: 0 })
        return row?.row.hr1 ?? Number.NaN
      }),
    )
    const mean = again.reduce((sum, value) => sum + value) / 3
    expect(popularity?.row.candidate_seeds?.mean.hr1).toBeCloseTo(mean, 12)
    const sd = Math.sqrt(again.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 2)
    expect(sd).toBeGreaterThan(0)
    expect(popularity?.row.candidate_seeds?.sd.hr1).toBeCloseTo(sd, 12)
  })

  it('of a whole catalogue stand with and without what the user chose', async () => {
    const dataset = await loadDataset(directory, { protocol: 'full' })
    const size = dataset.negatives?.universe.length ?? 0
    const all = countingBaselines(dataset, settings).map(scorerOf)
    const scorers = all.filter(({ id }) => id === 'random' || id === 'item_knn' || id === 'ease')
    const rows = await rankedRows(dataset, dataset.test, scorers, { seed: 0, candidateSeeds: [0, 1] })
    expect(rows).toHaveLength(2 * scorers.length)
    for (const [at, { row }] of rows.entries()) {
      expect(row.masked).toBe(at % 2 === 1)
      expect(row.candidate_seeds).toBeUndefined()
    }
    expect(rows[0]?.row.hr50).toBeCloseTo(50 / size, 12)
    for (let at = 0; at < rows.length; at += 2)
      expect(rows[at + 1]?.row.hr20, rows[at]?.row.id).toBeGreaterThanOrEqual(rows[at]?.row.hr20 ?? 1)
  })

  it('leave out the chosen before the test, never the target', () => {
    const test = { ...asked([1], [0, 1, 2, 3]), target: 2, position: 3 }
    const userItems = new Map([['x', [2, 0, 1, 2, 3]]])
    expect(withoutChosen({ userItems }, test, [5, 6, 7, 8])).toEqual([null, null, 7, 8])
    expect(withoutChosen({ userItems }, { ...test, position: null }, [5, 6, 7, 8])).toEqual([5, null, 7, 8])
  })
})

describe('places of the list', () => {
  const tests = Array.from({ length: 400 }, (_, at) => {
    const candidates = seeded(6, 'places', at).shuffled([0, 1, 2, 3])
    return { ...asked([9], candidates), target: 0, id: `test/${at}/1` }
  })
  it('are answered evenly by a row that reads no order', () => {
    const right = tests.map(({ candidates }) => candidates.map((item) => (item === 0 ? 1 : 0)))
    const even = positionBias(tests, right)
    expect(even?.places.map(({ hr1 }) => hr1)).toEqual([1, 1, 1, 1])
    expect(even?.p).toBeGreaterThan(0.01)
    const ties = positionBias(
      tests,
      tests.map(() => [1, 1, 1, 1]),
    )
    expect(ties).toMatchObject({ n: 400, chi_square: 0, most_answered: 0.25 })
  })
  it('show a row that names the first', () => {
    const first = positionBias(
      tests,
      tests.map(() => [4, 3, 2, 1]),
    )
    expect(first?.places.map(({ hr1 }) => hr1)).toEqual([1, 0, 0, 0])
    expect(first).toMatchObject({ most_answered: 1, n: 400 })
    expect(first?.p).toBeLessThan(1e-6)
  })
  it('have the tail of chi-square', () => {
    // Printed tables: 5 % and 1 % points; the approximation is good to a few thousandths.
    for (const [value, freedom, tail] of [
      [7.815, 3, 0.05],
      [30.144, 19, 0.05],
      [36.191, 19, 0.01],
      [124.342, 100, 0.05],
    ] as const)
      expect(Math.abs(chiSquareTail(value, freedom) - tail)).toBeLessThan(0.002)
  })
})

/** Comparing runs: figures worked out by hand, and one clear refusal for every way in which runs are not comparable. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { configSchema } from '../../../src/config/schema.js'
import type { Dataset, Instance } from '../../../src/data/types.js'
import { basicMetrics } from '../../../src/eval/result-row.js'
import { compareRuns, type EvaluatedRun } from '../../../src/phases/evaluation/compare-runs.js'
import type { PredictionLine } from '../../../src/phases/evaluation/prediction-lines.js'
import { untrusted } from '../../../src/prompts/untrusted-text.js'

const folder = mkdtempSync(join(tmpdir(), 'compare-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** Two tests each of the users "ann" and "bob", one of "cy"; every list is items 0 to 3. */
const tests: readonly Instance[] = ['ann', 'ann', 'bob', 'bob', 'cy'].map((user, place) => ({
  id: `test/${user}/${place}`,
  user,
  history: [4],
  target: place % 4,
  candidates: [0, 1, 2, 3],
}))
const dataset = {
  name: 'hand',
  noun: 'film',
  items: Array.from({ length: 6 }, (_, item) => ({ id: `film-${item}`, title: untrusted(`Film ${item}`) })),
  test: tests,
} as unknown as Dataset

/** `hits[row][test]`: the target on top, or last. */
function run(name: string, hits: Record<string, readonly number[]>, data: Dataset = dataset): EvaluatedRun {
  const path = mkdtempSync(join(folder, `${name}-`))
  const lines = Object.entries(hits).flatMap(([row, each]) =>
    each.map((hit, place) => {
      const { id, candidates, target } = data.test[place] as Instance
      const scores = candidates.map((item) => (item === target ? (hit ? 1 : -9) : -item))
      return { row, mode: 'think_score', instance: id, scores, parsed: true } as unknown as PredictionLine
    }),
  )
  writeFileSync(join(path, 'predictions.jsonl'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
  return { path, config: configSchema.parse({}), dataset: data, metrics: basicMetrics }
}
const last = { a: { row: null, mode: null }, b: { row: null, mode: null } }
const other = (change: (test: Instance, place: number) => Instance): Dataset => ({
  ...dataset,
  test: tests.map(change),
})

describe('comparing two runs', () => {
  it('gives differences, exact tests and the users, as worked out by hand', () => {
    const a = run('a', { imitated: [0, 0, 0, 0, 0], internalized: [1, 1, 0, 1, 0] })
    const b = run('b', { imitated: [0, 1, 0, 0, 1] })
    const compared = compareRuns(a, b, last, 0)
    expect(compared).toMatchObject({
      a: { row: 'internalized', mode: 'think_score' },
      b: { row: 'imitated' },
      n: 5,
      users: 3,
      // ann + (1, 0), bob + (0, 1), cy - 1: A alone right in two tests, B alone in one.
      mcnemar: { only_a: 2, only_b: 1, p: 1 },
      differing_users: [
        { user: 'ann', tests: 2, a: 1, b: 0.5 },
        { user: 'bob', tests: 2, a: 0.5, b: 0 },
        { user: 'cy', tests: 1, a: 0, b: 1 },
      ],
    })
    const hr1 = compared.differences[0]
    expect(hr1).toMatchObject({ metric: 'hr1', n: 5, a: 0.6, b: 0.4 })
    expect(hr1?.difference).toBeCloseTo(0.2, 12)
    // Flips of (1, 1, -1): |sum| is 1 or 3, never below |T| = 1.
    expect(hr1?.p_permutation).toBe(1)
    expect(compareRuns(b, a, last, 0).differences[0]?.difference).toBeCloseTo(-0.2, 12)
  })

  it('compares two rows of one run', () => {
    const a = run('a', { imitated: [0, 0, 0, 0, 0], internalized: [1, 1, 1, 1, 1] })
    const rows = { a: { row: 'internalized', mode: null }, b: { row: 'imitated', mode: null } }
    const { differences, differing_users } = compareRuns(a, a, rows, 0)
    expect(differences[0]).toMatchObject({ difference: 1, lo95: 1, hi95: 1 })
    // All of eight sign flips but the two that reach |T|.
    expect(differences[0]?.p_permutation).toBe(2 / 8)
    expect(differing_users.map(({ user }) => user)).toEqual(['ann', 'bob', 'cy'])
  })

  it('reads the same items under another numbering of the catalogue', () => {
    const renumbered = [3, 2, 1, 0, 4, 5]
    const data = {
      ...other((test) => ({
        ...test,
        target: renumbered[test.target] as number,
        candidates: test.candidates.map((item) => renumbered[item] as number),
      })),
      items: renumbered.map((item) => dataset.items[item]),
    } as Dataset
    const compared = compareRuns(
      run('a', { imitated: [1, 0, 1, 0, 1] }),
      run('b', { imitated: [1, 0, 1, 0, 1] }, data),
      last,
      0,
    )
    expect(compared.differing_users).toEqual([])
  })

  it.each([
    [
      'other tests',
      other((test, place) => ({ ...test, id: `test/x/${place}` })),
      'evaluated on different tests',
    ],
    ['fewer tests', { ...dataset, test: tests.slice(1) }, 'evaluated on different tests'],
    ['another target', other((test) => ({ ...test, target: (test.target + 1) % 4 })), 'different targets'],
    [
      'other candidates',
      other((test) => ({ ...test, candidates: [0, 1, 2, 3, 5] })),
      'rank different candidates',
    ],
  ])('refuses %s', (_, data, said) => {
    const a = run('a', { imitated: [1, 1, 1, 1, 1] })
    const b = run('b', { imitated: data.test.map(() => 1) }, data)
    expect(() => compareRuns(a, b, last, 0)).toThrow(
      expect.objectContaining({
        code: 'RR_DATA_UNPAIRED',
        message: expect.stringContaining(said),
      }),
    )
  })

  it('refuses a row that is not there or not whole', () => {
    const a = run('a', { imitated: [1, 1, 1, 1, 1], internalized: [1, 1] })
    const b = run('b', { imitated: [1, 1, 1, 1, 1] })
    for (const row of ['internalized', 'base'])
      expect(() => compareRuns(a, b, { ...last, a: { row, mode: null } }, 0)).toThrow(
        expect.objectContaining({ code: 'RR_OUTPUT_ROW' }),
      )
  })
})

/**
 * Scores that another program gave to our tests: a table (csv, tsv, jsonl, each also .gz, or parquet) with the columns
 *
 *   instance or user, item, score        one row for each candidate of each test; higher is better
 *
 * `instance` is the id of `data split` or `data candidates`; a user names a test where he has only one. Rows of items
 * outside a test's candidates are not read. A candidate without a score is an error, or comes last where that was
 * asked for (lists of the best k): last ones tie among themselves.
 */

import { malformedCell, openTable, requiredColumn, type Table } from '../../data/table.js'
import type { Dataset, Instance, Item } from '../../data/types.js'
import { ReasonrecError } from '../../engine/errors.js'
import type { Scorer } from '../ranked-rows.js'

export interface ImportedScores extends Scorer {
  /** Candidates that had no score. */
  readonly missing: number
}

export async function importedScores(
  path: string,
  dataset: Dataset,
  tests: readonly Instance[],
  options: { readonly name: string; readonly missing: 'refuse' | 'last' },
): Promise<ImportedScores> {
  const known = await scoresByTest(await openTable(path), dataset, tests)
  let missing = 0
  const rows = new Map<string, (number | null)[] | null>()
  for (const { id, candidates } of tests) {
    const own = known.get(id)
    const scores = candidates.map((item) => own?.get(item) ?? Number.NEGATIVE_INFINITY)
    const absent = scores.filter((score) => score === Number.NEGATIVE_INFINITY).length
    missing += absent
    if (absent > 0 && options.missing === 'refuse') throw absentScore(path, id, absent, candidates.length)
    // A test without any score has no answer: it counts as wrong, not as guessed.
    rows.set(id, own ? scores : null)
  }
  return {
    id: 'imported',
    name: options.name,
    fixed: true,
    missing,
    scores: async (instances) => instances.map(({ id }) => rows.get(id) ?? null),
  }
}

async function scoresByTest(
  table: Table,
  dataset: Dataset,
  tests: readonly Instance[],
): Promise<Map<string, Map<number, number>>> {
  const named = table.find('instance', 'id')
  const testColumn = named ?? requiredColumn(table, 'instance', 'user', 'user_id')
  const itemColumn = requiredColumn(table, 'item', 'item_id')
  const scoreColumn = requiredColumn(table, 'score')
  const testOf =
    named === null ? testsByUser(tests, table.path) : new Map(tests.map(({ id }) => [id, id] as const))
  const indexOf = dataset.printed?.indexOf ?? new Map(dataset.items.map((item: Item, at) => [item.id, at]))
  const known = new Map<string, Map<number, number>>()
  await table.each((cells, line) => {
    const test = testOf.get(cells[testColumn] as string)
    const item = indexOf.get(cells[itemColumn] as string)
    if (test === undefined || item === undefined) return
    const text = cells[scoreColumn] as string
    const score = Number(text.trim() || 'x')
    if (!Number.isFinite(score))
      throw malformedCell(table.path, line, 'a score that is no number', 'a finite number', text)
    const own = known.get(test) ?? new Map<number, number>()
    known.set(test, own)
    // Ids with one title are one item here: its best score counts.
    own.set(item, Math.max(score, own.get(item) ?? Number.NEGATIVE_INFINITY))
  })
  return known
}

function testsByUser(tests: readonly Instance[], path: string): Map<string, string> {
  const byUser = new Map(tests.map(({ user, id }) => [user, id]))
  if (byUser.size === tests.length) return byUser
  throw new ReasonrecError('RR_DATA_MALFORMED', `${path}:1: users have several tests here`, {
    expected: 'an instance column with the ids of `data split`',
    got: `${tests.length} tests of ${byUser.size} users`,
    remedy: 'name the tests by instance',
  })
}

function absentScore(path: string, test: string, absent: number, candidates: number): ReasonrecError {
  return new ReasonrecError('RR_DATA_SCORES', `${path} does not score every candidate`, {
    expected: `${candidates} scores for ${test}`,
    got: `${candidates - absent}`,
    remedy:
      'score the candidates that `data split` wrote, or give --missing last where these are lists of the best k',
  })
}

/**
 * A data set in our own folder form (importers/canonical.ts), as CSV, TSV, JSON lines or Parquet: the same set gives the
 * same bytes, whatever it was read from. Optional columns are written where any row fills them. Real times are written as
 * `timestamp` (Unix seconds), positions as `order`. Parquet is written by DuckDB from the CSV of the same table.
 */

import { closeSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { withDuckDb } from './duckdb.js'
import { areTimes } from './importers/times.js'
import type { Imported, RawItem, RawList, RawLists } from './raw.js'
import { quoted } from './table.js'

export const tableForms = ['csv', 'tsv', 'jsonl', 'parquet'] as const
export type TableForm = (typeof tableForms)[number]

type Cell = string | number | null
const flushAt = 1 << 20 // characters

/** Writes into an existing folder. `origin` is what dataset.json tells about the import. */
export async function writeSet(
  folder: string,
  imported: Imported,
  order: Int32Array,
  origin: object | null,
  form: TableForm = 'csv',
  onRows?: (rows: number) => void,
): Promise<void> {
  const { name, noun, clock, columns, items } = imported
  const table = (
    stem: string,
    names: readonly string[],
    rows: Iterable<readonly Cell[]>,
    numbers: readonly string[] = [],
  ) => writeTable(folder, stem, form, names, rows, numbers)
  await interactions(table, columns, order, onRows)
  await itemTable(table, items)
  if (imported.userSplit) await table('split', ['user', 'split'], imported.userSplit)
  await lists(table, 'train_windows', imported.windows)
  await lists(table, 'valid', imported.valid)
  await lists(table, 'test', imported.test)
  await lists(table, 'candidates', imported.lastItem)
  const about = { name, ...(noun !== null && { noun }), clock, ...(origin && { origin }) }
  writeFileSync(join(folder, 'dataset.json'), `${JSON.stringify(about, null, 2)}\n`)
}

type WriteTable = (
  stem: string,
  names: readonly string[],
  rows: Iterable<readonly Cell[]>,
  numbers?: readonly string[],
) => Promise<void>

function interactions(
  table: WriteTable,
  { users, items, ratings, times, userIds, itemIds }: Imported['columns'],
  order: Int32Array,
  onRows: ((rows: number) => void) | undefined,
): Promise<void> {
  const rated = ratings.some((rating) => !Number.isNaN(rating))
  const time = areTimes(times) ? 'timestamp' : 'order'
  function* rows(): Generator<readonly Cell[]> {
    let count = 0
    for (const row of order) {
      const rating = ratings[row] as number
      const [user, item] = [userIds[users[row] as number] as string, itemIds[items[row] as number] as string]
      yield rated
        ? [user, item, Number.isNaN(rating) ? null : rating, times[row] as number]
        : [user, item, times[row] as number]
      if (++count % 65536 === 0) onRows?.(65536)
    }
    onRows?.(count % 65536)
  }
  return table('interactions', ['user', 'item', ...(rated ? ['rating'] : []), time], rows(), ['rating', time])
}

function itemTable(table: WriteTable, items: readonly RawItem[]): Promise<void> {
  const extras = new Set(items.flatMap(({ extras: own = {} }) => Object.keys(own)))
  const further = [
    ...(items.some(({ year }) => year !== '') ? ['year'] : []),
    ...(items.some(({ authors }) => authors !== '') ? ['authors'] : []),
    ...[...extras].sort(),
  ]
  const cell = (item: RawItem, name: string): string =>
    name === 'year' ? item.year : name === 'authors' ? item.authors : (item.extras?.[name] ?? '')
  function* rows(): Generator<readonly Cell[]> {
    for (const item of items) yield [item.id, item.title, ...further.map((name) => cell(item, name))]
  }
  return table('items', ['item', 'title', ...further], rows())
}

/** `apart`: the target stands in its column only, and the others are `negatives`. */
async function lists(
  table: WriteTable,
  stem: string,
  given: RawLists | null,
  apart = given?.targetApart ?? false,
): Promise<void> {
  if (!given) return
  const shown = given.rows.some(({ candidates }) => candidates !== null)
  const choices = ({ candidates, target }: RawList): string =>
    (candidates ?? []).filter((id) => !apart || id !== target).join(' ')
  await table(
    stem,
    ['user', 'history', 'target', ...(shown ? [apart ? 'negatives' : 'candidates'] : [])],
    given.rows.map((row) => [row.user, row.history.join(' '), row.target, ...(shown ? [choices(row)] : [])]),
  )
}

async function writeTable(
  folder: string,
  stem: string,
  form: TableForm,
  names: readonly string[],
  rows: Iterable<readonly Cell[]>,
  numbers: readonly string[],
): Promise<void> {
  const path = join(folder, `${stem}.${form === 'parquet' ? 'csv' : form}`)
  const file = openSync(path, 'wx')
  try {
    const by = form === 'tsv' ? '\t' : ','
    let text = form === 'jsonl' ? '' : `${names.join(by)}\n`
    for (const row of rows) {
      text +=
        form === 'jsonl' ? `${jsonLine(names, row)}\n` : `${row.map((cell) => delimited(cell)).join(by)}\n`
      if (text.length < flushAt) continue
      writeWhole(file, text)
      text = ''
    }
    writeWhole(file, text)
  } finally {
    closeSync(file)
  }
  if (form === 'parquet') await toParquet(path, join(folder, `${stem}.parquet`), names, numbers)
}

function writeWhole(file: number, text: string): void {
  const bytes = Buffer.from(text, 'utf8')
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at)
}

const delimited = (cell: Cell): string => {
  if (typeof cell === 'number') return String(cell)
  const text = cell ?? ''
  return /[",;\t|\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

const jsonLine = (names: readonly string[], row: readonly Cell[]): string =>
  JSON.stringify(Object.fromEntries(names.map((name, place) => [name, row[place] ?? null])))

async function toParquet(
  csv: string,
  parquet: string,
  names: readonly string[],
  numbers: readonly string[],
): Promise<void> {
  const columns = names.map((name) => `${quoted(name)}: '${numbers.includes(name) ? 'DOUBLE' : 'VARCHAR'}'`)
  await withDuckDb((connection) =>
    connection.run(
      `COPY (SELECT * FROM read_csv(${quoted(csv)}, delim=',', header=true, auto_detect=false, quote='"', escape='"', ` +
        `columns={${columns.join(', ')}})) TO ${quoted(parquet)} (FORMAT parquet, COMPRESSION zstd)`,
    ),
  )
  rmSync(csv)
}

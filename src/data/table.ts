/**
 * A table of text cells from a file, row by row in constant memory: CSV and TSV (all columns as text) and Parquet
 * through DuckDB, no extension is ever fetched; JSON lines through JSON.parse. Text also as .gz. Column names are
 * matched in lower case. A cell that is absent is the empty string. Every error names file:line.
 */

import { ReasonrecError } from '../engine/errors.js'
import { withDuckDb } from './duckdb.js'
import { checkTextFile, readHead, type TextFile } from './file-check.js'
import { eachLine, malformedLine } from './importers/lines.js'
import { parseObject } from './importers/objects.js'

export const tableEndings = ['.csv', '.csv.gz', '.tsv', '.tsv.gz', '.jsonl', '.jsonl.gz', '.parquet'] as const

export interface TableOptions {
  /** One character; found from the first line unless told. */
  readonly delimiter?: string | undefined
  /** False: there is no line of names, and columns are named 1, 2, 3, ... */
  readonly header?: boolean | undefined
  readonly encoding?: 'utf-8' | 'latin-1' | undefined
  readonly onBytes?: ((bytes: number) => void) | undefined
}

export interface Table {
  readonly path: string
  readonly columns: readonly string[]
  /** Place of the first of these columns that the file has, or null. */
  find(...names: readonly string[]): number | null
  /** Every row with its 1-based line; exact unless a quoted cell before it holds a line end. */
  each(visit: (cells: readonly string[], line: number) => void): Promise<void>
}

/** Place of a column the file must have. */
export function requiredColumn(table: Table, ...names: readonly string[]): number {
  const found = table.find(...names)
  if (found !== null) return found
  throw new ReasonrecError('RR_DATA_MALFORMED', `${table.path}:1: there is no ${names[0]} column`, {
    expected: `a column named ${names.join(' or ')}`,
    got: table.columns.map((name) => name.slice(0, 40)).join(', ') || 'no columns',
    remedy: 'name the columns in the first line',
    file: table.path,
    line: 1,
  })
}

export function malformedCell(
  path: string,
  line: number,
  what: string,
  expected: string,
  got: string,
): ReasonrecError {
  return new ReasonrecError('RR_DATA_MALFORMED', `${path}:${line}: ${what}`, {
    expected,
    got: got.slice(0, 40) || 'nothing',
    remedy: 'correct or remove the row',
    file: path,
    line,
  })
}

export async function openTable(path: string, options: TableOptions = {}): Promise<Table> {
  if (/\.(jsonl|json)(\.gz)?$/.test(path)) return jsonLines(await checkTextFile(path), options)
  const { kind } = await readHead(path)
  if (kind === 'parquet') return parquet(path, options)
  return delimited(await checkTextFile(path, options.encoding === 'latin-1'), options)
}

function table(path: string, columns: readonly string[], each: Table['each']): Table {
  return {
    path,
    columns,
    each,
    find: (...names) => {
      const name = names.find((candidate) => columns.includes(candidate))
      return name === undefined ? null : columns.indexOf(name)
    },
  }
}

/** Tab in a .tsv; else whichever of comma, semicolon, tab and bar the first line has most of. */
export function delimiterOf(path: string, firstLine: string): string {
  if (/\.tsv(\.gz)?$/.test(path)) return '\t'
  const count = (mark: string): number => firstLine.split(mark).length
  return [',', ';', '\t', '|'].reduce((best, mark) => (count(mark) > count(best) ? mark : best))
}

export const headerOf = (firstLine: string, delimiter: string): string[] =>
  firstLine.split(delimiter).map((name) =>
    name
      .trim()
      .replace(/^"(.*)"$/, '$1')
      .toLowerCase(),
  )

export const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`

function delimited(file: TextFile, options: TableOptions): Table {
  const { path, firstLine } = file
  const delimiter = options.delimiter ?? delimiterOf(path, firstLine)
  const header = options.header ?? true
  const named = headerOf(firstLine, delimiter)
  const names = header ? named : named.map((_, index) => `${index + 1}`)
  if (new Set(names).size < names.length || names.includes(''))
    throw new ReasonrecError('RR_DATA_MALFORMED', `${path}:1: this is not a header line`, {
      expected: 'distinct column names',
      got: firstLine.slice(0, 80),
      remedy: 'name the columns in the first line',
      file: path,
      line: 1,
    })
  const columns = names.map((name) => `${quoted(name)}: 'VARCHAR'`).join(', ')
  const encoding = options.encoding === 'latin-1' ? ", encoding='latin-1'" : ''
  const sql =
    `SELECT * FROM read_csv(${quoted(path)}, delim=${quoted(delimiter)}, header=${header}, auto_detect=false, ` +
    `all_varchar=true, columns={${columns}}, quote='"', escape='"', null_padding=false${encoding})`
  const perRow = file.size / Math.max(1, file.lines)
  return table(path, names, async (visit) => {
    try {
      await eachResultRow(sql, names.length, header ? 2 : 1, perRow, options, visit)
    } catch (error) {
      throw error instanceof ReasonrecError ? error : csvError(file, error as Error)
    }
  })
}

/** All columns as text; DuckDB prints 64-bit integers whole and times as YYYY-MM-DD hh:mm:ss. */
async function parquet(path: string, options: TableOptions): Promise<Table> {
  const original = await parquetCall(path, () =>
    withDuckDb(async (connection) =>
      (await connection.stream(`SELECT * FROM read_parquet(${quoted(path)}) LIMIT 0`)).columnNames(),
    ),
  )
  const cells = original.map((name) => `CAST("${name.replaceAll('"', '""')}" AS VARCHAR)`).join(', ')
  const sql = `SELECT ${cells} FROM read_parquet(${quoted(path)})`
  return table(
    path,
    original.map((name) => name.toLowerCase()),
    (visit) => parquetCall(path, () => eachResultRow(sql, original.length, 1, 0, options, visit)),
  )
}

async function parquetCall<T>(path: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    if (error instanceof ReasonrecError) throw error
    throw new ReasonrecError(
      'RR_DATA_MALFORMED',
      `${path}: this Parquet file cannot be read`,
      {
        expected: 'a whole Parquet file',
        got: (error as Error).message.split('\n')[0] ?? '',
        remedy: 'copy or download it again',
        file: path,
      },
      { cause: error },
    )
  }
}

async function eachResultRow(
  sql: string,
  width: number,
  firstLine: number,
  bytesPerRow: number,
  { onBytes }: TableOptions,
  visit: (cells: readonly string[], line: number) => void,
): Promise<void> {
  await withDuckDb(async (connection) => {
    const result = await connection.stream(sql)
    let line = firstLine
    for (;;) {
      const chunk = await result.fetchChunk()
      if (!chunk || chunk.rowCount === 0) return
      const columns = Array.from({ length: width }, (_, index) => chunk.getColumnValues(index))
      for (let row = 0; row < chunk.rowCount; row++, line++)
        visit(
          columns.map((column) => (column[row] ?? '') as string),
          line,
        )
      onBytes?.(chunk.rowCount * bytesPerRow)
    }
  })
}

/** DuckDB names line, original line and fault in its message; the rest is its own options. */
function csvError({ path, lines, ended }: TextFile, error: Error): ReasonrecError {
  const line = Number(/CSV Error on Line: (\d+)/.exec(error.message)?.[1] ?? 0)
  const original = /Original Line: (.*)/.exec(error.message)?.[1] ?? ''
  const counts = /Expected Number of Columns: (\d+) Found: (\d+)/.exec(error.message)
  const cut = !ended && line === lines
  const what = cut
    ? 'the file ends in the middle of a row'
    : counts
      ? 'a row with another number of columns'
      : (error.message.split('\n')[line ? 2 : 0] ?? 'unreadable')
  return new ReasonrecError(
    cut ? 'RR_DATA_TRUNCATED' : 'RR_DATA_MALFORMED',
    `${path}${line ? `:${line}` : ''}: ${what}`,
    {
      expected: counts ? `${counts[1]} columns` : 'CSV as in RFC 4180',
      got: counts
        ? `${counts[2]}: ${original.slice(0, 80)}`
        : original.slice(0, 80) || 'a file that cannot be parsed',
      remedy: cut
        ? 'copy or download the file again'
        : 'correct or remove the row; copy the file again if its end is missing',
      file: path,
      line,
    },
    { cause: error },
  )
}

/** Columns are the keys of the first rows. */
async function jsonLines({ path }: TextFile, { onBytes }: TableOptions): Promise<Table> {
  const columns = new Set<string>()
  await eachLine(path, {}, (text, line) => {
    if (text.trim() !== '') for (const key of Object.keys(row(path, line, text))) columns.add(key)
    return line < 100
  })
  const names = [...columns]
  return table(
    path,
    names.map((name) => name.toLowerCase()),
    async (visit) => {
      await eachLine(path, { onBytes }, (text, line) => {
        if (text.trim() === '') return
        const object = row(path, line, text)
        visit(
          names.map((name) => cellText(object[name])),
          line,
        )
      })
    },
  )
}

function row(path: string, line: number, text: string): Readonly<Record<string, unknown>> {
  const object = parseObject(text)
  if (object) return object
  const { details } = malformedLine(path, line, 'one JSON object a line', text)
  throw new ReasonrecError('RR_DATA_MALFORMED', `${path}:${line}: not a JSON object`, details)
}

function cellText(value: unknown): string {
  if (value === null || value === undefined) return ''
  return Array.isArray(value) ? value.join(' ') : String(value)
}

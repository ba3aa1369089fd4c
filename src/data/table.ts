/**
 * A table of text columns from a file: CSV and TSV through DuckDB (all columns as text, no extension is
 * ever fetched), JSON lines through JSON.parse; each also as .gz. Column names are matched in lower case.
 * A cell that is absent is the empty string. Every error names file:line.
 */

import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { createGunzip } from 'node:zlib'
import { ReasonrecError } from '../engine/errors.js'
import { checkTextFile, type TextFile } from './file-check.js'

export const tableEndings = ['.csv', '.csv.gz', '.tsv', '.tsv.gz', '.jsonl', '.jsonl.gz'] as const

export interface Table {
  readonly path: string
  readonly columns: readonly string[]
  readonly rows: number
  /** The first of these columns that the file has, or null. */
  column(...names: readonly string[]): readonly string[] | null
  /** 1-based line of a row; exact unless a quoted cell before it holds a line end. */
  line(row: number): number
}

export function malformedRow(
  table: Pick<Table, 'path' | 'line'>,
  row: number,
  what: string,
  expected: string,
  got: string,
): ReasonrecError {
  const line = table.line(row)
  return new ReasonrecError('RR_DATA_MALFORMED', `${table.path}:${line}: ${what}`, {
    expected,
    got,
    remedy: 'correct or remove the row',
    file: table.path,
    line,
  })
}

/** A column the file must have. */
export function requiredColumn(table: Table, ...names: readonly string[]): readonly string[] {
  const found = table.column(...names)
  if (found) return found
  throw new ReasonrecError('RR_DATA_MALFORMED', `${table.path}:1: there is no ${names[0]} column`, {
    expected: `a column named ${names.join(' or ')}`,
    got: table.columns.map((name) => name.slice(0, 40)).join(', ') || 'no columns',
    remedy: 'name the columns in the first line',
    file: table.path,
    line: 1,
  })
}

export async function readTable(path: string): Promise<Table> {
  const file = await checkTextFile(path)
  return /\.jsonl(\.gz)?$/.test(path) ? readJsonLines(file) : readDelimited(file)
}

function table(
  path: string,
  cells: ReadonlyMap<string, readonly string[]>,
  rows: number,
  line: (row: number) => number,
): Table {
  return {
    path,
    columns: [...cells.keys()],
    rows,
    column: (...names) => {
      const name = names.find((candidate) => cells.has(candidate))
      return name === undefined ? null : (cells.get(name) as readonly string[])
    },
    line,
  }
}

/** Tab in a .tsv; else whichever of comma, semicolon and tab the header has most of. */
function delimiterOf({ path, firstLine }: TextFile): string {
  if (/\.tsv(\.gz)?$/.test(path)) return '\t'
  const count = (mark: string): number => firstLine.split(mark).length
  return [',', ';', '\t'].reduce((best, mark) => (count(mark) > count(best) ? mark : best))
}

const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`

async function readDelimited(file: TextFile): Promise<Table> {
  const { path, firstLine } = file
  const delimiter = delimiterOf(file)
  const names = firstLine.split(delimiter).map((name) =>
    name
      .trim()
      .replace(/^"(.*)"$/, '$1')
      .toLowerCase(),
  )
  if (new Set(names).size < names.length || names.includes(''))
    throw new ReasonrecError('RR_DATA_MALFORMED', `${path}:1: this is not a header line`, {
      expected: 'distinct column names',
      got: firstLine.slice(0, 80),
      remedy: 'name the columns in the first line',
      file: path,
      line: 1,
    })
  const columns = names.map((name) => `${quoted(name)}: 'VARCHAR'`).join(', ')
  const sql =
    `SELECT * FROM read_csv(${quoted(path)}, delim=${quoted(delimiter)}, header=true, auto_detect=false, ` +
    `all_varchar=true, columns={${columns}}, quote='"', escape='"', null_padding=false)`
  const values = await query(path, sql)
  const cells = new Map(
    names.map((name, index) => [name, (values[index] ?? []).map((cell) => (cell ?? '') as string)]),
  )
  return table(path, cells, values[0]?.length ?? 0, (row) => row + 2)
}

async function query(path: string, sql: string): Promise<unknown[][]> {
  // Imported on first use: it is heavy, and many verbs read no table.
  const { DuckDBInstance } = await import('@duckdb/node-api')
  const instance = await DuckDBInstance.create(':memory:', {
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    memory_limit: '2GB',
    threads: '2',
  })
  try {
    const connection = await instance.connect()
    try {
      return (await connection.runAndReadAll(sql)).getColumns()
    } finally {
      connection.closeSync()
    }
  } catch (error) {
    throw csvError(path, error as Error)
  } finally {
    instance.closeSync()
  }
}

/** DuckDB names line, original line and fault in its message; the rest is its own options. */
function csvError(path: string, error: Error): ReasonrecError {
  const line = Number(/CSV Error on Line: (\d+)/.exec(error.message)?.[1] ?? 0)
  const original = /Original Line: (.*)/.exec(error.message)?.[1] ?? ''
  const counts = /Expected Number of Columns: (\d+) Found: (\d+)/.exec(error.message)
  const what = counts
    ? 'a row with another number of columns'
    : (error.message.split('\n')[line ? 2 : 0] ?? 'unreadable')
  return new ReasonrecError(
    'RR_DATA_MALFORMED',
    `${path}${line ? `:${line}` : ''}: ${what}`,
    {
      expected: counts ? `${counts[1]} columns` : 'CSV as in RFC 4180',
      got: counts
        ? `${counts[2]}: ${original.slice(0, 80)}`
        : original.slice(0, 80) || 'a file that cannot be parsed',
      remedy: 'correct or remove the row; copy the file again if its end is missing',
      file: path,
      line,
    },
    { cause: error },
  )
}

async function readJsonLines({ path }: TextFile): Promise<Table> {
  const bytes = createReadStream(path)
  const lines = createInterface({
    input: path.endsWith('.gz') ? bytes.pipe(createGunzip()) : bytes,
    crlfDelay: Infinity,
  })
  const objects: Record<string, unknown>[] = []
  const lineOf: number[] = []
  let line = 0
  for await (const text of lines) {
    line++
    if (text.trim() === '') continue
    lineOf.push(line)
    objects.push(parseObject(path, line, line === 1 ? text.replace(/^\uFEFF/, '') : text))
  }
  const names = [...new Set(objects.flatMap((object) => Object.keys(object)))]
  const cells = new Map(
    names.map((name) => [name.toLowerCase(), objects.map((object) => cellText(object[name]))]),
  )
  return table(path, cells, objects.length, (row) => lineOf[row] ?? line)
}

function cellText(value: unknown): string {
  if (value === null || value === undefined) return ''
  return Array.isArray(value) ? value.join(' ') : String(value)
}

function parseObject(path: string, line: number, text: string): Record<string, unknown> {
  const refuse = (cause?: unknown): ReasonrecError =>
    new ReasonrecError(
      'RR_DATA_MALFORMED',
      `${path}:${line}: not a JSON object`,
      {
        expected: 'one JSON object a line',
        got: text.slice(0, 80),
        remedy: 'correct or remove the line',
        file: path,
        line,
      },
      { cause },
    )
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw refuse(error)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw refuse()
  return value as Record<string, unknown>
}

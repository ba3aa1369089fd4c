/**
 * Any table: CSV, TSV, JSON lines or Parquet with columns of users and items, found by their names or told by flags. A
 * file without a header is taken as user, item [, rating] [, time] where its cells are numbers: a third column of four or
 * more digits is a time. A table with items and titles but no users gives the titles.
 */

import { ReasonrecError } from '../../../engine/errors.js'
import { delimiterOf, malformedCell, type Table } from '../../table.js'
import { type Format, filesOf, type Head, type ReadOptions, type Role, type SourceFile } from '../format.js'
import { firstObject, headerCells } from '../head.js'
import type { Intake } from '../intake.js'
import { timeOf } from '../times.js'

/** Names that are understood, in lower case; the first that a file has is taken. */
export const columnNames = {
  user: [
    'user',
    'user_id',
    'userid',
    'uid',
    'user-id',
    'reviewerid',
    'username',
    'customer_id',
    'session_id',
  ],
  item: [
    'item',
    'item_id',
    'itemid',
    'iid',
    'movieid',
    'movie_id',
    'book_id',
    'product_id',
    'parent_asin',
    'asin',
    'isbn',
    'business_id',
    'artist_id',
  ],
  rating: ['rating', 'score', 'stars', 'overall', 'book-rating'],
  time: [
    'timestamp',
    'time',
    'ts',
    'when',
    'date',
    'ts_us',
    'ts_ms',
    'unixreviewtime',
    'datetime',
    'created_at',
  ],
  title: ['title', 'name', 'item_title', 'movie_title', 'item_name', 'book-title'],
  year: ['year', 'release_year', 'original_publication_year'],
  authors: ['authors', 'author'],
  categories: ['categories', 'category', 'genres', 'genre'],
} as const

type ColumnName = keyof typeof columnNames

export const generic: Format = {
  name: 'generic',
  about: 'any CSV, TSV, JSON lines or Parquet; columns by name or by flags',
  recognise(head: Head): Role | null {
    if (head.kind === 'pickle') return null
    const object = firstObject(head)
    const names = object ? Object.keys(object).map((key) => key.toLowerCase()) : headerCells(head)
    const has = (column: ColumnName): boolean => columnNames[column].some((name) => names.includes(name))
    if (has('user') && has('item')) return 'interactions'
    if (has('item') && has('title')) return 'items'
    return object === null && headerless(head) ? 'interactions' : null
  },
  async read(set, intake) {
    for (const file of filesOf(set, 'interactions', 'windows')) await readRows(file, intake)
    for (const file of filesOf(set, 'items')) await readTitles(file, intake)
    return { wholeCatalogue: true }
  },
}

/** Two to four columns of numbers and no names above them. */
function headerless(head: Head): boolean {
  const [first = ''] = head.lines
  const by = delimiterOf(head.name, first)
  const width = first.split(by).length
  if (width < 2 || width > 4) return false
  return head.lines.every((line) => {
    const cells = line.split(by)
    return cells.length === width && cells.every((cell) => cell !== '' && !Number.isNaN(Number(cell)))
  })
}

function tableOf(file: SourceFile, intake: Intake): Promise<Table> {
  const { delimiter, header } = intake.options
  return intake.table(file, {
    delimiter: delimiter === '\\t' ? '\t' : delimiter,
    header: header ?? !headerless(file),
  })
}

/** Places of the columns; a flag names a column or counts it from 1. */
function placesOf(table: Table, given: ReadOptions['columns'] = {}): (column: ColumnName) => number | null {
  return (column) => {
    const told = column in given ? given[column as keyof typeof given] : undefined
    if (told === undefined) return table.find(...columnNames[column])
    const found = table.find(told.toLowerCase()) ?? (/^[1-9]\d*$/.test(told) ? Number(told) - 1 : null)
    if (found !== null && found < table.columns.length) return found
    throw missing(table, column, told)
  }
}

function missing(table: Table, column: ColumnName, told?: string): ReasonrecError {
  const looked = told ?? columnNames[column].join(', ')
  return new ReasonrecError('RR_DATA_COLUMNS', `${table.path}:1: there is no column of the ${column}`, {
    expected: `a column ${told === undefined ? 'named one of ' : ''}${looked}`,
    got: table.columns.map((name) => name.slice(0, 40)).join(', ') || 'no columns',
    remedy: `name it with --${column}-column; data inspect shows the columns`,
    file: table.path,
    line: 1,
  })
}

async function readRows(file: SourceFile, intake: Intake): Promise<void> {
  const table = await tableOf(file, intake)
  const named = placesOf(table, intake.options.columns)
  const numbered = table.columns.every((name, place) => name === `${place + 1}`)
  const place = (column: ColumnName): number | null =>
    named(column) ?? (numbered ? guessed(file, column) : null)
  const [user, item] = [place('user'), place('item')]
  if (user === null) throw missing(table, 'user')
  if (item === null) throw missing(table, 'item')
  const [rating, time, title] = [place('rating'), place('time'), named('title')]
  const when = (cell: string, line: number): number => {
    const at = timeOf(cell)
    if (Number.isFinite(at)) return at
    throw malformedCell(file.path, line, 'a timestamp that is no time', 'a number or a date', cell)
  }
  await table.each((cells, line) => {
    const stars = rating === null ? '' : (cells[rating] as string)
    intake.row(
      cells[user] as string,
      cells[item] as string,
      Number(stars.trim() || 'x'),
      time === null ? null : when(cells[time] as string, line),
      line,
    )
    if (title !== null) intake.item(cells[item] as string, cells[title] as string, {}, line)
  })
}

/** user, item [, rating] [, time]. */
function guessed({ lines, name }: SourceFile, column: ColumnName): number | null {
  const cells = (lines[0] ?? '').split(delimiterOf(name, lines[0] ?? ''))
  const third = cells.length === 3 ? (Math.abs(Number(cells[2])) >= 1000 ? 'time' : 'rating') : null
  const order: readonly (string | null)[] =
    cells.length === 4 ? ['user', 'item', 'rating', 'time'] : ['user', 'item', third]
  const found = order.indexOf(column)
  return found >= 0 && found < cells.length ? found : null
}

export async function readTitles(file: SourceFile, intake: Intake): Promise<void> {
  const table = await tableOf(file, intake)
  const place = placesOf(table, intake.options.columns)
  const [item, title] = [place('item'), place('title')]
  if (item === null) throw missing(table, 'item')
  if (title === null) throw missing(table, 'title')
  const further = (['year', 'authors', 'categories'] as const).flatMap((column) => {
    const found = table.find(...columnNames[column])
    return found === null ? [] : [[column, found] as const]
  })
  await table.each((cells, line) =>
    intake.item(
      cells[item] as string,
      cells[title] as string,
      Object.fromEntries(
        further.map(([column, at]) => [column, (cells[at] as string).replace(/^(\d+)\.0$/, '$1')]),
      ),
      line,
    ),
  )
}

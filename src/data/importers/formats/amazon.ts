/**
 * Amazon reviews with their metadata, as downloaded:
 *   2014  reviews_Toys_5.json.gz (reviewerID, asin, overall, unixReviewTime), meta_Toys.json.gz (Python dicts),
 *         ratings_Toys.csv (user, item, rating, seconds; no header)
 *   2018  Toys_5.json.gz, meta_Toys.json.gz (JSON lines), Toys.csv (ITEM, user, rating, seconds; no header)
 *   2023  Toys.jsonl.gz (user_id, parent_asin, rating, milliseconds), meta_Toys.jsonl.gz,
 *         Toys.train|valid|test.csv (user_id, parent_asin, rating, timestamp, history)
 * Reviews and metadata of any year also as Parquet with these columns.
 * The order of the columns without a header is told from their content. Metadata are joined on parent_asin where there
 * is one, and only titles of products that occur are kept.
 */

import { ReasonrecError } from '../../../engine/errors.js'
import { requiredColumn } from '../../table.js'
import {
  type FileSet,
  type Format,
  filesOf,
  type Head,
  partNamed,
  type Role,
  type SourceFile,
} from '../format.js'
import { firstObject, headerCells } from '../head.js'
import type { Intake } from '../intake.js'
import { malformedLine } from '../lines.js'
import { numberOf, textOf } from '../objects.js'
import { timeOf } from '../times.js'

const asin = /^(B[0-9A-Z]{9}|\d{9}[\dX])$/

export const amazon: Format = {
  name: 'amazon',
  about: 'Amazon reviews of 2014, 2018 and 2023: reviews, metadata, ratings, last-out',
  recognise(head: Head): Role | null {
    if (head.kind === 'parquet') return parquetRole(head)
    if (head.kind !== 'text') return null
    const object = firstObject(head)
    if (object) {
      const has = (name: string): boolean => name in object
      if ((has('reviewerID') && has('asin')) || (has('user_id') && has('parent_asin'))) return 'interactions'
      if (/^meta_/.test(head.name) && (has('asin') || has('parent_asin'))) return 'items'
      return has('parent_asin') || (has('asin') && (has('title') || has('imUrl') || has('categories')))
        ? 'items'
        : null
    }
    const names = headerCells(head)
    if (names.includes('user_id') && names.includes('parent_asin'))
      return names.includes('history') ? 'windows' : 'interactions'
    return itemColumn(head) === null ? null : 'interactions'
  },
  sets(files) {
    const metas = files.filter(({ role }) => role === 'items')
    const byGroup = new Map<string, SourceFile[]>()
    for (const file of files.filter(({ role }) => role !== 'items')) {
      // train, valid and test of one category are one set.
      const key =
        partNamed(file.path) && file.name.endsWith('.csv') ? `${category(file)}, given split` : file.path
      byGroup.set(key, [...(byGroup.get(key) ?? []), file])
    }
    return [...byGroup.values()].map((group): FileSet => {
      const [first] = group as [SourceFile]
      const own = metas.filter((meta) => category(meta) === category(first))
      const split = group.length > 1 || partNamed(first.path) !== null
      return {
        name: split
          ? `${category(first)}_last_out`
          : first.name.replace(/\.((jsonl?|csv)(\.gz)?|parquet)$/, ''),
        files: [...group, ...(own.length > 0 || metas.length > 1 ? own : metas)],
        preference: /\.(jsonl?(\.gz)?|parquet)$/.test(first.name) ? 0 : split ? 2 : 1,
      }
    })
  },
  async read(set, intake) {
    const rows = filesOf(set, 'interactions')
    const windows = filesOf(set, 'windows')
    for (const file of rows) await readRows(file, intake)
    // The rows of the train file are the histories of the other parts.
    const whole = windows.length > 1 && windows.some(({ path }) => partNamed(path) === 'train')
    for (const file of windows) await readWindows(file, whole, intake)
    for (const file of filesOf(set, 'items')) await readMeta(file, intake)
    const label = category((rows[0] ?? windows[0]) as SourceFile)
    const name = label.replaceAll('_', ' ')
    return { name: `Amazon ${name}`, noun: /^books$/i.test(label) ? 'book' : 'product' }
  },
}

/** Reviews or metadata by their columns, which are those of the JSON lines. */
function parquetRole({ columns }: Pick<Head, 'columns'>): Role | null {
  const has = (...names: readonly string[]): boolean => names.some((name) => columns.includes(name))
  if (has('user_id', 'reviewerid') && has('parent_asin', 'asin')) return 'interactions'
  return has('parent_asin', 'asin') && has('title') ? 'items' : null
}

/** The category in the file's own case, told from its name. */
function category({ path }: Pick<Head, 'path'>): string {
  const name = path.split(/[\\/]/).at(-1) ?? ''
  return name
    .replace(/(\.[a-z]+){1,3}$/i, '')
    .replace(/\.(train|valid|test)$/i, '')
    .replace(/^(reviews|meta|ratings)_/i, '')
    .replace(/_\d+$/, '')
}

/** Which of four columns without a header holds products: 0 or 1; null where neither is clear. */
function itemColumn({ lines }: Pick<Head, 'lines'>): 0 | 1 | null {
  const rows = lines.slice(0, 100).map((line) => line.split(','))
  if (rows.length === 0 || rows.some((row) => row.length !== 4 || Number.isNaN(Number(row[3] || 'x'))))
    return null
  const share = (place: number): number =>
    rows.filter((row) => asin.test(row[place] ?? '')).length / rows.length
  const [first, second] = [share(0), share(1)]
  if (first === second || Math.max(first, second) < 0.9) return null
  return first > second ? 0 : 1
}

async function readRows(file: SourceFile, intake: Intake): Promise<void> {
  if (file.kind === 'parquet') return readParquet(file, intake)
  if (/\.csv(\.gz)?$/.test(file.name)) return readRatings(file, intake)
  await intake.objects(file, (value, line) => {
    const {
      reviewerID,
      asin: product,
      overall,
      unixReviewTime,
      user_id,
      parent_asin,
      rating,
      timestamp,
    } = value
    const [user, item] = [user_id ?? reviewerID, parent_asin ?? product]
    const time = numberOf(timestamp ?? unixReviewTime)
    if (typeof user !== 'string' || typeof item !== 'string' || !Number.isFinite(time))
      throw malformedLine(file.path, line, 'a review with user, item and time', JSON.stringify(value))
    intake.row(user, item, numberOf(rating ?? overall), time, line)
  })
}

/** A `title` in a review is the review's own and is not read. */
async function readParquet(file: SourceFile, intake: Intake): Promise<void> {
  const table = await intake.table(file)
  const cell = (names: readonly string[]): ((cells: readonly string[]) => string) => {
    const place = table.find(...names) ?? requiredColumn(table, names[0] as string)
    return (cells) => cells[place] as string
  }
  const [user, item] = [cell(['user_id', 'reviewerid']), cell(['parent_asin', 'asin'])]
  const [rating, time] = [cell(['rating', 'overall']), cell(['timestamp', 'unixreviewtime'])]
  await table.each((cells, line) =>
    intake.row(user(cells), item(cells), Number(rating(cells) || 'x'), timeOf(time(cells)), line),
  )
}

async function readRatings(file: SourceFile, intake: Intake): Promise<void> {
  if (headerCells(file).includes('parent_asin')) {
    const table = await intake.table(file)
    const places = ['user_id', 'parent_asin', 'rating', 'timestamp'].map((name) =>
      requiredColumn(table, name),
    )
    return table.each((cells, line) => {
      const [user = '', item = '', rating, time] = places.map((place) => cells[place] as string)
      intake.row(user, item, Number(rating || 'x'), Number(time || 'x'), line)
    })
  }
  const product = itemColumn(file)
  if (product === null)
    throw new ReasonrecError('RR_DATA_COLUMNS', `${file.path}:1: users and products cannot be told apart`, {
      expected: 'one column of product ids such as B000123456',
      got: (file.lines[0] ?? '').slice(0, 80),
      remedy: 'import it with --format generic --no-header --user-column N --item-column N',
      file: file.path,
      line: 1,
    })
  await intake.cells(file, { by: ',', width: 4 }, (cells, line) => {
    const [rating, time] = [Number(cells[2] || 'x'), Number(cells[3] || 'x')]
    intake.row(cells[1 - product] as string, cells[product] as string, rating, time, line)
  })
}

/** Windows of the given split; rows of the histories too, where the train part is not there to hold them. */
async function readWindows(file: SourceFile, whole: boolean, intake: Intake): Promise<void> {
  const table = await intake.table(file)
  const places = ['user_id', 'parent_asin', 'rating', 'timestamp', 'history'].map((name) =>
    requiredColumn(table, name),
  )
  const part = partNamed(file.path) ?? 'test'
  const ids = (cell: string): string[] => cell.split(/\s+/).filter((id) => id !== '')
  await table.each((cells, line) => {
    const [user = '', item = '', rating, time, history = ''] = places.map((place) => cells[place] as string)
    if (whole) intake.row(user, item, Number(rating || 'x'), Number(time || 'x'), line)
    if (!whole || history !== '')
      intake.list(part === 'test' ? 'lastItem' : part, {
        user,
        history: ids(history),
        target: item,
        candidates: null,
        line,
      })
  })
}

async function readMeta(file: SourceFile, intake: Intake): Promise<void> {
  if (file.kind === 'parquet') return readParquetMeta(file, intake)
  await intake.objects(file, (value, line) => {
    const id = textOf(value.parent_asin ?? value.asin)
    if (id === '' || !intake.occurs(id)) return
    const { title, brand, store, categories, category: path, main_category } = value
    intake.item(
      id,
      typeof title === 'string' ? title : '',
      {
        brand: textOf(brand ?? store),
        categories: textOf(Array.isArray(categories) ? categories.flat() : (path ?? main_category)),
      },
      line,
    )
  })
}

/** Nested columns, which Parquet shows as text of lists, are left out. */
async function readParquetMeta(file: SourceFile, intake: Intake): Promise<void> {
  const table = await intake.table(file)
  const id = table.find('parent_asin', 'asin') ?? requiredColumn(table, 'parent_asin')
  const title = requiredColumn(table, 'title')
  const [brand, path] = [table.find('brand', 'store'), table.find('main_category')]
  const text = (cells: readonly string[], place: number | null): string =>
    place === null ? '' : (cells[place] as string)
  await table.each((cells, line) => {
    const own = cells[id] as string
    if (own === '' || !intake.occurs(own)) return
    const fields = { brand: text(cells, brand), categories: text(cells, path) }
    intake.item(own, cells[title] as string, fields, line)
  })
}

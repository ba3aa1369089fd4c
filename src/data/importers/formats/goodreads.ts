/**
 * Books of Goodreads:
 *   goodreads  UCSD Book Graph: goodreads_interactions*.json.gz (date_added as "Tue Oct 17 13:04:38 -0700 2017"; read_at is
 *              often empty and not used), goodreads_interactions.csv (no times; ids of its own, which book_id_map.csv beside it
 *              brings to those of the books; without the map no title is joined), goodreads_books*.json.gz
 *   goodbooks  goodbooks-10k: ratings.csv in the order of time, books.csv. Ratings name book_id, not goodreads_book_id.
 * A rating of 0 is none: the book is on a shelf only.
 */

import type { ReasonrecError } from '../../../engine/errors.js'
import { malformedCell, requiredColumn } from '../../table.js'
import { type Format, filesOf, type Head, type Role, type SourceFile } from '../format.js'
import { firstObject, headerCells } from '../head.js'
import type { Intake } from '../intake.js'
import { numberOf, textOf } from '../objects.js'
import { timeOf } from '../times.js'

export const goodreads: Format = {
  name: 'goodreads',
  about: 'Goodreads of UCSD: interactions as CSV or JSON lines, books',
  recognise(head: Head): Role | null {
    const object = firstObject(head)
    if (object) {
      const has = (name: string): boolean => name in object
      if (has('user_id') && has('book_id') && (has('date_added') || has('is_read'))) return 'interactions'
      return has('book_id') && has('title') && (has('isbn') || has('authors') || has('publication_year'))
        ? 'items'
        : null
    }
    const names = headerCells(head)
    if (names.includes('user_id') && names.includes('book_id') && names.includes('is_read'))
      return 'interactions'
    if (names.includes('book_id_csv')) return 'map'
    return names.includes('user_id_csv') ? 'side' : null
  },
  async read(set, intake) {
    const tables = filesOf(set, 'interactions').filter(({ name }) => /\.csv(\.gz)?$/.test(name))
    const [map] = filesOf(set, 'map')
    for (const file of filesOf(set, 'interactions'))
      await (tables.includes(file)
        ? readCsv(file, intake, map ? await bookIds(map, intake) : null)
        : readObjects(file, intake))
    // Numbers of the table are no ids of the books: joined, they would give titles of other books.
    const joined = tables.length === 0 || map !== undefined
    if (!joined)
      intake.note('books have numbers of the table’s own: put book_id_map.csv beside it to have their titles')
    for (const file of joined ? filesOf(set, 'items') : [])
      await intake.objects(file, (value, line) => {
        const id = textOf(value.book_id)
        if (id === '' || !intake.occurs(id)) return
        intake.item(id, textOf(value.title), { year: textOf(value.publication_year) }, line)
      })
    return { noun: 'book' }
  },
}

async function readObjects(file: SourceFile, intake: Intake): Promise<void> {
  await intake.objects(file, ({ user_id, book_id, rating, date_added }, line) => {
    const stars = numberOf(rating)
    intake.row(textOf(user_id), textOf(book_id), stars > 0 ? stars : null, timeOf(textOf(date_added)), line)
    if (!(stars > 0)) intake.count('rows without a rating: the book is on a shelf only')
  })
}

/** book_id_map.csv: numbers of the table to ids of the books. */
async function bookIds(file: SourceFile, intake: Intake): Promise<ReadonlyMap<string, string>> {
  const table = await intake.table(file)
  const [own, book] = [requiredColumn(table, 'book_id_csv'), requiredColumn(table, 'book_id')]
  const ids = new Map<string, string>()
  await table.each((cells) => ids.set(cells[own] as string, cells[book] as string))
  return ids
}

async function readCsv(
  file: SourceFile,
  intake: Intake,
  books: ReadonlyMap<string, string> | null,
): Promise<void> {
  const table = await intake.table(file)
  const [user, book, rating] = ['user_id', 'book_id', 'rating'].map((name) =>
    requiredColumn(table, name),
  ) as [number, number, number]
  await table.each((cells, line) => {
    const stars = Number(cells[rating] || 'x')
    const number = cells[book] as string
    const id = books ? books.get(number) : number
    if (id === undefined) throw unmapped(file, line, number)
    intake.row(cells[user] as string, id, stars > 0 ? stars : null, null, line)
    if (!(stars > 0)) intake.count('rows without a rating: the book is on a shelf only')
  })
}

function unmapped(file: SourceFile, line: number, number: string): ReasonrecError {
  return malformedCell(
    file.path,
    line,
    'a book that book_id_map.csv does not name',
    'a number of the map',
    number,
  )
}

export const goodbooks: Format = {
  name: 'goodbooks',
  about: 'goodbooks-10k: ratings.csv, books.csv',
  recognise(head: Head, all: readonly Head[]): Role | null {
    const names = headerCells(head, ',')
    if (names.includes('book_id') && names.includes('title') && names.includes('authors')) return 'items'
    if (names.join() === 'user_id,book_id,rating') return 'interactions'
    const beside = all.some((other) => headerCells(other, ',').includes('best_book_id'))
    return beside && /^(to_read|tags|book_tags)\.csv$/.test(head.name) ? 'side' : null
  },
  async read(set, intake) {
    for (const file of filesOf(set, 'interactions')) {
      const table = await intake.table(file)
      await table.each(([user = '', book = '', rating], line) =>
        intake.row(user, book, Number(rating || 'x'), null, line),
      )
    }
    for (const file of filesOf(set, 'items')) {
      const table = await intake.table(file)
      const [id, title] = [requiredColumn(table, 'book_id'), requiredColumn(table, 'title')]
      const [authors, year] = [table.find('authors'), table.find('original_publication_year')]
      await table.each((cells, line) =>
        intake.item(
          cells[id] as string,
          cells[title] as string,
          {
            year: year === null ? '' : (cells[year] as string).replace(/\.0$/, ''),
            authors: authors === null ? '' : (cells[authors] as string),
          },
          line,
        ),
      )
    }
    return { noun: 'book', wholeCatalogue: true }
  },
}

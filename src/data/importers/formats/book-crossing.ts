/**
 * Book-Crossing: BX-Book-Ratings.csv and BX-Books.csv, `;` between cells that are all quoted, Latin-1, quotes inside a cell
 * doubled or after a backslash. No times. A rating of 0 is implicit: the book was mentioned, not rated. Files differ in
 * whether an ISBN keeps its leading zeros, so they are left out of the ids.
 */

import { type Format, filesOf, type Head, type Role, type SourceFile } from '../format.js'
import { headerCells } from '../head.js'
import type { Intake } from '../intake.js'
import { malformedLine } from '../lines.js'

export const bookCrossing: Format = {
  name: 'book-crossing',
  about: 'Book-Crossing: BX-Book-Ratings.csv, BX-Books.csv',
  recognise(head: Head): Role | null {
    const names = headerCells(head, ';')
    if (names.includes('isbn'))
      return names.includes('book-rating') ? 'interactions' : names.includes('book-title') ? 'items' : null
    return names.includes('user-id') && names.includes('location') ? 'side' : null
  },
  async read(set, intake) {
    for (const file of filesOf(set, 'interactions'))
      await rows(file, intake, ['user-id', 'isbn', 'book-rating'], ([user = '', isbn = '', rating], line) => {
        const stars = Number(rating || 'x')
        intake.row(user, bare(isbn), stars > 0 ? stars : null, null, line)
        if (!(stars > 0)) intake.count('rows without a rating (0 means implicit)')
      })
    for (const file of filesOf(set, 'items'))
      await rows(
        file,
        intake,
        ['isbn', 'book-title', 'book-author', 'year-of-publication', 'publisher'],
        ([isbn = '', title = '', authors = '', year = '', brand = ''], line) =>
          intake.item(bare(isbn), title, { authors, year: year === '0' ? '' : year, brand }, line),
      )
    return { noun: 'book', wholeCatalogue: true }
  },
}

const bare = (isbn: string): string =>
  isbn
    .trim()
    .toUpperCase()
    .replace(/^0+(?=.)/, '')

async function rows(
  file: SourceFile,
  intake: Intake,
  wanted: readonly string[],
  visit: (cells: readonly string[], line: number) => void,
): Promise<void> {
  const names = headerCells(file, ';')
  const places = wanted.map((name) => names.indexOf(name))
  await intake.lines(file, 'either', (text, line) => {
    if (line === 1) return
    const cells = /^".*"$/.test(text) ? text.slice(1, -1).split(/";\s*"/) : text.split(';')
    if (cells.length < names.length)
      throw malformedLine(file.path, line, `${names.length} quoted cells`, text)
    visit(
      places.map((place) =>
        place < 0 ? '' : (cells[place] as string).replace(/\\(["\\])/g, '$1').replaceAll('""', '"'),
      ),
      line,
    )
  })
}

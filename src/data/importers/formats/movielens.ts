/**
 * MovieLens as it unpacks:
 *   100K          u.data (TAB: user, item, rating, seconds), u.item (`|`: id, title (year), ...), Latin-1
 *   1M, 10M       ratings.dat and movies.dat with `::`; 1M is Latin-1, 10M UTF-8
 *   latest, 20M+  ratings.csv and movies.csv, quoted titles
 * Years are taken from the end of the titles. Lines are split at \n alone: a title of 1M holds the byte 0x85.
 */

import { requiredColumn } from '../../table.js'
import { type Format, filesOf, type Head, type Role, type SourceFile } from '../format.js'
import { headerCells } from '../head.js'
import type { Intake } from '../intake.js'
import { malformedLine } from '../lines.js'

const sideFiles =
  /^(u\.(user|genre|info|occupation)|u[1-5ab]\.(base|test)|users\.dat|tags\.dat|(tags|links|genome-.*)\.csv)$/

export const movielens: Format = {
  name: 'movielens',
  about: 'MovieLens 100K, 1M, 10M, 20M and later',
  recognise(head: Head, all: readonly Head[]): Role | null {
    const { lines, name, kind } = head
    if (kind !== 'text') return null
    const [first = ''] = lines
    const hasItems = all.some((other) => other.name === 'u.item')
    if (sideFiles.test(name) && (hasItems || all.some((other) => /^movies\.(dat|csv)$/.test(other.name))))
      return 'side'
    if (name === 'u.data' || (/^u\b.*\.data$/.test(name) && hasItems)) return 'interactions'
    if (first.split('|').length >= 23 && /^\d+\|/.test(first)) return 'items'
    const cells = first.split('::')
    if (cells.length === 4 && /^\d+::\d+::[\d.]+::\d+$/.test(first)) return 'interactions'
    if (cells.length === 3 && /^\d*::.*::/.test(first) && !/^\d+::\d+::[\d.]+$/.test(first)) return 'items'
    if (name === 'ratings.dat' && cells.length > 1) return 'interactions'
    if (name === 'movies.dat' && cells.length > 1) return 'items'
    const names = headerCells(head)
    if (!names.includes('movieid')) return null
    if (names.includes('title')) return 'items'
    return names.includes('userid') && names.includes('rating') ? 'interactions' : 'side'
  },
  async read(set, intake) {
    const [ratings] = filesOf(set, 'interactions')
    const layout = layoutOf(ratings as SourceFile)
    for (const file of filesOf(set, 'items')) await readMovies(file, intake)
    if (layout === 'csv') await readCsv(ratings as SourceFile, intake)
    else await readDelimited(ratings as SourceFile, layout, intake)
    return { name: nameOf(layout), noun: 'film', wholeCatalogue: true }
  },
}

type Layout = '100k' | '1m' | 'csv'

const layoutOf = ({ lines }: Head): Layout =>
  (lines[0] ?? '').includes('::') ? '1m' : headerIsCsv(lines[0] ?? '') ? 'csv' : '100k'

const headerIsCsv = (line: string): boolean => /[a-z]/i.test(line) && line.includes(',')

const nameOf = (layout: Layout): string =>
  layout === '1m' ? 'MovieLens-1M' : layout === '100k' ? 'MovieLens-100K' : 'MovieLens'

async function readDelimited(file: SourceFile, layout: '100k' | '1m', intake: Intake): Promise<void> {
  const by = layout === '1m' ? '::' : '\t'
  await intake.cells(file, { by, width: 4, encoding: 'either' }, (cells, line) => {
    const [user = '', item = '', stars, seconds] = cells
    const [rating, time] = [Number(stars || 'x'), Number(seconds || 'x')]
    if (user === '' || item === '' || !Number.isFinite(rating) || !Number.isFinite(time))
      throw malformedLine(file.path, line, `user${by}item${by}rating${by}seconds`, cells.join(by))
    intake.row(user, item, rating, time, line)
  })
}

async function readCsv(file: SourceFile, intake: Intake): Promise<void> {
  const table = await intake.table(file)
  const places = ['userid', 'movieid', 'rating', 'timestamp'].map((name) => requiredColumn(table, name))
  await table.each((cells, line) => {
    const [user = '', item = '', rating, time] = places.map((place) => cells[place] as string)
    intake.row(user, item, Number(rating || 'x'), Number(time || 'x'), line)
  })
}

async function readMovies(file: SourceFile, intake: Intake): Promise<void> {
  const movie = (id: string, named: string, categories: string, line: number): void => {
    if (id === '') throw malformedLine(file.path, line, 'an id before the title', named)
    const [, title = named, year = ''] = /^(.*\S)\s*\((\d{4})\)\s*$/.exec(named) ?? []
    intake.item(id, title, { year, categories: categories === '(no genres listed)' ? '' : categories }, line)
  }
  if ((file.lines[0] ?? '').includes('::'))
    return intake.cells(
      file,
      { by: '::', width: 3, encoding: 'either' },
      ([id = '', title = '', genres = ''], line) => movie(id, title, genres, line),
    )
  if (!headerIsCsv(file.lines[0] ?? ''))
    return intake.cells(
      file,
      { by: '|', width: 23, more: true, encoding: 'either' },
      ([id = '', title = ''], line) => movie(id, title === 'unknown' ? '' : title, '', line),
    )
  const table = await intake.table(file)
  const [id, title, genres] = [
    requiredColumn(table, 'movieid'),
    requiredColumn(table, 'title'),
    table.find('genres'),
  ]
  await table.each((cells, line) =>
    movie(
      cells[id] as string,
      cells[title] as string,
      genres === null ? '' : (cells[genres] as string),
      line,
    ),
  )
}

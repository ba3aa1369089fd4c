/**
 * MovieLens-1M as it is unpacked: ratings.dat (user::item::rating::seconds) and movies.dat (id::title (year)::genres),
 * Latin-1, lines split at \n alone because titles may hold other line-breaking bytes. users.dat is not read.
 */

import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ReasonrecError } from '../../engine/errors.js'
import type { RawData, RawInteraction, RawItem } from './canonical.js'

const ratingsName = 'ratings.dat'
const moviesName = 'movies.dat'

export function isMovielens1m(folder: string): boolean {
  return existsSync(join(folder, ratingsName)) && existsSync(join(folder, moviesName))
}

export async function readMovielens1m(folder: string): Promise<RawData> {
  const interactionsPath = join(folder, ratingsName)
  const itemsPath = join(folder, moviesName)
  return {
    name: 'MovieLens-1M',
    noun: 'film',
    itemsPath,
    items: (await rowsOf(itemsPath, 3)).map(({ cells, line }) => movie(itemsPath, cells, line)),
    interactionsPath,
    interactions: (await rowsOf(interactionsPath, 4)).map(({ cells, line }) =>
      rating(interactionsPath, cells, line),
    ),
    timed: true,
    clock: 'shared',
    userSplit: null,
    windows: null,
    valid: null,
    test: null,
    lastItem: null,
  }
}

interface Row {
  readonly cells: readonly string[]
  readonly line: number
}

async function rowsOf(path: string, columns: number): Promise<Row[]> {
  const text = await readFile(path, 'latin1')
  return text.split('\n').flatMap((raw, index) => {
    const row = raw.replace(/\r$/, '')
    if (row === '') return []
    const cells = row.split('::')
    if (cells.length !== columns) throw malformed(path, index + 1, `${columns} cells separated by ::`, row)
    return [{ cells, line: index + 1 }]
  })
}

function movie(path: string, [id = '', named = '']: readonly string[], line: number): RawItem {
  if (id === '') throw malformed(path, line, 'an id before the title', named)
  const [, title = named, year = ''] = /^(.*\S)\s*\((\d{4})\)\s*$/.exec(named) ?? []
  return { id, title, year, authors: '' }
}

function rating(path: string, cells: readonly string[], line: number): RawInteraction {
  const [user = '', item = '', stars, seconds] = cells
  const [given, timestamp] = [Number(stars || 'x'), Number(seconds || 'x')]
  if (user === '' || item === '' || !Number.isFinite(given) || !Number.isFinite(timestamp))
    throw malformed(path, line, 'user::item::rating::seconds', cells.join('::'))
  return { user, item, rating: given, timestamp, line }
}

function malformed(path: string, line: number, expected: string, got: string): ReasonrecError {
  return new ReasonrecError('RR_DATA_MALFORMED', `${path}:${line}: a row that cannot be read`, {
    expected,
    got: got.slice(0, 80),
    remedy: 'unpack the set again',
    file: path,
    line,
  })
}

/**
 * The folder form of our own data sets. Each file may be .csv, .tsv or .jsonl, each also .gz:
 *
 *   ratings | interactions   user, item [, rating] [, timestamp]        needed
 *   items                    item, title [, year] [, authors]            needed
 *   split                    user, split (train | valid | test)          optional
 *   test20, valid20          user, history, target, candidates           optional, published lists
 *   candidates               user, target, history, negatives            optional, published test lists
 *   train_windows            user, history, target                       optional
 *   dataset.json             {"name": "...", "noun": "artist", "clock": "shared" | "own"}   optional
 *
 * Ids are text; lists of ids are separated by spaces, oldest first. Without a timestamp column the order of
 * the rows is the order in time. Only the form is read here; what it means is decided in src/data/split.ts.
 */

import { existsSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { ReasonrecError } from '../../engine/errors.js'
import { malformedRow, readTable, requiredColumn, type Table, tableEndings } from '../table.js'
import type { Clock, Part } from '../types.js'

export interface RawItem {
  readonly id: string
  readonly title: string
  readonly year: string
  readonly authors: string
}

export interface RawInteraction {
  readonly user: string
  readonly item: string
  readonly rating: number | null
  readonly timestamp: number
  readonly line: number
}

/** A published test, or a training window where `candidates` is null; ids as in the files. */
export interface RawList {
  readonly user: string
  readonly history: readonly string[]
  readonly target: string
  readonly candidates: readonly string[] | null
  readonly line: number
}

export interface RawLists {
  readonly path: string
  readonly rows: readonly RawList[]
  /** The target stands in a column of its own, so its place in `candidates` says nothing about the file. */
  readonly targetApart?: boolean
}

export interface RawData {
  readonly name: string
  readonly noun: string | null
  readonly itemsPath: string
  readonly items: readonly RawItem[]
  readonly interactionsPath: string
  readonly interactions: readonly RawInteraction[]
  /** False where the file has no times and its order is taken. */
  readonly timed: boolean
  readonly clock: Clock
  readonly userSplit: ReadonlyMap<string, Part> | null
  readonly windows: RawLists | null
  /** Lists for held-out users (test20, valid20). */
  readonly valid: RawLists | null
  readonly test: RawLists | null
  /** Lists for the last item of users who also train (candidates). */
  readonly lastItem: RawLists | null
}

const userNames = ['user', 'user_id', 'userid', 'uid']
const itemNames = ['item', 'item_id', 'itemid', 'iid', 'movieid', 'book_id']
const timeNames = ['timestamp', 'time', 'ts', 'when', 'date', 'ts_us', 'ts_ms']

function find(folder: string, ...stems: readonly string[]): string | null {
  const names = stems.flatMap((stem) => tableEndings.map((ending) => join(folder, stem + ending)))
  return names.find((name) => existsSync(name)) ?? null
}

/** Whether the folder has both tables of this form. */
export function hasCanonical(folder: string): boolean {
  return find(folder, 'ratings', 'interactions') !== null && find(folder, 'items') !== null
}

function needed(folder: string, ...stems: readonly string[]): string {
  const found = find(folder, ...stems)
  if (found) return found
  const looked = stems.flatMap((stem) => tableEndings.map((ending) => stem + ending)).join(', ')
  throw new ReasonrecError('RR_DATA_NOT_FOUND', `${folder} has no ${stems.join(' or ')} file`, {
    expected: `one of ${looked}`,
    got: 'none of them',
    remedy: `put the ${stems[0]} there; columns are described in the data documentation`,
  })
}

export async function readCanonical(directory: string): Promise<RawData> {
  const folder = resolve(directory)
  const entry = await stat(folder).catch(() => null)
  if (!entry?.isDirectory())
    throw new ReasonrecError('RR_DATA_NOT_FOUND', `the data folder ${directory} is not there`, {
      expected: 'a folder with ratings and items',
      got: entry ? 'a file' : 'nothing',
      remedy: 'give --data the path of the folder',
    })
  const interactionsPath = needed(folder, 'ratings', 'interactions')
  const itemsPath = needed(folder, 'items')
  const about = await readAbout(join(folder, 'dataset.json'))
  const lists = async (stem: string): Promise<RawLists | null> => {
    const path = find(folder, stem)
    return path ? readLists(path) : null
  }
  const splitPath = find(folder, 'split')
  const table = await readTable(interactionsPath)
  const interactions = readInteractions(table)
  const timed = table.column(...timeNames) !== null
  return {
    name: about.name ?? basename(folder),
    noun: about.noun ?? null,
    itemsPath,
    items: readItems(await readTable(itemsPath)),
    interactionsPath,
    interactions,
    timed,
    clock: about.clock ?? (timed && areTimes(interactions) ? 'shared' : 'own'),
    userSplit: splitPath ? readSplit(await readTable(splitPath)) : null,
    windows: await lists('train_windows'),
    valid: await lists('valid20'),
    test: await lists('test20'),
    lastItem: await lists('candidates'),
  }
}

/** Counted places, of a user or of the file, reach at most the number of rows; real times in any unit go beyond. */
function areTimes(interactions: readonly RawInteraction[]): boolean {
  return interactions.some(({ timestamp }) => timestamp > interactions.length || timestamp % 1 !== 0)
}

interface About {
  readonly name?: string
  readonly noun?: string
  readonly clock?: Clock
}

async function readAbout(path: string): Promise<About> {
  if (!existsSync(path)) return {}
  const text = await readFile(path, 'utf8')
  let about: unknown
  try {
    about = JSON.parse(text)
  } catch {
    about = null
  }
  const isText = (value: unknown): boolean => value === undefined || typeof value === 'string'
  const { name, noun, clock } = (about ?? {}) as Readonly<Record<keyof About, unknown>>
  const isClock = clock === undefined || clock === 'shared' || clock === 'own'
  if (typeof about !== 'object' || about === null || !isText(name) || !isText(noun) || !isClock)
    throw new ReasonrecError('RR_DATA_MALFORMED', `${path}:1: not a description of a data set`, {
      expected: '{"name": "...", "noun": "...", "clock": "shared" or "own"}',
      got: text.slice(0, 80),
      remedy: 'correct or remove the file',
    })
  return about as About
}

function present(table: Table, row: number, name: string, cell: string | undefined): string {
  const text = (cell ?? '').trim()
  if (text === '') throw malformedRow(table, row, `an empty ${name}`, `a ${name}`, 'nothing')
  return text
}

function readItems(table: Table): RawItem[] {
  const ids = requiredColumn(table, ...itemNames)
  const titles = requiredColumn(table, 'title', 'name', 'item_title', 'movie_title')
  const years = table.column('year', 'release_year', 'original_publication_year')
  const authors = table.column('authors', 'author')
  return ids.map((id, row) => ({
    id: present(table, row, 'item id', id),
    title: titles[row] as string,
    year: (years?.[row] ?? '').trim().replace(/\.0$/, ''),
    authors: (authors?.[row] ?? '').trim(),
  }))
}

function readInteractions(table: Table): RawInteraction[] {
  const users = requiredColumn(table, ...userNames)
  const items = requiredColumn(table, ...itemNames)
  const ratings = table.column('rating', 'score', 'stars')
  const times = table.column(...timeNames)
  return users.map((user, row) => ({
    user: present(table, row, 'user', user),
    item: present(table, row, 'item', items[row]),
    rating: ratingOf(table, row, ratings?.[row] ?? ''),
    timestamp: times ? timeOf(table, row, times[row] as string) : row + 1,
    line: table.line(row),
  }))
}

function ratingOf(table: Table, row: number, cell: string): number | null {
  if (cell.trim() === '') return null
  const rating = Number(cell)
  if (!Number.isFinite(rating))
    throw malformedRow(table, row, 'a rating that is no number', 'a number or nothing', cell.slice(0, 40))
  return rating
}

/** A number in any unit (only order counts), or a date such as 2000-07-30 18:45:03, read as UTC. */
function timeOf(table: Table, row: number, cell: string): number {
  const text = cell.trim()
  const isDate = /^\d{4}-\d\d-\d\d([T ][\d:.]+)?Z?$/.test(text)
  const time = isDate
    ? Date.parse(`${text.replace(' ', 'T').replace(/Z$/, '')}${text.length > 10 ? 'Z' : ''}`) / 1000
    : Number(text || 'x')
  if (!Number.isFinite(time))
    throw malformedRow(
      table,
      row,
      'a timestamp that is no time',
      'a number or YYYY-MM-DD hh:mm:ss',
      cell.slice(0, 40) || 'nothing',
    )
  return time
}

const partByName: Readonly<Record<string, Part>> = {
  train: 'train',
  valid: 'valid',
  validation: 'valid',
  val: 'valid',
  test: 'test',
}

function readSplit(table: Table): Map<string, Part> {
  const users = requiredColumn(table, ...userNames)
  const parts = requiredColumn(table, 'split', 'part')
  const split = new Map<string, Part>()
  users.forEach((cell, row) => {
    const user = present(table, row, 'user', cell)
    const part = partByName[(parts[row] as string).trim().toLowerCase()]
    if (!part)
      throw malformedRow(
        table,
        row,
        'an unknown part',
        'train, valid or test',
        (parts[row] as string).slice(0, 40),
      )
    const before = split.get(user)
    if (before && before !== part)
      throw new ReasonrecError(
        'RR_DATA_LEAK',
        `${table.path}:${table.line(row)}: user ${user} is in two parts`,
        {
          expected: 'each user in one part',
          got: `${before} and ${part}`,
          remedy: 'name each user once',
        },
      )
    split.set(user, part)
  })
  return split
}

const ids = (cell: string | undefined): string[] => (cell ?? '').split(/\s+/).filter((id) => id !== '')

async function readLists(path: string): Promise<RawLists> {
  const table = await readTable(path)
  const users = requiredColumn(table, ...userNames)
  const histories = requiredColumn(table, 'history')
  const targets = requiredColumn(table, 'target')
  const candidates = table.column('candidates')
  const negatives = table.column('negatives')
  const rows = users.map((user, row) => {
    const target = present(table, row, 'target', targets[row])
    const shown = candidates ? ids(candidates[row]) : negatives ? [target, ...ids(negatives[row])] : null
    return {
      user: present(table, row, 'user', user),
      history: ids(histories[row]),
      target,
      candidates: shown,
      line: table.line(row),
    }
  })
  return { path, rows, ...(negatives && !candidates && { targetApart: true }) }
}

/**
 * The folder form of our own data sets, which every import writes. Each file may be .csv, .tsv, .jsonl (each also .gz) or
 * .parquet:
 *
 *   ratings | interactions   user, item [, rating] [, timestamp | order]    needed
 *   items                    item, title [, year] [, authors] [, ...]        needed
 *   split                    user, split (train | valid | test)              optional
 *   test20 | test,
 *   valid20 | valid          user, history, target [, candidates]            optional, published lists
 *   candidates               user, target, history [, negatives]             optional, lists for a user's last item
 *   train_windows            user, history, target                           optional
 *   dataset.json             {"name": "...", "noun": "artist", "clock": "shared" | "own"}   optional
 *
 * Ids are text; lists of ids are separated by spaces, oldest first. Without a timestamp column the order of
 * the rows is the order in time. Only the form is read here; what it means is decided in src/data/split.ts.
 */

import { existsSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { ReasonrecError } from '../../engine/errors.js'
import { malformedCell, requiredColumn, type Table, tableEndings } from '../table.js'
import type { Clock, Part } from '../types.js'
import { type FileSet, type Format, filesOf, type Role, type SourceFile, stemOf } from './format.js'
import { columnNames } from './formats/generic.js'
import type { Intake } from './intake.js'
import { timeOf } from './times.js'

export type { RawData, RawInteraction, RawItem, RawList, RawLists } from '../raw.js'

const parts: Readonly<Record<string, Part>> = {
  train: 'train',
  valid: 'valid',
  validation: 'valid',
  val: 'valid',
  test: 'test',
}

/** File stems of each kind of list, the one that an import writes last. */
export const listStems = {
  train: ['train_windows'],
  valid: ['valid20', 'valid'],
  test: ['test20', 'test'],
  lastItem: ['candidates'],
} as const

export const canonical: Format = {
  name: 'reasonrec',
  about: 'our own form: interactions, items, given lists (docs/data.md)',
  verbatim: true,
  recognise: () => null,
  async read(set, intake) {
    const [rows, items] = [filesOf(set, 'interactions')[0], filesOf(set, 'items')[0]] as [
      SourceFile,
      SourceFile,
    ]
    const [split] = set.files.filter((file) => stemOf(file) === 'split')
    await readInteractions(await intake.table(rows), intake)
    await readItems(await intake.table(items), intake)
    for (const [kind, stems] of Object.entries(listStems) as [keyof typeof listStems, readonly string[]][]) {
      const file = stems.map((stem) => set.files.find((one) => stemOf(one) === stem)).find((found) => found)
      if (file) await readLists(await intake.table(file), kind, intake)
    }
    const folder = rows.path.slice(0, -rows.name.length)
    const { name, noun, clock, origin } = await readAbout(join(folder, 'dataset.json'))
    return {
      name: name ?? set.name,
      ...(noun !== undefined && { noun }),
      ...(clock !== undefined && { clock }),
      origin: origin ?? null,
      userSplit: split ? await readSplit(await intake.table(split)) : null,
    }
  },
}

function find(folder: string, ...stems: readonly string[]): string | null {
  const names = stems.flatMap((stem) => tableEndings.map((ending) => join(folder, stem + ending)))
  return names.find((name) => existsSync(name)) ?? null
}

/** Whether the folder has both tables of this form. */
export function hasCanonical(folder: string): boolean {
  return find(folder, 'ratings', 'interactions') !== null && find(folder, 'items') !== null
}

/** @throws RR_DATA_NOT_FOUND where the folder or a needed table is missing */
export async function canonicalSet(folder: string): Promise<FileSet> {
  const entry = await stat(folder).catch(() => null)
  if (!entry?.isDirectory())
    throw new ReasonrecError('RR_DATA_NOT_FOUND', `the data folder ${folder} is not there`, {
      expected: 'a folder with ratings and items',
      got: entry ? 'a file' : 'nothing',
      remedy: 'give --data the path of the folder',
    })
  const file = (path: string, role: Role): SourceFile => ({
    path,
    name: basename(path),
    kind: 'text',
    text: '',
    lines: [],
    columns: [],
    role,
  })
  const lists = ['split', ...Object.values(listStems).flat()].flatMap((stem) => {
    const path = find(folder, stem)
    return path ? [file(path, 'map')] : []
  })
  return {
    name: basename(folder),
    files: [
      file(needed(folder, 'ratings', 'interactions'), 'interactions'),
      file(needed(folder, 'items'), 'items'),
      ...lists,
    ],
    preference: 0,
  }
}

function needed(folder: string, ...stems: readonly string[]): string {
  const found = find(folder, ...stems)
  if (found) return found
  const looked = stems.flatMap((stem) => tableEndings.map((ending) => stem + ending)).join(', ')
  throw new ReasonrecError('RR_DATA_NOT_FOUND', `${folder} has no ${stems.join(' or ')} file`, {
    expected: `one of ${looked}`,
    got: 'none of them, and no other format that is known',
    remedy: `put the ${stems[0]} there, or see reasonrec data inspect; columns are described in the data documentation`,
  })
}

interface About {
  readonly name?: string
  readonly noun?: string
  readonly clock?: Clock
  readonly origin?: object
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
  const { name, noun, clock, origin } = (about ?? {}) as Readonly<Record<keyof About, unknown>>
  const isClock = clock === undefined || clock === 'shared' || clock === 'own'
  const isOrigin = origin === undefined || (typeof origin === 'object' && origin !== null)
  if (typeof about !== 'object' || about === null || !isText(name) || !isText(noun) || !isClock || !isOrigin)
    throw new ReasonrecError('RR_DATA_MALFORMED', `${path}:1: not a description of a data set`, {
      expected: '{"name": "...", "noun": "...", "clock": "shared" or "own"}',
      got: text.slice(0, 80),
      remedy: 'correct or remove the file',
    })
  return about as About
}

async function readItems(table: Table, intake: Intake): Promise<void> {
  const [id, title] = [
    requiredColumn(table, ...columnNames.item),
    requiredColumn(table, ...columnNames.title),
  ]
  const year = table.find(...columnNames.year)
  const authors = table.find(...columnNames.authors)
  const own = new Set([id, title, year, authors])
  const further = table.columns.flatMap((name, place) => (own.has(place) ? [] : [[name, place] as const]))
  await table.each((cells, line) =>
    intake.item(
      cells[id] as string,
      cells[title] as string,
      {
        ...Object.fromEntries(further.map(([name, place]) => [name, cells[place] as string])),
        year: year === null ? '' : (cells[year] as string).trim().replace(/\.0$/, ''),
        authors: authors === null ? '' : (cells[authors] as string),
      },
      line,
    ),
  )
}

async function readInteractions(table: Table, intake: Intake): Promise<void> {
  const [user, item] = [
    requiredColumn(table, ...columnNames.user),
    requiredColumn(table, ...columnNames.item),
  ]
  const [rating, time, order] = [
    table.find(...columnNames.rating),
    table.find(...columnNames.time),
    table.find('order'),
  ]
  await table.each((cells, line) => {
    const stars = rating === null ? '' : (cells[rating] as string).trim()
    const given = stars === '' ? null : Number(stars)
    if (given !== null && !Number.isFinite(given))
      throw malformedCell(table.path, line, 'a rating that is no number', 'a number or nothing', stars)
    const when = time ?? order
    const at = when === null ? null : timeOf(cells[when] as string)
    if (at !== null && !Number.isFinite(at))
      throw malformedCell(
        table.path,
        line,
        'a timestamp that is no time',
        'a number or YYYY-MM-DD hh:mm:ss',
        cells[when as number] as string,
      )
    intake.row(cells[user] as string, cells[item] as string, given, at, line)
  })
}

async function readSplit(table: Table): Promise<Map<string, Part>> {
  const [users, places] = [requiredColumn(table, ...columnNames.user), requiredColumn(table, 'split', 'part')]
  const split = new Map<string, Part>()
  await table.each((cells, line) => {
    const user = (cells[users] as string).trim()
    const named = cells[places] as string
    const part = parts[named.trim().toLowerCase()]
    if (user === '') throw malformedCell(table.path, line, 'an empty user', 'a user', '')
    if (!part) throw malformedCell(table.path, line, 'an unknown part', 'train, valid or test', named)
    const before = split.get(user)
    if (before && before !== part)
      throw new ReasonrecError('RR_DATA_LEAK', `${table.path}:${line}: user ${user} is in two parts`, {
        expected: 'each user in one part',
        got: `${before} and ${part}`,
        remedy: 'name each user once',
      })
    split.set(user, part)
  })
  return split
}

const ids = (cell: string): string[] => cell.split(/\s+/).filter((id) => id !== '')

async function readLists(table: Table, kind: keyof typeof listStems, intake: Intake): Promise<void> {
  const [user, history, target] = [
    requiredColumn(table, ...columnNames.user),
    requiredColumn(table, 'history'),
    requiredColumn(table, 'target'),
  ]
  const [candidates, negatives] = [table.find('candidates'), table.find('negatives')]
  intake.openLists(kind, negatives !== null && candidates === null)
  await table.each((cells, line) => {
    const by = (cells[user] as string).trim()
    const chosen = (cells[target] as string).trim()
    if (by === '') throw malformedCell(table.path, line, 'an empty user', 'a user', '')
    const shown =
      candidates !== null
        ? ids(cells[candidates] as string)
        : negatives !== null
          ? [chosen, ...ids(cells[negatives] as string)]
          : null
    intake.list(kind, {
      user: by,
      history: ids(cells[history] as string),
      target: chosen,
      candidates: shown,
      line,
    })
  })
}

/**
 * RecBole atomic files: TAB, first line `field:type`, cells never quoted.
 *   .inter  user, item [, rating] [, timestamp]      .item  item, title, ...      .user .kg .link .net  not read
 *   benchmark .inter  user, item_id_list (oldest first, separated by spaces), item: one row per window, one file per part
 */

import {
  type FileSet,
  type Format,
  filesOf,
  type Head,
  partNamed,
  type Role,
  type SourceFile,
  stemOf,
} from '../format.js'
import { headerCells } from '../head.js'
import type { Intake } from '../intake.js'
import { malformedLine } from '../lines.js'

const field = /^[^\s:]+:(token|token_seq|float|float_seq)$/

interface Field {
  readonly name: string
  readonly place: number
}

export const recbole: Format = {
  name: 'recbole',
  about: 'RecBole atomic files (.inter, .item) and benchmark files (.train.inter, ...)',
  recognise(head: Head): Role | null {
    const names = headerCells(head, '\t')
    if (head.kind !== 'text' || names.length < 2 || !names.every((name) => field.test(name))) return null
    if (names.some((name) => name.startsWith('item_id_list:'))) return 'windows'
    if (/\.(kg|link|user|net)$/.test(head.name)) return 'side'
    return names.some((name) => name.startsWith('user_id:')) ? 'interactions' : 'items'
  },
  sets(files) {
    const groups = new Map<string, SourceFile[]>()
    for (const file of files.filter(({ role }) => role === 'interactions' || role === 'windows')) {
      const key = `${file.path.slice(0, -file.name.length)}${stem(file)}`
      groups.set(key, [...(groups.get(key) ?? []), file])
    }
    return [...groups.values()].map((group): FileSet => {
      const name = stem(group[0] as SourceFile)
      const items = files.filter(
        (file) => file.role === 'items' && (groups.size === 1 || stem(file) === name),
      )
      return { name, files: [...group, ...items], preference: 0 }
    })
  },
  async read(set, intake) {
    for (const file of filesOf(set, 'interactions')) await readInteractions(file, intake)
    for (const file of filesOf(set, 'windows')) await readWindows(file, intake)
    for (const file of filesOf(set, 'items')) await readItems(file, intake)
    return { wholeCatalogue: true }
  },
}

const stem = (file: Head): string => stemOf(file).replace(/\.(train|valid|test)$/, '')

function fieldsOf(head: Head): Field[] {
  return headerCells(head, '\t').map((cell, place) => ({ name: cell.replace(/:.*/, ''), place }))
}

function place(head: Head, ...names: readonly string[]): number | null {
  const fields = fieldsOf(head)
  for (const name of names) {
    const found = fields.find((one) => one.name === name)
    if (found) return found.place
  }
  return null
}

function needed(head: Head, ...names: readonly string[]): number {
  const found = place(head, ...names)
  if (found === null) throw malformedLine(head.path, 1, `a field ${names[0]}`, head.lines[0] ?? '')
  return found
}

/** Rows below the first line. */
function below(
  file: SourceFile,
  intake: Intake,
  visit: (cells: readonly string[], line: number) => void,
): Promise<void> {
  return intake.cells(file, { by: '\t', width: headerCells(file, '\t').length }, (cells, line) => {
    if (line > 1) visit(cells, line)
  })
}

async function readInteractions(file: SourceFile, intake: Intake): Promise<void> {
  const [user, item] = [
    needed(file, 'user_id'),
    needed(file, 'item_id', 'movie_id', 'artist_id', 'book_id', 'business_id'),
  ]
  const [rating, time] = [place(file, 'rating', 'stars', 'label'), place(file, 'timestamp', 'time', 'date')]
  await below(file, intake, (cells, line) => {
    const stars = rating === null ? '' : (cells[rating] as string)
    const when = time === null ? null : Number(cells[time] || 'x')
    intake.row(cells[user] as string, cells[item] as string, Number(stars || 'x'), when, line)
  })
}

async function readWindows(file: SourceFile, intake: Intake): Promise<void> {
  const [user, history, item] = [
    needed(file, 'user_id'),
    needed(file, 'item_id_list'),
    needed(file, 'item_id'),
  ]
  const part = partNamed(file.name) ?? 'test'
  await below(file, intake, (cells, line) =>
    intake.list(part === 'test' ? 'lastItem' : part, {
      user: cells[user] as string,
      history: (cells[history] as string).split(' ').filter((id) => id !== ''),
      target: cells[item] as string,
      candidates: null,
      line,
    }),
  )
}

async function readItems(file: SourceFile, intake: Intake): Promise<void> {
  const id = needed(file, 'item_id', 'movie_id', 'artist_id', 'book_id', 'business_id')
  const title = place(file, 'title', 'movie_title', 'name', 'artist_name', 'item_name', 'book_title')
  const [year, categories] = [
    place(file, 'release_year', 'year'),
    place(file, 'categories', 'class', 'genre', 'genres'),
  ]
  const brand = place(file, 'brand')
  await below(file, intake, (cells, line) => {
    const cell = (at: number | null): string => (at === null ? '' : (cells[at] as string))
    intake.item(
      cells[id] as string,
      cell(title),
      { year: cell(year), categories: cell(categories), brand: cell(brand) },
      line,
    )
  })
}

/**
 * Windows as CSV with lists written as Python literals, one file per part (train/, valid/, test/), titles in info/:
 *   d3          D3, BIGRec: user_id, history_item_id, item_id, titles, ratings and times of both; info: title TAB id
 *   minionerec  MiniOneRec: the same with semantic ids, no times; info: semantic id TAB title TAB id
 * Windows are kept as they are. Rows of interactions come from them: with their times in d3, else in the order that agrees
 * with all windows of a user.
 */

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
import { everyLine, headerCells } from '../head.js'
import type { Intake } from '../intake.js'
import { malformedLine } from '../lines.js'
import { parsePython } from '../python-literal.js'
import { timeOf } from '../times.js'

const isWindows = (head: Head): boolean => {
  const names = headerCells(head, ',')
  return names.includes('user_id') && names.includes('history_item_id') && names.includes('item_id')
}
const isSemantic = (head: Head): boolean => headerCells(head, ',').includes('history_item_sid')

const oneSet = (files: readonly SourceFile[]): FileSet[] => {
  const first = files.find(({ role }) => role === 'windows')
  return first ? [{ name: first.name.replace(/(\.csv)(\.gz)?$/, ''), files, preference: 0 }] : []
}

export const d3: Format = {
  name: 'd3',
  about: 'D3 and BIGRec: CSV of windows with Python lists, info/*.txt',
  recognise(head: Head, all: readonly Head[]): Role | null {
    if (isWindows(head)) return isSemantic(head) ? null : 'windows'
    const beside = all.some((other) => isWindows(other) && !isSemantic(other))
    return beside && everyLine(head, /^[^\t]*\t\d+$/) ? 'items' : null
  },
  sets: oneSet,
  read: readSet,
}

export const minionerec: Format = {
  name: 'minionerec',
  about: 'MiniOneRec: the same with semantic ids',
  recognise(head: Head): Role | null {
    if (isWindows(head)) return isSemantic(head) ? 'windows' : null
    return everyLine(head, /^(<[a-z]_\d+>)+\t[^\t]*\t\d+$/) ? 'items' : null
  },
  sets: oneSet,
  read: readSet,
}

async function readSet(set: FileSet, intake: Intake): Promise<{ wholeCatalogue: true }> {
  for (const file of filesOf(set, 'windows')) await readWindows(file, intake)
  for (const file of filesOf(set, 'items'))
    await intake.lines(file, 'utf-8', (text, line) => {
      const cells = text.split('\t')
      const [title, id] = [cells.at(-2), cells.at(-1)]
      if (title === undefined || !id) throw malformedLine(file.path, line, 'title TAB id', text)
      intake.item(id, title, {}, line)
    })
  return { wholeCatalogue: true }
}

async function readWindows(file: SourceFile, intake: Intake): Promise<void> {
  const table = await intake.table(file)
  const [user, history, item] = ['user_id', 'history_item_id', 'item_id'].map((name) =>
    requiredColumn(table, name),
  ) as [number, number, number]
  const [pastTimes, time] = [table.find('history_timestamp'), table.find('timestamp')]
  const [pastRatings, rating] = [table.find('history_rating'), table.find('rating')]
  const part = partNamed(file.path) ?? 'test'
  // Windows of one user overlap: a row counts once.
  const known = new Set<string>()
  await table.each((cells, line) => {
    const by = cells[user] as string
    const past = listOf(cells[history] as string, file.path, line)
    intake.list(part, { user: by, history: past, target: cells[item] as string, candidates: null, line })
    if (pastTimes === null || time === null) return
    const times = [...listOf(cells[pastTimes] as string, file.path, line), cells[time] as string]
    const stars = [
      ...(pastRatings === null ? past.map(() => '') : listOf(cells[pastRatings] as string, file.path, line)),
      rating === null ? '' : (cells[rating] as string),
    ]
    ;[...past, cells[item] as string].forEach((id, place) => {
      const row = JSON.stringify([by, id, times[place]])
      if (known.has(row)) return
      known.add(row)
      intake.row(by, id, Number(stars[place] || 'x'), timeOf(times[place] ?? ''), line)
    })
  })
}

function listOf(cell: string, path: string, line: number): string[] {
  try {
    const value = parsePython(cell)
    if (Array.isArray(value)) return value.map(String)
  } catch {
    // named below
  }
  throw malformedLine(path, line, 'a Python list', cell)
}

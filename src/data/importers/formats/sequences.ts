/**
 * Plain sequences of ids, without titles:
 *   sasrec    `user item` a line, oldest first
 *   tisasrec  user TAB item TAB rating TAB time
 *   s3rec     `user i1 i2 ...`; NAME_sample.txt: `user` and 99 negatives for his last item; item2attributes JSON is not read
 *   p5        the same in sequential_data.txt and negative_samples; datamaps.json gives the ids of the files back, because
 *             P5 numbers items as they first come, and the number says where an item stood
 */

import { type Format, filesOf, type Head, type Role, type SourceFile } from '../format.js'
import { everyLine, splitLines } from '../head.js'
import type { Intake } from '../intake.js'
import { malformedLine } from '../lines.js'
import { readJson } from '../objects.js'

const withoutTitles = 'there are no titles in this format; give them with --items FILE'

export const sasrec: Format = {
  name: 'sasrec',
  about: 'SASRec text: `user item` a line',
  recognise: (head: Head): Role | null => (everyLine(head, /^\d+ \d+$/) ? 'interactions' : null),
  async read(set, intake) {
    for (const file of filesOf(set, 'interactions'))
      await intake.cells(file, { by: ' ', width: 2 }, ([user = '', item = ''], line) =>
        intake.row(user, item, null, null, line),
      )
    intake.note(withoutTitles)
    return {}
  },
}

export const tisasrec: Format = {
  name: 'tisasrec',
  about: 'TiSASRec text: user, item, rating, time between tabs',
  recognise: (head: Head): Role | null =>
    everyLine(head, /^\d+\t\d+\t\d{1,2}(\.\d+)?\t\d{6,}(\.\d+)?$/) ? 'interactions' : null,
  async read(set, intake) {
    for (const file of filesOf(set, 'interactions'))
      await intake.cells(file, { by: '\t', width: 4 }, ([user = '', item = '', rating, time], line) =>
        intake.row(user, item, Number(rating || 'x'), Number(time || 'x'), line),
      )
    intake.note(withoutTitles)
    return {}
  },
}

const isSequences = (head: Head): boolean =>
  everyLine(head, /^\d+( \d+)+$/) && splitLines(head, ' ').some(({ length }) => length > 2)

/** As many ids in every line, and said by the name: negatives, not sequences. */
const isNegatives = (head: Head): boolean =>
  isSequences(head) &&
  /_sample|negative/.test(head.name) &&
  new Set(splitLines(head, ' ').map(({ length }) => length)).size === 1

const isDatamaps = ({ text }: Head): boolean => /^\s*\{\s*"(user2id|item2id|id2user|id2item)"/.test(text)

function recogniseSequences(head: Head): Role | null {
  if (isNegatives(head)) return 'map'
  if (isSequences(head)) return 'interactions'
  return null
}

export const p5: Format = {
  name: 'p5',
  about: 'P5: sequential_data.txt with datamaps.json',
  recognise(head: Head, all: readonly Head[]): Role | null {
    if (!all.some(isDatamaps)) return null
    if (isDatamaps(head)) return 'map'
    return head.kind === 'pickle' ? 'side' : recogniseSequences(head)
  },
  async read(set, intake) {
    const maps = filesOf(set, 'map').find(isDatamaps)
    if (!maps) throw malformedLine(set.files[0]?.path ?? '', 1, 'datamaps.json beside it', 'none')
    const { user2id, item2id } = (await readJson(maps.path)) as Record<string, Record<string, unknown>>
    const backwards = (map: Record<string, unknown> = {}): Map<string, string> =>
      new Map(Object.entries(map).map(([original, id]) => [String(id), original]))
    await readSequences(set.files, { users: backwards(user2id), items: backwards(item2id) }, intake)
    return {}
  },
}

export const s3rec: Format = {
  name: 's3rec',
  about: 'S3-Rec text: `user i1 i2 ...`, with NAME_sample.txt for 99 negatives',
  recognise(head: Head): Role | null {
    if (/item2attributes/.test(head.name) && head.text.startsWith('{')) return 'side'
    return recogniseSequences(head)
  },
  async read(set, intake) {
    await readSequences(set.files, null, intake)
    return {}
  },
}

interface Names {
  readonly users: ReadonlyMap<string, string>
  readonly items: ReadonlyMap<string, string>
}

async function readSequences(
  files: readonly SourceFile[],
  names: Names | null,
  intake: Intake,
): Promise<void> {
  const original = (
    map: ReadonlyMap<string, string> | undefined,
    id: string,
    path: string,
    line: number,
  ): string => {
    const found = map ? map.get(id) : id
    if (found === undefined) throw malformedLine(path, line, 'ids that datamaps.json lists', id)
    return found
  }
  const sequences = new Map<string, readonly string[]>()
  const samples = files.some(isNegatives)
  const each = (
    file: SourceFile,
    visit: (user: string, items: readonly string[], line: number) => void,
  ): Promise<void> =>
    intake.lines(file, 'utf-8', (text, line) => {
      const [user = '', ...items] = text.trim().split(/\s+/)
      if (items.length === 0) throw malformedLine(file.path, line, 'a user and his items', text)
      visit(
        original(names?.users, user, file.path, line),
        items.map((id) => original(names?.items, id, file.path, line)),
        line,
      )
    })
  for (const file of files.filter((one) => one.role === 'interactions'))
    await each(file, (user, items, line) => {
      for (const item of items) intake.row(user, item, null, null, line)
      if (samples) sequences.set(user, items)
    })
  if (samples) intake.openLists('lastItem', true)
  for (const file of files.filter(isNegatives))
    await each(file, (user, negatives, line) => {
      const items = sequences.get(user)
      const target = items?.at(-1)
      if (!items || target === undefined) throw malformedLine(file.path, line, 'a user with a sequence', user)
      intake.list('lastItem', {
        user,
        history: items.slice(0, -1),
        target,
        candidates: [target, ...negatives],
        line,
      })
    })
  intake.note(withoutTitles)
}

/**
 * MIND news: behaviors.tsv (impression, user, "11/10/2019 1:05:58 AM", history, "N1-1 N2-0 ..."), news.tsv. Each click
 * becomes a list: the click and what was shown beside it and not clicked; they are kept as given candidates. A user's
 * sequence is the history of his first impression, which has no times, and then his clicks by time: order only.
 */

import { type Format, filesOf, type Head, partNamed, type Role } from '../format.js'
import { splitLines } from '../head.js'
import type { Intake } from '../intake.js'
import { malformedLine } from '../lines.js'
import { timeOf } from '../times.js'

const impressions = /^\S+-[01]( \S+-[01])*$/

interface Click {
  readonly item: string
  readonly time: number
  readonly line: number
}

interface Reader {
  readonly history: readonly string[]
  readonly clicks: Click[]
}

export const mind: Format = {
  name: 'mind',
  about: 'MIND news: behaviors.tsv, news.tsv',
  recognise(head: Head): Role | null {
    const rows = splitLines(head, '\t')
    if (rows.length === 0) return null
    if (rows.every((row) => row.length === 5 && impressions.test((row[4] ?? '').trim())))
      return 'interactions'
    if (rows.every((row) => row.length === 8 && /^N\d+$/.test(row[0] ?? ''))) return 'items'
    return /_embedding\.vec$/.test(head.name) ? 'side' : null
  },
  async read(set, intake) {
    const users = new Map<string, Reader>()
    for (const file of filesOf(set, 'interactions')) {
      const part = partNamed(file.path) ?? 'test'
      await intake.cells(file, { by: '\t', width: 5 }, (cells, line) =>
        readImpression(cells, line, { file, part, users, intake }),
      )
    }
    for (const [user, { history, clicks }] of users) {
      for (const item of history) intake.row(user, item, null, null, 0)
      // A stable sort: clicks of one impression keep the order in which they were shown.
      for (const { item, line } of clicks.sort((a, b) => a.time - b.time))
        intake.row(user, item, null, null, line)
    }
    for (const file of filesOf(set, 'items'))
      await intake.cells(
        file,
        { by: '\t', width: 8 },
        ([id = '', category = '', sub = '', title = ''], line) =>
          intake.item(id, title, { categories: [category, sub].filter(Boolean).join('|') }, line),
      )
    return { name: 'MIND', noun: 'news story', wholeCatalogue: true }
  },
}

function readImpression(
  cells: readonly string[],
  line: number,
  to: {
    readonly file: Head
    readonly part: 'train' | 'valid' | 'test'
    readonly users: Map<string, Reader>
    readonly intake: Intake
  },
): void {
  const [, user = '', date = '', past = '', shown = ''] = cells
  const time = timeOf(date)
  if (Number.isNaN(time) || !impressions.test(shown.trim()))
    throw malformedLine(to.file.path, line, 'impression, user, date, history, N1-1 N2-0', cells.join('\t'))
  const history = past.split(' ').filter((id) => id !== '')
  const reader = to.users.get(user) ?? { history, clicks: [] }
  to.users.set(user, reader)
  const all = shown.trim().split(' ')
  for (const one of all.filter((mark) => mark.endsWith('-1'))) {
    const target = one.slice(0, -2)
    reader.clicks.push({ item: target, time, line })
    to.intake.list(to.part, {
      user,
      history,
      target,
      candidates: to.part === 'train' ? null : besideNoOtherClick(all, one),
      line,
    })
  }
}

/** In the order in which they were shown. */
const besideNoOtherClick = (shown: readonly string[], click: string): string[] =>
  shown.filter((one) => one === click || one.endsWith('-0')).map((one) => one.slice(0, -2))

/**
 * From rows of items to the catalogue: titles cleaned (untrusted), told apart where they can be, merged
 * where they cannot, all before any split. Rows whose titles are equal (title.ts) get " (year)" if their
 * years differ, then ", authors" if those differ; rows still equal are one item under several ids, because
 * an answer is a title and could not tell them apart. Other titles are shown as they are.
 */

import { untrusted } from '../prompts/untrusted-text.js'
import type { RawItem } from './raw.js'
import { normaliseTitle } from './title.js'
import type { Item, ItemIndex } from './types.js'

export interface Catalogue {
  readonly items: readonly Item[]
  /** By id in the files; merged ids share an index. */
  readonly indexOf: ReadonlyMap<string, ItemIndex>
  /** Ids of rows without a title: known, but nothing can be shown for them. */
  readonly untitled: ReadonlySet<string>
  readonly notes: readonly string[]
}

interface Row {
  readonly raw: RawItem
  readonly title: string
  readonly marks: string[]
}

const label = ({ title, marks }: Row): string => (marks.length > 0 ? `${title} (${marks.join(', ')})` : title)

function groupsOfEqualTitles(rows: readonly Row[]): Row[][] {
  const groups = new Map<string, Row[]>()
  for (const row of rows) {
    const key = normaliseTitle(untrusted(label(row)).text)
    const group = groups.get(key)
    if (group) group.push(row)
    else groups.set(key, [row])
  }
  return [...groups.values()].filter((group) => group.length > 1)
}

/** Adds a column's value to the titles of each group in which it differs; returns how many titles changed. */
function tellApart(rows: readonly Row[], column: 'year' | 'authors'): number {
  let changed = 0
  for (const group of groupsOfEqualTitles(rows)) {
    if (new Set(group.map(({ raw }) => raw[column])).size < 2) continue
    for (const row of group) {
      if (row.raw[column] === '') continue
      row.marks.push(row.raw[column])
      changed++
    }
  }
  return changed
}

export function buildCatalogue(raw: readonly RawItem[]): Catalogue {
  const byId = new Map<string, Row>()
  const untitled = new Set<string>()
  let repeated = 0
  for (const item of raw) {
    const title = untrusted(item.title).text
    if (byId.has(item.id) || untitled.has(item.id)) repeated++
    else if (title === '') untitled.add(item.id)
    else byId.set(item.id, { raw: item, title, marks: [] })
  }
  const rows = [...byId.values()]
  const marked = tellApart(rows, 'year') + tellApart(rows, 'authors')

  const items: Item[] = []
  const indexOf = new Map<string, ItemIndex>()
  const byTitle = new Map<string, ItemIndex>()
  for (const row of rows) {
    const title = untrusted(label(row))
    const key = normaliseTitle(title.text)
    const same = byTitle.get(key)
    const index = same ?? items.push({ id: row.raw.id, title }) - 1
    byTitle.set(key, index)
    indexOf.set(row.raw.id, index)
  }
  const notes = [
    note(rows.length - items.length, 'item ids share a title with another and were merged with it'),
    note(marked, 'titles carry year or authors because another item has the same title'),
    note(repeated, 'repeated rows of an item id were ignored'),
    note(untitled.size, 'items without a title were left out'),
  ]
  return { items, indexOf, untitled, notes: notes.flat() }
}

/** No note about nothing. */
export function note(count: number, text: string): string[] {
  return count > 0 ? [`${count} ${text}`] : []
}

/**
 * Interactions by user, oldest first, and the window before a position. Equal times keep the order of the
 * file (a stable sort). A row that repeats user, item and time of an earlier row is dropped; the same item
 * at another time is a repeat and stays.
 */

import { ReasonrecError } from '../engine/errors.js'
import { type Catalogue, note } from './catalogue.js'
import type { RawData } from './raw.js'
import type { Interaction, ItemIndex } from './types.js'

export interface Sequences {
  readonly byUser: ReadonlyMap<string, readonly Interaction[]>
  readonly notes: readonly string[]
}

/** The last `most` items before `position`, oldest first. */
export function historyBefore(sequence: readonly Interaction[], position: number, most: number): ItemIndex[] {
  return sequence.slice(Math.max(0, position - most), position).map(({ item }) => item)
}

export function unknownItem(
  path: string,
  line: number,
  id: string,
  itemsPath: string,
  why = 'has no row',
): ReasonrecError {
  return new ReasonrecError(
    'RR_DATA_UNKNOWN_ITEM',
    `${path}:${line}: item ${id.slice(0, 80)} ${why} in ${itemsPath}`,
    {
      expected: 'an item with a title',
      got: `id ${id.slice(0, 80)}`,
      remedy: 'add the item with its title, or remove the row',
      file: path,
      line,
    },
  )
}

export function buildSequences(raw: RawData, catalogue: Catalogue): Sequences {
  const byUser = new Map<string, Interaction[]>()
  let untitled = 0
  for (const { user, item, rating, timestamp, line } of raw.interactions) {
    const index = catalogue.indexOf.get(item)
    if (index === undefined) {
      if (!catalogue.untitled.has(item)) throw unknownItem(raw.interactionsPath, line, item, raw.itemsPath)
      untitled++
      continue
    }
    const interaction: Interaction = { user, item: index, rating, timestamp }
    const sequence = byUser.get(user)
    if (sequence) sequence.push(interaction)
    else byUser.set(user, [interaction])
  }
  let doubled = raw.doubled
  let tied = 0
  let adjacent = 0
  for (const [user, sequence] of byUser) {
    const ordered = withoutDoubles(sequence.sort((a, b) => a.timestamp - b.timestamp))
    doubled += sequence.length - ordered.length
    adjacent += ordered.length - 1
    tied += ordered.filter(({ timestamp }, place) => ordered[place - 1]?.timestamp === timestamp).length
    byUser.set(user, ordered)
  }
  const notes = [
    ...note(untitled, 'interactions with items without a title were left out'),
    ...note(doubled, 'duplicate interactions (same user, item and time) were dropped'),
    ...(tied > 0
      ? [
          `${((100 * tied) / adjacent).toFixed(1)} % of neighbouring interactions of a user share their time; ${raw.ties === 'shuffle' ? 'an order drawn from a seed' : 'the order of the file'} decides`,
        ]
      : []),
    ...(raw.timed
      ? []
      : ['there is no timestamp column: the order of the rows is taken as the order in time']),
  ]
  return { byUser, notes }
}

/** Equal times stand together after the sort, so doubles are looked for within a run of equal times. */
function withoutDoubles(ordered: readonly Interaction[]): Interaction[] {
  let time = Number.NaN
  const seen = new Set<ItemIndex>()
  return ordered.filter(({ timestamp, item }) => {
    if (timestamp !== time) seen.clear()
    time = timestamp
    if (seen.has(item)) return false
    seen.add(item)
    return true
  })
}

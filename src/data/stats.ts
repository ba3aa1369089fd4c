/**
 * What a data set holds, before anything is dropped, merged or split: counts, density, lengths, span of time, ratings,
 * shares of tied times, of repeated rows and of repeated choices, and titles that are missing or doubled.
 * Neighbours are rows that follow each other in one user's sequence, oldest first.
 */

import { untrusted } from '../prompts/untrusted-text.js'
import type { RawData, RawInteraction } from './raw.js'
import { normaliseTitle } from './title.js'
import type { Clock } from './types.js'

/** Least, median and largest of a list of numbers. */
export interface Spread {
  readonly min: number
  readonly median: number
  readonly max: number
}

export interface DataStats {
  readonly name: string
  readonly noun: string
  readonly users: number
  /** Items that occur in an interaction. */
  readonly items: number
  readonly interactions: number
  /** interactions / (users * items) */
  readonly density: number
  readonly per_user: Spread
  readonly per_item: Spread
  readonly clock: Clock
  /** First and last time as ISO dates; null where times are positions. */
  readonly span: readonly [string, string] | null
  /** Counts by value; null where nothing is rated, values beyond the 20 most frequent left out. */
  readonly ratings: Readonly<Record<string, number>> | null
  /** Share of neighbours with equal times. */
  readonly tied_share: number
  /** Rows that repeat user, item and time of an earlier one. */
  readonly duplicate_rows: number
  /** Rows whose user chose the item before, at another time. */
  readonly repeat_share: number
  readonly catalogue: {
    readonly rows: number
    readonly without_title: number
    /** Rows whose title another row has too, before year and authors tell them apart. */
    readonly shared_title: number
    /** Interactions with an item that has no row, or no title. */
    readonly untitled_interactions: number
  }
}

export function dataStats(raw: RawData): DataStats {
  const byUser = groupedByUser(raw.interactions)
  const perItem = new Map<string, number>()
  for (const { item } of raw.interactions) perItem.set(item, (perItem.get(item) ?? 0) + 1)
  const { tied, neighbours, duplicates, repeats } = sequencesOf(byUser)
  const rows = raw.interactions.length
  return {
    name: raw.name,
    noun: raw.noun ?? 'item',
    users: byUser.size,
    items: perItem.size,
    interactions: rows,
    density: rows === 0 ? 0 : rows / (byUser.size * perItem.size),
    per_user: spread([...byUser.values()].map(({ length }) => length)),
    per_item: spread([...perItem.values()]),
    clock: raw.clock,
    span: spanOf(raw),
    ratings: ratingCounts(raw.interactions),
    tied_share: neighbours === 0 ? 0 : tied / neighbours,
    duplicate_rows: duplicates,
    repeat_share: rows === 0 ? 0 : repeats / rows,
    catalogue: catalogueOf(raw),
  }
}

function groupedByUser(interactions: readonly RawInteraction[]): Map<string, RawInteraction[]> {
  const byUser = new Map<string, RawInteraction[]>()
  for (const interaction of interactions) {
    const own = byUser.get(interaction.user)
    if (own) own.push(interaction)
    else byUser.set(interaction.user, [interaction])
  }
  for (const own of byUser.values()) own.sort((a, b) => a.timestamp - b.timestamp)
  return byUser
}

function sequencesOf(byUser: ReadonlyMap<string, readonly RawInteraction[]>) {
  let [tied, neighbours, duplicates, repeats] = [0, 0, 0, 0]
  for (const own of byUser.values()) {
    const lastTime = new Map<string, number>()
    neighbours += own.length - 1
    own.forEach(({ item, timestamp }, place) => {
      if (own[place - 1]?.timestamp === timestamp) tied++
      const before = lastTime.get(item)
      if (before === timestamp) duplicates++
      else if (before !== undefined) repeats++
      lastTime.set(item, timestamp)
    })
  }
  return { tied, neighbours, duplicates, repeats }
}

function spread(values: readonly number[]): Spread {
  const sorted = Float64Array.from(values).sort()
  const at = (place: number): number => sorted[Math.floor(place)] ?? 0
  const middle = (sorted.length - 1) / 2
  return { min: at(0), median: (at(middle) + at(Math.ceil(middle))) / 2, max: at(sorted.length - 1) }
}

function spanOf({ clock, interactions }: RawData): [string, string] | null {
  if (clock === 'own' || interactions.length === 0) return null
  let [first, last] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (const { timestamp } of interactions) {
    first = Math.min(first, timestamp)
    last = Math.max(last, timestamp)
  }
  const dates = [first, last].map((seconds) => new Date(1000 * seconds))
  if (dates.some((date) => Number.isNaN(date.getTime()))) return null
  return dates.map((date) => date.toISOString().slice(0, 19)) as [string, string]
}

function ratingCounts(interactions: readonly RawInteraction[]): Record<string, number> | null {
  const counts = new Map<number, number>()
  for (const { rating } of interactions)
    if (rating !== null) counts.set(rating, (counts.get(rating) ?? 0) + 1)
  if (counts.size === 0) return null
  const frequent = [...counts].sort((a, b) => b[1] - a[1]).slice(0, 20)
  return Object.fromEntries(frequent.sort((a, b) => a[0] - b[0]).map(([value, count]) => [`${value}`, count]))
}

function catalogueOf({ items, interactions }: RawData): DataStats['catalogue'] {
  const titled = new Set<string>()
  const titles = new Map<string, number>()
  for (const { id, title } of items) {
    const key = normaliseTitle(untrusted(title).text)
    if (key === '') continue
    titled.add(id)
    titles.set(key, (titles.get(key) ?? 0) + 1)
  }
  return {
    rows: items.length,
    without_title: items.length - titled.size,
    shared_title: [...titles.values()].reduce((sum, count) => sum + (count > 1 ? count : 0), 0),
    untitled_interactions: interactions.reduce((sum, { item }) => sum + (titled.has(item) ? 0 : 1), 0),
  }
}

/**
 * Sequences of users from windows (history -> target), where a format publishes nothing else. The items of a user are put
 * into the one order that agrees with all his windows (what stands before what; ties by first appearance); where an item
 * comes back and no such order exists, windows are joined end to end at their longest overlap, in the order of the file.
 * Windows without a user belong to the user of the row before if they go on where it ended.
 */

import type { RawList } from '../raw.js'

/** Rows without a user get one: `prefix` and a number. */
export function withUsers(rows: readonly RawList[], prefix: string): RawList[] {
  let users = 0
  let sequence: readonly string[] = []
  return rows.map((row) => {
    const { history, target } = row
    const goesOn = history.length > 0 && isTail(sequence, history)
    if (!goesOn) users++
    sequence = goesOn ? [...sequence, target] : [...history, target]
    return { ...row, user: `${prefix}${users}` }
  })
}

const isTail = (sequence: readonly string[], tail: readonly string[]): boolean =>
  tail.length <= sequence.length &&
  tail.every((item, at) => sequence[sequence.length - tail.length + at] === item)

/** The user's items, oldest first. */
export function sequenceOf(windows: readonly RawList[]): string[] {
  return orderedItems(windows) ?? joined(windows)
}

/** Null where an item stands before itself. */
function orderedItems(windows: readonly RawList[]): string[] | null {
  const after = new Map<string, Set<string>>()
  const before = new Map<string, number>()
  for (const { history, target } of windows) {
    const items = [...history, target]
    items.forEach((item, place) => {
      if (!after.has(item)) {
        after.set(item, new Set())
        before.set(item, 0)
      }
      const last = items[place - 1]
      if (last === undefined || after.get(last)?.has(item)) return
      after.get(last)?.add(item)
      before.set(item, (before.get(item) ?? 0) + 1)
    })
  }
  // First in, first out would mix two ends; the newest that became free goes on with its own window.
  const free = [...before].flatMap(([item, count]) => (count === 0 ? [item] : [])).reverse()
  const order: string[] = []
  for (let item = free.pop(); item !== undefined; item = free.pop()) {
    order.push(item)
    for (const next of after.get(item) ?? []) {
      const left = (before.get(next) ?? 0) - 1
      before.set(next, left)
      if (left === 0) free.push(next)
    }
  }
  return order.length === after.size ? order : null
}

function joined(windows: readonly RawList[]): string[] {
  const sequence: string[] = []
  for (const { history, target } of windows) {
    const items = [...history, target]
    let overlap = Math.min(items.length, sequence.length)
    while (overlap > 0 && !isTail(sequence, items.slice(0, overlap))) overlap--
    sequence.push(...items.slice(overlap))
  }
  return sequence
}

/**
 * The k-core of an interaction table: users and items with at least k rows each, found by dropping until nothing more
 * falls. Where users are capped, as many of the core's as allowed are kept by the hash of their id, and the core is
 * taken again, since items lose rows. Works on columns of numbers, so that tens of millions of rows fit.
 */

import { hash } from 'node:crypto'

export interface CoreOptions {
  /** Least rows of a user and of an item; null or 1 keep all. */
  readonly core: number | null
  /** Most users; null keeps all. */
  readonly maxUsers: number | null
  readonly seed: number
}

/** Interactions as numbers: users and items from 0. */
export interface Rows {
  readonly users: Int32Array
  readonly items: Int32Array
  readonly userIds: readonly string[]
  readonly itemIds: readonly string[]
}

/** (rows): 1 where the row is kept. */
export function keptRows(rows: Rows, { core, maxUsers, seed }: CoreOptions): Uint8Array {
  const kept = new Uint8Array(rows.users.length).fill(1)
  const least = core ?? 1
  shrink(rows, kept, least)
  if (maxUsers === null) return kept
  const left = new Set<number>()
  rows.users.forEach((user, row) => {
    if (kept[row] === 1) left.add(user)
  })
  if (left.size <= maxUsers) return kept
  const ranked = [...left]
    .map((user) => ({ user, digest: hash('sha256', JSON.stringify([seed, 'users', rows.userIds[user]])) }))
    .sort((a, b) => (a.digest < b.digest ? -1 : 1))
  const chosen = new Set(ranked.slice(0, maxUsers).map(({ user }) => user))
  rows.users.forEach((user, row) => {
    if (!chosen.has(user)) kept[row] = 0
  })
  shrink(rows, kept, least)
  return kept
}

function shrink({ users, items, userIds, itemIds }: Rows, kept: Uint8Array, least: number): void {
  if (least <= 1) return
  for (let fell = true; fell; ) {
    const userRows = new Int32Array(userIds.length)
    const itemRows = new Int32Array(itemIds.length)
    for (let row = 0; row < kept.length; row++)
      if (kept[row] === 1) {
        userRows[users[row] as number]!++
        itemRows[items[row] as number]!++
      }
    fell = false
    for (let row = 0; row < kept.length; row++)
      if (
        kept[row] === 1 &&
        (userRows[users[row] as number]! < least || itemRows[items[row] as number]! < least)
      ) {
        kept[row] = 0
        fell = true
      }
  }
}

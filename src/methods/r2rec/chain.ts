/**
 * An interaction chain u0 - i0 - u1 - i1 - u0: a walk through the graph of who rated what that starts and ends at the
 * user who is asked for. Users and items alternate; with n users a closed chain has 2n edges (hops), hop k joining
 *   user ceil(k / 2) mod n   and   item floor(k / 2),   k = 0 .. 2n - 1
 * so for n = 2: (u0,i0) (u1,i0) (u1,i1) (u0,i1). The last one is the closing edge; an open chain lacks it.
 */

import type { Instance, ItemIndex } from '../../data/types.js'

export interface Chain {
  /** u0, u1, ...: ids of the data. They never reach a prompt. */
  readonly users: readonly string[]
  /** i0, i1, ...: as many as users, all different. */
  readonly items: readonly ItemIndex[]
  /** By hop: r(u0,i0), r(u1,i0), r(u1,i1), r(u0,i1); null where it is not known or must not be known. */
  readonly ratings: readonly (number | null)[]
  /** The closing edge is there, or is what a rating question asks for. */
  readonly closed: boolean
}

export interface Hop {
  /** Place among the chain's users, 0 for the one who is asked for. */
  readonly user: number
  readonly item: ItemIndex
  /** Place among the chain's items. */
  readonly place: number
  readonly rating: number | null
}

/** In the order of the walk; without the closing edge where the chain is open. */
export function hopsOf({ users, items, ratings, closed }: Chain): Hop[] {
  const n = users.length
  return Array.from({ length: closed ? 2 * n : 2 * n - 1 }, (_, k) => ({
    user: ((k + 1) >> 1) % n,
    item: items[k >> 1] as ItemIndex,
    place: k >> 1,
    rating: ratings[k] ?? null,
  }))
}

/** Where chains come from: a pure function of the data, the seed and the instance (interaction-chains.ts). */
export interface ChainSource {
  /**
   * Loops among what the instance's user rated before the target, every edge known, at most `count`; the target is in
   * none of them. Open chains where the source falls back to them, none where there is nothing to walk.
   */
  amongHistory(instance: Instance, count: number): readonly Chain[]
  /**
   * Chains whose last item is `item`, which the instance's user may not have rated: the closing rating is null. At
   * most `count`, at most one for each other user.
   */
  endingAt(instance: Instance, item: ItemIndex, count: number): readonly Chain[]
}

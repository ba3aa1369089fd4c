/**
 * Ratings of an instance's places, looked up in its user's interactions. A history shown is the part of the
 * sequence right before the target, so places are known from the target's; a published row that is not found
 * in the interactions takes each item's latest rating.
 */

import type { Dataset, Instance, Interaction } from './types.js'

/** Ratings as in the data; null where there is none. */
export interface InstanceRatings {
  /** In the order of the history. */
  readonly history: readonly (number | null)[]
  /** What the user gave the target: an answer, never part of a question. */
  readonly target: number | null
}

export function ratingsOf(
  dataset: Pick<Dataset, 'userInteractions'>,
  { user, history, target, position = null }: Pick<Instance, 'user' | 'history' | 'target' | 'position'>,
): InstanceRatings {
  const own = dataset.userInteractions?.get(user) ?? []
  const first = position === null ? null : position - history.length
  return {
    history: history.map((item, index) => {
      const at = first === null ? undefined : own[first + index]
      return at?.item === item ? at.rating : latest(own.slice(0, position ?? own.length), item)
    }),
    target: position === null ? latest(own, target) : (own[position]?.rating ?? null),
  }
}

function latest(interactions: readonly Interaction[], item: number): number | null {
  return interactions.findLast((interaction) => interaction.item === item)?.rating ?? null
}

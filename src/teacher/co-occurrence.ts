/**
 * Which items other users chose together, from the training part only:
 *   together(a, b, user) = number of users other than `user` whose training sequences hold both a and b.
 * The user of an instance is left out, because that sequence holds the target beside its own history.
 */

import type { Dataset, Interaction, ItemIndex } from '../data/types.js'

export class CoOccurrence {
  /** Users by number, ascending, per item. */
  private readonly usersOf = new Map<ItemIndex, number[]>()
  private readonly numbers = new Map<string, number>()
  private readonly byPopularity: readonly number[]

  constructor(interactions: readonly Interaction[]) {
    const seen = new Set<string>()
    for (const { user, item } of interactions) {
      const number = this.numbers.get(user) ?? this.numbers.size
      this.numbers.set(user, number)
      const key = `${number}/${item}`
      if (seen.has(key)) continue
      seen.add(key)
      const users = this.usersOf.get(item)
      if (users) users.push(number)
      else this.usersOf.set(item, [number])
    }
    for (const users of this.usersOf.values()) users.sort((a, b) => a - b)
    this.byPopularity = [...this.usersOf.values()].map((users) => users.length).sort((a, b) => a - b)
  }

  static of(dataset: Dataset): CoOccurrence {
    return new CoOccurrence(dataset.trainInteractions)
  }

  together(a: ItemIndex, b: ItemIndex, user: string): number {
    const [left, right] = [this.usersOf.get(a) ?? [], this.usersOf.get(b) ?? []]
    const own = this.numbers.get(user)
    let count = 0
    for (let i = 0, j = 0; i < left.length && j < right.length; ) {
      const difference = left[i]! - right[j]!
      if (difference === 0 && left[i] !== own) count++
      if (difference <= 0) i++
      if (difference >= 0) j++
    }
    return count
  }

  /** Users other than `user` who chose the item. */
  popularity(item: ItemIndex, user: string): number {
    const users = this.usersOf.get(item) ?? []
    const own = this.numbers.get(user)
    return users.length - (own !== undefined && users.includes(own) ? 1 : 0)
  }

  /** Share of items of the training part that are chosen less often than `count` times. */
  popularityShare(count: number): number {
    const below = this.byPopularity.findIndex((other) => other >= count)
    return this.byPopularity.length === 0
      ? 0
      : (below < 0 ? this.byPopularity.length : below) / this.byPopularity.length
  }
}

/**
 * Random lists of the catalogue, which the texts of pre-training are made of. No user is involved: a list is drawn from
 * all items alike, or from shelves (items that share a value), and nothing here knows what anybody chooses next.
 */

import type { Random } from '../../data/random.js'
import type { WorldItem } from '../world.js'

export const kinds = ['theme', 'maker', 'mood'] as const
export type Kind = (typeof kinds)[number]

export function pick<T>(values: readonly T[], random: Random): T {
  return values[random.below(values.length)] as T
}

/** Value -> the items that have it. */
export class Shelves {
  private readonly byValue = new Map<string, number[]>()

  constructor(readonly items: readonly WorldItem[]) {
    items.forEach((item, index) => {
      for (const kind of kinds) {
        const shelf = this.byValue.get(item[kind])
        if (shelf) shelf.push(index)
        else this.byValue.set(item[kind], [index])
      }
    })
  }

  value(item: number, kind: Kind): string {
    return (this.items[item] as WorldItem)[kind]
  }

  has(item: number, value: string): boolean {
    const { theme, maker, mood } = this.items[item] as WorldItem
    return theme === value || maker === value || mood === value
  }

  /** The items that have a value. */
  with(value: string): readonly number[] {
    return this.byValue.get(value) ?? []
  }

  /** `count` different items outside of `without`, from all alike. */
  list(count: number, random: Random, without: ReadonlySet<number> = new Set()): number[] {
    const drawn = new Set<number>()
    while (drawn.size < count) {
      const item = random.below(this.items.length)
      if (!without.has(item)) drawn.add(item)
    }
    return [...drawn]
  }

  /** `count` different items of which about `share` have one common value; the rest from all alike. */
  shelf(count: number, share: number, random: Random): { readonly items: number[]; readonly value: string } {
    const value = this.value(random.below(this.items.length), pick(kinds, random))
    const own = random.shuffled(this.byValue.get(value) ?? []).slice(0, Math.round(share * count))
    const rest = this.list(count - own.length, random, new Set(own))
    return { items: random.shuffled([...own, ...rest]), value }
  }

  /** Of `candidates` those that match best: the first value counts 1, the second 0.9. */
  best(candidates: readonly number[], first: string, second: string | null): number[] {
    const match = (item: number): number =>
      (this.has(item, first) ? 1 : 0) + (second !== null && this.has(item, second) ? 0.9 : 0)
    const most = Math.max(...candidates.map(match))
    return candidates.filter((item) => match(item) === most)
  }
}

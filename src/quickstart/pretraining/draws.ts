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
  private readonly kindByValue = new Map<string, Kind>()

  constructor(readonly items: readonly WorldItem[]) {
    items.forEach((item, index) => {
      for (const kind of kinds) {
        this.kindByValue.set(item[kind], kind)
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

  kindOf(value: string): Kind {
    return this.kindByValue.get(value) as Kind
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

  /**
   * `count` different items of which about `share` have one common value, and about `both` of these a second one of
   * another kind; the rest from all alike.
   */
  shelf(
    count: number,
    share: number,
    random: Random,
    both = 0,
  ): { readonly items: number[]; readonly value: string } {
    const sample = random.below(this.items.length)
    const kind = pick(kinds, random)
    const value = this.value(sample, kind)
    const common = random.shuffled(this.byValue.get(value) ?? [])
    const other =
      both > 0
        ? pick(
            kinds.filter((one) => one !== kind),
            random,
          )
        : kind
    const twice = both > 0 ? common.filter((item) => this.has(item, this.value(sample, other))) : []
    const size = Math.round(share * count)
    const own = [...new Set([...twice.slice(0, Math.round(both * size)), ...common])].slice(0, size)
    const rest = this.list(count - own.length, random, new Set(own))
    return { items: random.shuffled([...own, ...rest]), value }
  }

  /**
   * A list as histories may be, though nobody chose it: by lot, or with a value that comes again and again; `alike`: mostly
   * so, and often with a second value.
   */
  history(count: number, alike: boolean, random: Random): readonly number[] {
    if (random.float() < (alike ? 0.3 : 0.5)) return this.list(count, random)
    if (alike) return this.shelf(count, 0.3 + 0.7 * random.float(), random, 0.8 * random.float()).items
    return this.shelf(count, 0.3 + 0.5 * random.float(), random).items
  }

  /** How well an item matches two values: the first counts 1, the second 0.9. */
  match(item: number, first: string, second: string | null): number {
    return (this.has(item, first) ? 1 : 0) + (second !== null && this.has(item, second) ? 0.9 : 0)
  }

  /** Of `candidates` those that match best. */
  best(candidates: readonly number[], first: string, second: string | null): number[] {
    const most = Math.max(...candidates.map((item) => this.match(item, first, second)))
    return candidates.filter((item) => this.match(item, first, second) === most)
  }
}

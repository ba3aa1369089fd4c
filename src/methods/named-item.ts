/** The item that an answer names: by an equal normalised title (data/title.ts), nothing fuzzy. */

import { normaliseTitle } from '../data/title.js'
import type { Dataset, Instance, Item, ItemIndex } from '../data/types.js'

const normalised = new WeakMap<Item, string>()
const catalogues = new WeakMap<readonly Item[], ReadonlyMap<string, ItemIndex>>()

/** Among the candidates; in the whole catalogue where the instance has none. */
export function itemNamed(dataset: Dataset, instance: Instance, answer: string): ItemIndex | null {
  const name = normaliseTitle(answer)
  if (instance.candidates.length === 0) return catalogue(dataset.items).get(name) ?? null
  return instance.candidates.find((candidate) => normalisedTitle(dataset.items[candidate]) === name) ?? null
}

function catalogue(items: readonly Item[]): ReadonlyMap<string, ItemIndex> {
  let titles = catalogues.get(items)
  if (!titles) {
    titles = new Map(items.map((item, index) => [normalisedTitle(item), index]))
    catalogues.set(items, titles)
  }
  return titles
}

function normalisedTitle(item: Item | undefined): string {
  if (!item) return ''
  let title = normalised.get(item)
  if (title === undefined) {
    title = normaliseTitle(item.title.text)
    normalised.set(item, title)
  }
  return title
}

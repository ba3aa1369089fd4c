/**
 * Reading a response (gate G1): exactly one <think>...</think> with text in it, then exactly one
 * <answer>...</answer>, in this order, white space around them, nothing else. The answer names an item only by
 * an equal normalised title (data/title.ts); nothing fuzzy.
 */

import { normaliseTitle } from '../../data/title.js'
import type { Dataset, Instance, Item, ItemIndex } from '../../data/types.js'
import type { ParsedAnswer } from '../method.js'

const tags = ['<think>', '</think>', '<answer>', '</answer>'] as const
const frame = /^\s*<think>([\s\S]*)<\/think>\s*<answer>([\s\S]*)<\/answer>\s*$/

const normalised = new WeakMap<Item, string>()
const catalogues = new WeakMap<readonly Item[], ReadonlyMap<string, ItemIndex>>()

export function parseResponse(dataset: Dataset, instance: Instance, response: string): ParsedAnswer {
  const once = tags.every(
    (tag) => response.indexOf(tag) >= 0 && response.indexOf(tag) === response.lastIndexOf(tag),
  )
  const match = once ? frame.exec(response) : null
  const reasoning = match?.[1]?.trim() ?? ''
  const answer = match?.[2]?.trim() ?? ''
  if (reasoning === '' || answer === '') return { reasoning: null, answer: null, item: null }
  return { reasoning, answer, item: itemNamed(dataset, instance, answer) }
}

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

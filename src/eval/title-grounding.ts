/**
 * From what a model wrote to items of the catalogue whose titles are like it (spec 6, I6). An equal normalised title
 * always comes first. For inference only: rewards and parsing never take a title that is merely alike.
 *
 *   words       minisearch over the words of the titles: BM25+, prefixes, one edit in five letters;
 *   embeddings  a sentence-embedding model (title-embedding.ts), by distance; where a folder with one is named.
 */

import { normaliseTitle, words } from '../data/title.js'
import type { Item, ItemIndex } from '../data/types.js'

export interface TitleGrounder {
  /** Items by falling likeness to each text; items that are not like it at all are left out. */
  rank(texts: readonly string[], among: readonly (ReadonlySet<ItemIndex> | null)[]): Promise<ItemIndex[][]>
}

/** Edits that a word may differ by, as a share of its letters. */
const edits = 0.2

export async function wordGrounder(items: readonly Item[]): Promise<TitleGrounder> {
  const { default: MiniSearch } = await import('minisearch')
  const index = new MiniSearch<{ readonly id: ItemIndex; readonly title: string }>({
    fields: ['title'],
    tokenize: words,
    processTerm: (term) => term,
    searchOptions: { prefix: true, fuzzy: edits },
  })
  index.addAll(items.map(({ title }, id) => ({ id, title: title.text })))
  const exact = exactTitles(items)
  const rank = (text: string, among: ReadonlySet<ItemIndex> | null): ItemIndex[] => {
    const found = index
      .search(text, { filter: ({ id }) => among === null || among.has(id as ItemIndex) })
      .map(({ id, score }) => ({ item: id as ItemIndex, score }))
      .sort((a, b) => b.score - a.score || a.item - b.item)
      .map(({ item }) => item)
    return equalFirst(exact, text, found, among)
  }
  return { rank: async (texts, among) => texts.map((text, place) => rank(text, among[place] ?? null)) }
}

export function exactTitles(items: readonly Item[]): ReadonlyMap<string, ItemIndex> {
  return new Map(items.map(({ title }, item) => [normaliseTitle(title.text), item]))
}

export function equalFirst(
  exact: ReadonlyMap<string, ItemIndex>,
  text: string,
  ranked: readonly ItemIndex[],
  among: ReadonlySet<ItemIndex> | null,
): ItemIndex[] {
  const equal = exact.get(normaliseTitle(text))
  if (equal === undefined || (among !== null && !among.has(equal))) return [...ranked]
  return [equal, ...ranked.filter((item) => item !== equal)]
}

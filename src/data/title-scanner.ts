/**
 * Which catalogue titles a text names: a trie over the words of every title, walked once over the words
 * of the text; at each place the longest title wins and matches do not overlap. Titles of one word are
 * ignored (gate G7): "It" and "Her" are found in every English text.
 */

import { words } from './title.js'
import type { Item, ItemIndex } from './types.js'

interface Node {
  readonly next: Map<string, Node>
  /** Items whose title ends here; more than one where titles differ in punctuation only. */
  items: ItemIndex[]
}

export interface TitleMatch {
  /** All items that the cited words may mean; nearly always one. */
  readonly items: readonly ItemIndex[]
  /** First word and the word after the last, counted in words(text). */
  readonly start: number
  readonly end: number
}

export class TitleScanner {
  private readonly root: Node = { next: new Map(), items: [] }

  constructor(items: readonly Item[]) {
    items.forEach((item, index) => {
      const title = words(item.title.text)
      if (title.length < 2) return
      let node = this.root
      for (const word of title) {
        let next = node.next.get(word)
        if (!next) {
          next = { next: new Map(), items: [] }
          node.next.set(word, next)
        }
        node = next
      }
      node.items.push(index)
    })
  }

  /** `taken`: places of words that end no title, because they say something else. */
  scan(text: string, taken: ReadonlySet<number> = new Set()): TitleMatch[] {
    const spoken = words(text)
    const matches: TitleMatch[] = []
    for (let start = 0; start < spoken.length; ) {
      const found = this.longestFrom(spoken, start, taken)
      if (found) matches.push(found)
      start = found ? found.end : start + 1
    }
    return matches
  }

  private longestFrom(
    spoken: readonly string[],
    start: number,
    taken: ReadonlySet<number>,
  ): TitleMatch | null {
    let node: Node | undefined = this.root
    let longest: TitleMatch | null = null
    for (let end = start; end < spoken.length; ) {
      node = node.next.get(spoken[end++] as string)
      if (!node) break
      if (node.items.length > 0 && !taken.has(end - 1)) longest = { items: node.items, start, end }
    }
    return longest
  }
}

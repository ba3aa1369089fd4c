/**
 * The canonical ids of an answer: title, then the closing tag, encoded separately (spec 2.1). Tries, candidate
 * scores and training all use these. The closing tag makes the set prefix-free ("Alien", "Aliens"), which is
 * checked: in a trie an item is then exactly one leaf.
 */

import { ReasonrecError } from '../engine/errors.js'
import type { Tokenizer } from './tokenizer.js'
import type { UntrustedText } from './untrusted-text.js'

export interface Titled {
  readonly title: UntrustedText
}

/** Ids of title and closing tag, in the order of `items`. Throws RR_TITLES_AMBIGUOUS. */
export function titleSequences(
  tokenizer: Tokenizer,
  items: readonly Titled[],
  answerClose = '</answer>',
): Int32Array[] {
  const close = tokenizer.encodeTrusted(answerClose, { continues: true })
  const sequences = items.map(({ title }) => {
    const ids = tokenizer.encodeUntrusted(title.text)
    const sequence = new Int32Array(ids.length + close.length)
    sequence.set(ids)
    sequence.set(close, ids.length)
    return sequence
  })
  const clash = firstPrefix(sequences)
  if (clash) {
    const [shorter, longer] = clash.map((index) => items[index]?.title.text ?? '')
    throw new ReasonrecError('RR_TITLES_AMBIGUOUS', 'two titles cannot be told apart by their tokens', {
      expected: 'a different title for every item',
      got: `${JSON.stringify(shorter)} and ${JSON.stringify(longer)}`,
      remedy: 'merge or rename one of the items',
    })
  }
  return sequences
}

/** Indices of two sequences of which the first is a prefix of (or equal to) the second; null if there are none. */
export function firstPrefix(sequences: readonly Int32Array[]): readonly [number, number] | null {
  // In lexicographic order a prefix stands directly before the first sequence that starts with it.
  const order = sequences.map((_, index) => index).sort((a, b) => compare(sequences[a]!, sequences[b]!))
  for (let k = 1; k < order.length; k++) {
    const [before, after] = [order[k - 1]!, order[k]!]
    const shorter = sequences[before]!
    const longer = sequences[after]!
    if (shorter.length <= longer.length && shorter.every((id, index) => id === longer[index]))
      return [before, after]
  }
  return null
}

function compare(a: Int32Array, b: Int32Array): number {
  const shared = Math.min(a.length, b.length)
  for (let k = 0; k < shared; k++) if (a[k] !== b[k]) return a[k]! - b[k]!
  return a.length - b.length
}

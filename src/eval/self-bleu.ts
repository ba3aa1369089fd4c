/**
 * Self-BLEU (Zhu et al. 2018): how much texts written for different users say the same, each text against the others as
 * references, mean over texts; 1 where all are equal.
 *
 *   BLEU = min(1, e^(1 - r / c)) exp((1/4) sum_n log p_n),  n = 1..4
 *   p_n    n-grams of the text, each counted at most as often as one reference holds it, over all its n-grams; a count of
 *          0 is taken as 0.1 (Chen and Cherry 2014, method 1), and orders longer than the text are left out
 *   c, r   words of the text, and of the reference whose length is closest (the shorter of two)
 *
 * Cost grows with the square of the texts, so at most `most` of them are taken, evenly spaced.
 */

import { words } from '../data/title.js'
import { ngrams } from './reasoning-quality.js'

const orders = [1, 2, 3, 4] as const
const smallest = 0.1

type Counts = ReadonlyMap<string, number>
interface Counted {
  readonly length: number
  /** By order. */
  readonly grams: readonly Counts[]
}

/** 0 for fewer than two texts with a word in them. */
export function selfBleu(texts: readonly string[], most = 100): number {
  const step = Math.max(1, texts.length / most)
  const taken = Array.from(
    { length: Math.min(most, texts.length) },
    (_, place) => texts[Math.floor(place * step)] as string,
  )
  const counted = taken.map(countedText).filter(({ length }) => length > 0)
  if (counted.length < 2) return 0
  const scores = counted.map((text, place) =>
    bleu(
      text,
      counted.filter((_, other) => other !== place),
    ),
  )
  return scores.reduce((sum, score) => sum + score, 0) / scores.length
}

function countedText(text: string): Counted {
  const spoken = words(text)
  const counts = (n: number): Counts => {
    const found = new Map<string, number>()
    for (const gram of ngrams(spoken, n)) found.set(gram, (found.get(gram) ?? 0) + 1)
    return found
  }
  return { length: spoken.length, grams: orders.map(counts) }
}

function bleu(text: Counted, references: readonly Counted[]): number {
  const used = orders.filter((n) => text.length >= n)
  const logs = used.map((n) => Math.log(precision(text, references, n)))
  const closest = references.reduce((best, { length }) => {
    const [now, before] = [Math.abs(length - text.length), Math.abs(best - text.length)]
    return now < before || (now === before && length < best) ? length : best
  }, Number.POSITIVE_INFINITY)
  const brevity = text.length >= closest ? 0 : 1 - closest / text.length
  return Math.exp(brevity + logs.reduce((sum, log) => sum + log, 0) / used.length)
}

function precision(text: Counted, references: readonly Counted[], n: number): number {
  const place = n - 1
  let matched = 0
  for (const [gram, times] of text.grams[place] as Counts) {
    let held = 0
    for (const reference of references) {
      held = Math.max(held, (reference.grams[place] as Counts).get(gram) ?? 0)
      if (held >= times) break
    }
    matched += Math.min(times, held)
  }
  return Math.max(matched, smallest) / (text.length - n + 1)
}

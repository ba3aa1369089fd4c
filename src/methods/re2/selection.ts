/**
 * Which accepted traces of an instance are kept (spec 3.2, end): pass A before B before C, then the larger gain, then
 * the shorter; further ones only if their 4-grams overlap with those kept by less than 0.6 (Jaccard).
 */

import { words } from '../../data/title.js'
import type { Trace } from '../method.js'

const largestOverlap = 0.6

/** The chosen of `accepted` (all of one instance), best first, at most `keep`. */
export function selectTraces(accepted: readonly Trace[], keep: number): readonly Trace[] {
  const order = accepted
    .map((trace, index) => ({ trace, index }))
    .sort((a, b) => compare(a.trace, b.trace) || a.index - b.index)
  const kept: Trace[] = []
  for (const { trace } of order) {
    if (kept.length >= keep) break
    if (kept.every((other) => overlap(trace.reasoning, other.reasoning) < largestOverlap)) kept.push(trace)
  }
  return kept
}

function compare(a: Trace, b: Trace): number {
  if (a.source !== b.source) return a.source < b.source ? -1 : 1
  const gains = (b.gain ?? 0) - (a.gain ?? 0)
  return gains !== 0 ? gains : words(a.reasoning).length - words(b.reasoning).length
}

function overlap(a: string, b: string): number {
  const [left, right] = [fourGrams(a), fourGrams(b)]
  const shared = [...left].filter((gram) => right.has(gram)).length
  const union = left.size + right.size - shared
  return union === 0 ? 1 : shared / union
}

function fourGrams(text: string): ReadonlySet<string> {
  const spoken = words(text)
  return new Set(
    Array.from({ length: Math.max(1, spoken.length - 3) }, (_, start) =>
      spoken.slice(start, start + 4).join(' '),
    ),
  )
}

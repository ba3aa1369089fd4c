/**
 * Quality of reasoning without a judge (spec 7.5), pure functions over texts.
 *
 *   gain            log-prob gain of the target given the reasoning, nats per token: mean, median, sd, share above 0
 *   grounding       cited titles in H or C / cited catalogue titles, over all texts; 1 where none is cited
 *   hallucinated    share of texts that cite a catalogue title from neither list
 *   coverage        distinct history titles cited / |H|, mean over texts
 *   repeated 4-grams  1 - distinct / all 4-grams of a text, mean over texts (0 for texts of fewer than four words)
 *   distinct-n      distinct / all n-grams over all texts together: low where every user is told the same
 */

import { words } from '../data/title.js'
import type { TitleScanner } from '../data/title-scanner.js'
import type { ItemIndex } from '../data/types.js'

export interface ReasoningSample {
  readonly reasoning: string
  readonly history: readonly ItemIndex[]
  readonly candidates: readonly ItemIndex[]
  /** Nats per token; null or absent where it was not scored. */
  readonly gain?: number | null
}

export interface Distribution {
  readonly n: number
  readonly mean: number
  readonly median: number
  readonly sd: number
  readonly p05: number
  readonly p95: number
}

/** Population sd; quantiles by linear interpolation; zeros for no values. */
export function distribution(values: readonly number[]): Distribution {
  const n = values.length
  if (n === 0) return { n, mean: 0, median: 0, sd: 0, p05: 0, p95: 0 }
  const sorted = [...values].sort((a, b) => a - b)
  const mean = average(values)
  const at = (share: number): number => {
    const place = share * (n - 1)
    const below = sorted[Math.floor(place)] as number
    return below + ((sorted[Math.ceil(place)] as number) - below) * (place - Math.floor(place))
  }
  const sd = Math.sqrt(average(values.map((value) => (value - mean) ** 2)))
  return { n, mean, median: at(0.5), sd, p05: at(0.05), p95: at(0.95) }
}

function average(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length
}

export function shareAboveZero(values: readonly number[]): number {
  return average(values.map((value) => (value > 0 ? 1 : 0)))
}

export interface Grounding {
  /** Citations of catalogue titles, repeats counted. */
  readonly cited: number
  readonly grounded: number
  /** Distinct history items cited. */
  readonly historyCited: number
}

export function grounding(sample: ReasoningSample, scanner: TitleScanner): Grounding {
  const shown = new Set([...sample.history, ...sample.candidates])
  const history = new Set(sample.history)
  const matches = scanner.scan(sample.reasoning)
  const grounded = matches.filter(({ items }) => items.some((item) => shown.has(item)))
  const past = new Set(matches.flatMap(({ items }) => items.filter((item) => history.has(item)).slice(0, 1)))
  return { cited: matches.length, grounded: grounded.length, historyCited: past.size }
}

/** N-grams as text; a space cannot occur inside a word. */
export function ngrams(tokens: readonly string[], n: number): string[] {
  return Array.from({ length: Math.max(0, tokens.length - n + 1) }, (_, start) =>
    tokens.slice(start, start + n).join(' '),
  )
}

export function repeatedShare(text: string, n = 4): number {
  const all = ngrams(words(text), n)
  return all.length === 0 ? 0 : 1 - new Set(all).size / all.length
}

export function distinctShare(texts: readonly string[], n: number): number {
  const distinct = new Set<string>()
  let total = 0
  for (const text of texts)
    for (const gram of ngrams(words(text), n)) {
      distinct.add(gram)
      total++
    }
  return total === 0 ? 0 : distinct.size / total
}

/** Flat, in the names of the run summary's `quality`. */
export function reasoningQuality(
  samples: readonly ReasoningSample[],
  scanner: TitleScanner,
): Readonly<Record<string, number>> {
  const texts = samples.map(({ reasoning }) => reasoning)
  const gains = samples.flatMap(({ gain }) =>
    typeof gain === 'number' && Number.isFinite(gain) ? [gain] : [],
  )
  const gain = distribution(gains)
  const length = distribution(texts.map((text) => words(text).length))
  const found = samples.map((sample) => grounding(sample, scanner))
  const cited = found.reduce((sum, each) => sum + each.cited, 0)
  const grounded = found.reduce((sum, each) => sum + each.grounded, 0)
  const coverage = found.map(({ historyCited }, index) => {
    const past = new Set((samples[index] as ReasoningSample).history).size
    return past === 0 ? 0 : historyCited / past
  })
  return {
    texts: samples.length,
    ...(gains.length > 0 && {
      gain_n: gain.n,
      gain_mean: gain.mean,
      gain_median: gain.median,
      gain_sd: gain.sd,
      gain_positive_share: shareAboveZero(gains),
    }),
    grounding_precision: cited === 0 ? 1 : grounded / cited,
    hallucinated_title_rate: average(found.map((each) => (each.cited > each.grounded ? 1 : 0))),
    titles_cited: samples.length === 0 ? 0 : cited / samples.length,
    history_coverage: average(coverage),
    repeated_4gram_share: average(texts.map((text) => repeatedShare(text))),
    distinct_1: distinctShare(texts, 1),
    distinct_2: distinctShare(texts, 2),
    words_mean: length.mean,
    words_median: length.median,
    words_p95: length.p95,
  }
}

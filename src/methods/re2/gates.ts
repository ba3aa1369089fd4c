/**
 * What makes a trace acceptable (spec 3.2). Every gate is looked at and reported, also after one has failed;
 * gates that need a reasoning fail with value null where the form is broken.
 *   G1 form        parse.ts
 *   G2 item valid  the answer is a candidate and not in the history
 *   G3 hit         the answer is the target; not asked of misses that are kept on purpose
 *   G4 leak        no phrase that gives away the outcome (passes B and C); without candidates also no target title
 *                  before the last sentence
 *   G5 length      words of the reasoning, bounds scale with the word limit of the prompt: 30-220 at 150
 *   G6 repetition  share of repeated 4-grams, no sentence twice
 *   G7 grounding   only titles of history and candidates; a history title or a cue of the history is there
 *   G8 script      share of ASCII letters
 * G10 looks across traces: dedupe.ts.
 */

import { words } from '../../data/title.js'
import type { Dataset, Instance } from '../../data/types.js'
import { citations } from '../../rewards/citations.js'
import {
  asciiLetterShare,
  containedPhrase,
  doubledSentence,
  repeatedShare,
  sentences,
} from '../../rewards/text-statistics.js'
import type { GateResult, ParsedAnswer, Trace } from '../method.js'

export interface GateThresholds {
  /** Words. */
  readonly minWords: number
  readonly maxWords: number
  /** Share of repeated 4-grams. */
  readonly maxRepeat: number
  readonly minAscii: number
  /** Misses pass G3 (fallback keep_miss). */
  readonly keepMisses: boolean
}

export interface GatePhrases {
  readonly leaks: readonly string[]
  readonly historyCues: readonly string[]
}

/** Bounds of the specification for a limit of 150 words, scaled to `maxWords`. */
export function defaultThresholds(maxWords: number): GateThresholds {
  return {
    minWords: Math.round((30 * maxWords) / 150),
    maxWords: Math.round((220 * maxWords) / 150),
    maxRepeat: 0.2,
    minAscii: 0.9,
    keepMisses: false,
  }
}

export function traceGates(
  dataset: Dataset,
  instance: Instance,
  parsed: ParsedAnswer,
  pass: Trace['source'],
  thresholds: GateThresholds,
  phrases: GatePhrases,
): readonly GateResult[] {
  const { reasoning, item } = parsed
  const answer = [
    gate('G1', reasoning !== null, null),
    gate('G2', item !== null && !instance.history.includes(item), parsed.answer),
    gate('G3', thresholds.keepMisses || item === instance.target, item === instance.target ? 'hit' : 'miss'),
  ]
  if (reasoning === null)
    return [...answer, ...['G4', 'G5', 'G6', 'G7', 'G8'].map((name) => gate(name, false, null))]
  const spoken = words(reasoning)
  const repeated = repeatedShare(spoken)
  const doubled = doubledSentence(reasoning)
  const ascii = asciiLetterShare(reasoning)
  return [
    ...answer,
    leakGate(dataset, instance, reasoning, pass, phrases.leaks),
    gate('G5', spoken.length >= thresholds.minWords && spoken.length <= thresholds.maxWords, spoken.length),
    gate('G6', repeated <= thresholds.maxRepeat && doubled === null, doubled ?? repeated),
    groundingGate(dataset, instance, reasoning, phrases.historyCues),
    gate('G8', ascii >= thresholds.minAscii, ascii),
  ]
}

function leakGate(
  dataset: Dataset,
  instance: Instance,
  reasoning: string,
  pass: Trace['source'],
  leaks: readonly string[],
): GateResult {
  const phrase = pass === 'A' ? null : containedPhrase(words(reasoning), leaks)
  const early = instance.candidates.length === 0 && namesTargetEarly(dataset, instance, reasoning)
  return gate('G4', phrase === null && !early, phrase ?? (early ? 'target named early' : null))
}

function namesTargetEarly(dataset: Dataset, instance: Instance, reasoning: string): boolean {
  const title = words(dataset.items[instance.target]?.title.text ?? '').join(' ')
  const before = ` ${sentences(reasoning).slice(0, -1).join(' ')} `
  return title !== '' && before.includes(` ${title} `)
}

function groundingGate(
  dataset: Dataset,
  instance: Instance,
  reasoning: string,
  cues: readonly string[],
): GateResult {
  const cited = citations(dataset, instance, reasoning)
  if (cited.foreign.length > 0) return gate('G7', false, cited.foreign[0] ?? null)
  const grounded = cited.history.size > 0 || containedPhrase(words(reasoning), cues) !== null
  return gate('G7', grounded, cited.history.size)
}

function gate(name: string, passed: boolean, value: GateResult['value']): GateResult {
  return { gate: name, passed, value }
}

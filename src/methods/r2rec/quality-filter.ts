/**
 * Which traces are good enough to learn from (spec 5). Every gate is looked at and reported, also after one has failed.
 *
 *   form     the frame of the response, and an answer of the asked kind
 *   steps    the steps of a walk, in order, each with text
 *   hops     each step names its hop's item (in the compact wording also its rating) and no other item of the catalogue;
 *            the last step of a ranking may name candidates
 *   early    no step before the last says the answer: no label, no estimate for u0
 *   leak     no phrase that shows that the answer was given
 *   right    the answer is right: the target ranked first, or the user's rating
 *   tokens   each step within its bounds
 *   blind    answering again without having been shown the answer gives it too, within a tolerance
 *   dedupe   one trace for each (user, item) that is rated, one for each ranking
 *   balance  no rating has more than its share of the kept traces
 *
 * The first six look at one response; the others need a tokenizer, a second answer, or the traces before (QualityFilter).
 */

import { readFileSync } from 'node:fs'
import { words } from '../../data/title.js'
import type { Dataset, Instance } from '../../data/types.js'
import { citations } from '../../rewards/citations.js'
import { isAnswered, isRight } from '../../rewards/reward.js'
import { containedPhrase, phraseList } from '../../rewards/text-statistics.js'
import type { GateResult, Trace } from '../method.js'
import { hasSteps, parseTrace, type Thought, thoughtsOf } from './interaction-of-thoughts.js'
import { asksRating, evidenceOf, shownRating } from './question.js'
import { type Step, walksOf } from './walk.js'

const leakPhrases = phraseFile('leak-phrases')
const estimateCues = phraseFile('estimate-cues')
const label = /\bC\d{2,}\b/

export function textGates(
  dataset: Dataset,
  instance: Instance,
  response: string,
  compact: boolean,
): GateResult[] {
  const parsed = parseTrace(dataset, instance, response, compact)
  const { reasoning, answer } = parsed
  const thoughts = reasoning === null ? null : thoughtsOf(reasoning, compact)
  const before = thoughts?.slice(0, -1) ?? []
  const early = before.map(({ text }) => saidEarly(text)).find((found) => found !== null) ?? null
  const leaked = reasoning === null ? null : containedPhrase(words(reasoning), leakPhrases)
  const stray = reasoning === null ? 'no steps' : ungrounded(dataset, instance, thoughts ?? [], compact)
  return [
    gate('form', reasoning !== null && isAnswered(parsed), answer),
    gate('steps', reasoning !== null && hasSteps(instance, reasoning, compact), thoughts?.length ?? null),
    gate('hops', stray === null, stray),
    gate('early', reasoning !== null && early === null, early),
    gate('leak', reasoning !== null && leaked === null, leaked),
    gate('right', isRight(parsed, instance), answer),
  ]
}

/** Null where the steps follow one of the question's walks, else what is wrong with the walk that fits best. */
function ungrounded(
  dataset: Dataset,
  instance: Instance,
  thoughts: readonly Thought[],
  compact: boolean,
): string | null {
  let best = { fits: -1, wrong: 'no steps' }
  for (const walk of walksOf(instance)) {
    if (walk.length !== thoughts.length) continue
    const wrong = walk.map((step, index) => {
      const last = index === walk.length - 1
      return stepProblem(dataset, instance, step, (thoughts[index] as Thought).text, { compact, last })
    })
    const fits = wrong.filter((problem) => problem === null).length
    if (fits === walk.length) return null
    if (fits > best.fits) best = { fits, wrong: wrong.find((problem) => problem !== null) ?? '' }
  }
  return best.wrong
}

function stepProblem(
  dataset: Dataset,
  instance: Instance,
  { number, hop }: Step,
  text: string,
  at: { readonly compact: boolean; readonly last: boolean },
): string | null {
  const title = dataset.items[hop.item]?.title.text ?? ''
  const { query, answer } = evidenceOf(instance)
  const asked = at.last && query === 'rating'
  const allowed = at.last && query === 'ranking' ? instance.candidates : []
  const own = { ...instance, history: [hop.item], candidates: allowed }
  const said = shownRating(dataset, asked ? answer : hop.rating)
  const named = citations(dataset, own, text, said === null ? null : { item: hop.item, rating: said })
  if (named.foreign.length > 0) return `step ${number} names ${named.foreign[0]}`
  if (!named.history.has(hop.item)) return `step ${number} does not name ${title}`
  if (!at.compact) return null
  const rating = asked ? null : said
  const head = rating === null ? title : `${title} ${rating}`
  return `${text} `.startsWith(`${head} `) ? null : `step ${number} does not begin with ${head}`
}

function saidEarly(text: string): string | null {
  return label.exec(text)?.[0] ?? containedPhrase(words(text), estimateCues)
}

export interface FilterSettings {
  /** Tokens of a step, its head included. */
  readonly minTokens: number
  readonly maxTokens: number
  /** Largest |blind - answer| of a rating. */
  readonly tolerance: number
  /** Largest share of one rating among the kept rating traces. */
  readonly largestShare: number
  readonly required: ReadonlySet<string>
}

/** Traces that one rating may be ahead while there are few. */
const headStart = 3

/** The gates that look at more than the text. It remembers what it kept: order matters, keep it fixed. */
export class QualityFilter {
  private readonly seen = new Set<string>()
  private readonly counts = new Map<string, number>()
  private rated = 0

  /** `written`: the traces of the sittings before. */
  constructor(
    private readonly settings: FilterSettings,
    written: readonly Trace[],
  ) {
    for (const trace of written) if (trace.kept) this.admit(trace)
  }

  tokens(lengths: readonly number[]): GateResult {
    const { minTokens, maxTokens } = this.settings
    const off = lengths.find((length) => length < minTokens || length > maxTokens)
    return gate('tokens', lengths.length > 0 && off === undefined, off ?? null)
  }

  /** `blind`: the answer given without having seen the right one, null where it could not be read. */
  blind(answer: number, blind: number | null): GateResult {
    return gate('blind', blind !== null && Math.abs(blind - answer) <= this.settings.tolerance, blind)
  }

  /** Judges by the traces kept before, and remembers the trace if it is kept. */
  judge(trace: Trace): Trace {
    const { required } = this.settings
    const passes = ({ gate: name, passed }: GateResult): boolean => passed || !required.has(name)
    if (!trace.kept || !trace.gates.every(passes)) return { ...trace, kept: false }
    const further = [this.dedupe(trace), ...(asksRating(trace) ? [this.balance(trace)] : [])]
    const kept = further.every(passes)
    if (kept) this.admit(trace)
    return { ...trace, gates: [...trace.gates, ...further], kept }
  }

  private dedupe(trace: Trace): GateResult {
    return gate('dedupe', !this.seen.has(keyOf(trace)), null)
  }

  private balance({ answer }: Trace): GateResult {
    const own = (this.counts.get(answer) ?? 0) + 1
    const most = headStart + this.settings.largestShare * (this.rated + 1)
    return gate('balance', own <= most, own / (this.rated + 1))
  }

  private admit(trace: Trace): void {
    this.seen.add(keyOf(trace))
    if (!asksRating(trace)) return
    this.rated++
    this.counts.set(trace.answer, (this.counts.get(trace.answer) ?? 0) + 1)
  }
}

function keyOf(trace: Trace): string {
  return JSON.stringify([asksRating(trace), trace.instance])
}

function gate(name: string, passed: boolean, value: GateResult['value']): GateResult {
  return { gate: name, passed, value }
}

function phraseFile(name: string): string[] {
  return phraseList(readFileSync(new URL(`./prompts/${name}.txt`, import.meta.url), 'utf8'))
}

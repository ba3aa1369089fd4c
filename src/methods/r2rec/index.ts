/**
 * R2Rec as a method: how it asks (wording.ts, prompts/), how it reads an answer (interaction-of-thoughts.ts), what it
 * accepts as a trace (quality-filter.ts), and its presets. README.md maps the paper to these files.
 */

import type { Dataset, Instance, ItemIndex } from '../../data/types.js'
import { topThreeMetrics } from '../../eval/result-row.js'
import { hashUnit } from '../../phases/run/streams.js'
import type { Prompt, PromptPart } from '../../prompts/prompt.js'
import { exchangedHistories } from '../controls.js'
import type { Method, Trace } from '../method.js'
import type { Chain, ChainSource } from './chain.js'
import { exchangedRatings } from './controls.js'
import { drawnChains } from './drawn-chains.js'
import { choicesOf, parseTrace, rankingIn, rankingParts, rightChoice } from './interaction-of-thoughts.js'
import { ratingAndRanking } from './mixture.js'
import { textGates } from './quality-filter.js'
import {
  askingChains,
  candidateQuestions,
  evidenceOf,
  rankingQuestion,
  ratingQuestion,
  shownRating,
} from './question.js'
import { Wording, type WordingName } from './wording.js'

export interface R2RecOptions {
  readonly wording: WordingName
  /** Labels that a ranking names, best first. */
  readonly labels: number
  /** Word limit of one step. */
  readonly stepWords: number
  /** Chains of a ranking question (m); 0: thoughts without chains. */
  readonly chains: number
  /** Of a dataset; made once for each. */
  readonly source: (dataset: Dataset) => ChainSource
  /** Share of Internalization's prompts that ask for a rating. */
  readonly ratingPrompts: number
  /** Of what is drawn here: which prompts ask for a rating. */
  readonly seed: number
  /** Share of ranking traces among those Imitation learns from. */
  readonly rankingShare: number
  readonly requiredGates: readonly string[]
}

export interface R2Rec extends Method {
  readonly name: 'r2rec'
  readonly words: Wording
  readonly options: R2RecOptions
  chainSource(dataset: Dataset): ChainSource
}

export const presetNames = [
  'r2rec',
  'r2rec-small-cpu',
  'r2rec-quickstart',
  'r2rec-ml1m',
  'r2rec-amazon-books',
  'r2rec-amazon-electronics',
  'r2rec-transfer',
] as const

/** Path of a preset's YAML; the build copies presets and prompts beside the compiled module. */
export function r2recPreset(name: (typeof presetNames)[number]): URL {
  return new URL(`./presets/${name}.yaml`, import.meta.url)
}

/** A phase carries methods by their common face; R2Rec's own steps need all of it. */
export function asR2Rec(method: Method): R2Rec {
  if (method.name !== 'r2rec') throw new TypeError(`R2Rec's steps were asked to run ${method.name}`)
  return method as R2Rec
}

export function r2rec(options: R2RecOptions): R2Rec {
  const words = new Wording(options)
  const { form, compact } = words
  const sources = new WeakMap<Dataset, ChainSource>()
  const chainSource = (dataset: Dataset): ChainSource => {
    const source = sources.get(dataset) ?? options.source(dataset)
    sources.set(dataset, source)
    return source
  }
  const question = (dataset: Dataset, instance: Instance): Instance =>
    rankingQuestion(dataset, instance, historyChains(chainSource(dataset), instance, options.chains))
  return {
    name: 'r2rec',
    form,
    words,
    options,
    chainSource,
    question: (dataset, instance, use) =>
      use === 'practice' && drawnForRating(instance, options)
        ? (practiceRating(dataset, instance, chainSource(dataset), options) ?? question(dataset, instance))
        : question(dataset, instance),
    eachCandidate: (dataset, instance) =>
      candidateQuestions(dataset, instance, chainSource(dataset), Math.min(1, options.chains)),
    drawn: (dataset, instance, reasoning) => drawnChains(dataset, instance, reasoning, compact),
    remarks: (dataset, tests) =>
      options.chains === 0
        ? []
        : [chainShares(tests.map((test) => evidenceOf(question(dataset, test)).chains))],
    prompt: (dataset, instance, mode): Prompt =>
      words.question(dataset, instance, mode === 'direct' ? 'direct' : 'reason'),
    parse: (dataset, instance, response) => parseTrace(dataset, instance, response, compact),
    choices: (_, instance) => choicesOf(instance),
    rightChoice,
    isRight: (dataset, trace) => isRight(dataset, trace),
    taughtAnswer: (_, trace) => taughtAnswer(trace),
    response: (reasoning, ...answer): readonly PromptPart[] => {
      if (reasoning === null) return [form.directOpen, ...answer, form.answerClose]
      return [form.thinkOpen, reasoning, form.thinkClose, form.answerOpen, ...answer, form.answerClose]
    },
    gates: (dataset, instance, response) => textGates(dataset, instance, response, compact),
    requiredGates: new Set(options.requiredGates),
    metrics: topThreeMetrics,
    controls: {
      shuffled_history: (dataset, tests, seed) =>
        exchangedHistories(tests, seed).map((instance) => question(dataset, instance)),
      shuffled_ratings: (dataset, tests, seed) =>
        exchangedRatings(
          tests.map((instance) => question(dataset, instance)),
          seed,
        ),
    },
    mixture: (traces, seed) => ratingAndRanking(traces, options.rankingShare, seed),
  }
}

function historyChains(source: ChainSource, instance: Instance, count: number): readonly Chain[] {
  return count === 0 ? [] : source.amongHistory(instance, count)
}

/** How many of the tests had to do with open chains, or without any (spec 3.3 wants the share reported). */
function chainShares(chains: readonly (readonly Chain[])[]): string {
  const share = (count: number): string => `${((100 * count) / Math.max(1, chains.length)).toFixed(1)} %`
  const closed = chains.filter((own) => own.some((chain) => chain.closed)).length
  const none = chains.filter((own) => own.length === 0).length
  const open = chains.length - closed - none
  return `chains of ${chains.length} tests: ${share(closed)} closed, ${share(open)} open only (fallback), ${share(none)} none`
}

function drawnForRating({ id }: Instance, { ratingPrompts, seed }: R2RecOptions): boolean {
  return ratingPrompts > 0 && hashUnit(seed, 'rating prompt', id) < ratingPrompts
}

/** Null where the user's rating is not known. */
function practiceRating(
  dataset: Dataset,
  instance: Instance,
  source: ChainSource,
  { chains }: R2RecOptions,
): Instance | null {
  const own = askingChains(source, instance, Math.min(1, chains))
  const question = ratingQuestion(dataset, instance, own)
  return shownRating(dataset, evidenceOf(question).answer) === null ? null : question
}

/** The question that a trace answers. */
export function askedOf(trace: Trace): Instance {
  const { instance: id, user, history, target, candidates, evidence } = trace
  return { id, user, history, target, candidates, evidence }
}

function isRight(dataset: Dataset, trace: Trace): boolean {
  const asked = askedOf(trace)
  if (evidenceOf(asked).query === 'ranking') return trace.answerItem === trace.target
  return Number(trace.answer) === rightChoice(dataset, asked) + 1
}

/** Rebuilt from what was read, so that labels have the ids they are scored by. */
function taughtAnswer(trace: Trace): readonly PromptPart[] {
  const asked = askedOf(trace)
  if (evidenceOf(asked).query === 'rating') return [trace.answer]
  const ranking: readonly ItemIndex[] = rankingIn(asked, trace.answer) ?? [trace.target]
  return rankingParts(asked, ranking)
}

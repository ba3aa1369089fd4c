/**
 * How R2Rec writes questions and thoughts, in two wordings with one structure:
 *
 *   standard  natural sentences for instruct models; a chain is a block of lines "(u0 - i0) u0 rated TITLE 4/5"
 *   compact   little more than the lists, for models that were pre-trained on it (src/quickstart):
 *             "a Lagoon Orin 5" is u0's rating, "b ..." u1's; a rating that is asked for is "?"
 *
 * Progressive masking shows the first `revealed` hops of a chain and says of the others only that they are there.
 */

import type { Dataset, Instance, ItemIndex } from '../../data/types.js'
import { capitalised, plainNoun, plural } from '../../prompts/noun.js'
import type { Prompt, PromptPart } from '../../prompts/prompt.js'
import { fillTemplate, lineParts, loadTemplate, type PromptTemplate } from '../../prompts/template.js'
import type { AnswerForm } from '../method.js'
import { type Chain, type Hop, hopsOf } from './chain.js'
import { asksTitle, type Evidence, evidenceOf, labelOf, shownRating } from './question.js'
import { hopName, type Step } from './walk.js'

export type WordingName = 'standard' | 'compact'

export interface WordingOptions {
  readonly wording: WordingName
  /** Labels that a ranking names, best first. */
  readonly labels: number
  /** Word limit of one step, stated in prompts. */
  readonly stepWords: number
}

/** What of a question's chains is shown; everything unless told. */
export interface View {
  /** Hops revealed of each chain. */
  readonly revealed?: number
  /** A hop (from 0) whose rating is shown as asked for. */
  readonly maskedRating?: number
  /** Teachers only: the rating that is asked for, shown in the place of "?". Never part of what a student reads. */
  readonly answer?: number
}

type PromptKind = `${'ranking' | 'rating' | 'catalogue'}${'' | '-direct'}`

/** Each with the name of the file that holds it: prompts/<kind>[-compact].txt. */
const kinds = [
  'ranking',
  'rating',
  'catalogue',
  'ranking-direct',
  'rating-direct',
  'catalogue-direct',
] as const satisfies readonly PromptKind[]

export const standardForm: AnswerForm = {
  thinkOpen: '<think>\n',
  thinkClose: '\n</think>',
  answerOpen: '\n<answer>',
  answerClose: '</answer>',
  directOpen: '<answer>',
  choiceCloses: false,
}

const compactForm: AnswerForm = {
  thinkOpen: '<think>',
  thinkClose: '</think>',
  answerOpen: '<answer>',
  answerClose: '</answer>',
  directOpen: '<answer>',
  choiceCloses: false,
}

export class Wording {
  readonly form: AnswerForm
  readonly compact: boolean
  private readonly templates: Readonly<Record<PromptKind, PromptTemplate>>

  constructor(readonly options: WordingOptions) {
    this.compact = options.wording === 'compact'
    this.form = this.compact ? compactForm : standardForm
    const suffix = this.compact ? '-compact' : ''
    this.templates = Object.fromEntries(
      kinds.map((kind) => [kind, promptTemplate(`${kind}${suffix}`)]),
    ) as Record<PromptKind, PromptTemplate>
  }

  /** What a student is asked: the whole chains, the asked rating hidden, nothing of the answer. */
  question(dataset: Dataset, instance: Instance, mode: 'reason' | 'direct', view: View = {}): Prompt {
    const { query } = evidenceOf(instance)
    const values = {
      ...this.shared(dataset, instance, view),
      candidates: this.candidates(dataset, instance),
      labels: String(this.labelsAsked(instance)),
      item: query === 'rating' ? titleOf(dataset, instance.target) : '',
      answer_form: this.answerForm(instance),
      task: this.task(dataset, instance),
      form: this.thoughtForm(instance),
    }
    const asked = asksTitle(instance) ? 'catalogue' : query
    const kind: PromptKind = mode === 'direct' ? `${asked}-direct` : asked
    return fillTemplate(this.templates[kind], values)
  }

  /** Labels that a ranking of this instance names. */
  labelsAsked(instance: Instance): number {
    return Math.min(this.options.labels, instance.candidates.length)
  }

  /** What a step's line begins with: "Step 2 (u1 - i0): ", "2 ". */
  stepHead({ number, hop }: Step): string {
    return this.compact ? `${number} ` : `Step ${number} (${hopName(hop)}): `
  }

  /** History and chains as parts of a prompt; the chains under `view`. */
  shared(
    dataset: Dataset,
    instance: Instance,
    view: View,
  ): Readonly<Record<string, PromptPart | readonly PromptPart[]>> {
    const noun = plainNoun(dataset.noun)
    return {
      noun,
      nouns: plural(noun),
      Nouns: capitalised(plural(noun)),
      history: lineParts(
        instance.history.map((item, place) => this.historyLine(dataset, instance, item, place)),
      ),
      chains: this.chains(dataset, instance, view),
    }
  }

  private historyLine(dataset: Dataset, instance: Instance, item: ItemIndex, place: number): PromptPart[] {
    const rating = shownRating(dataset, evidenceOf(instance).ratings[place])
    const title = titleOf(dataset, item)
    if (this.compact) return ['+ ', title, ...(rating === null ? [] : [` ${rating}`])]
    return [`${place + 1}. `, title, ...(rating === null ? [] : [` (${rating}/5)`])]
  }

  private candidates(dataset: Dataset, { candidates }: Instance): PromptPart[] {
    return lineParts(
      candidates.map((item, place) => [`${labelOf(place, candidates.length)} `, titleOf(dataset, item)]),
    )
  }

  /** One block for each chain. A rating question without a chain still shows the edge that is asked for. */
  private chains(dataset: Dataset, instance: Instance, view: View): PromptPart[] {
    const { query, chains } = evidenceOf(instance)
    const asked: Hop = { user: 0, item: instance.target, place: 0, rating: null }
    if (chains.length === 0)
      return query === 'rating'
        ? lineParts([
            [this.compact ? 'chain' : 'Asked for:'],
            this.hopLine(dataset, asked, view.answer ?? null),
          ])
        : []
    return lineParts(
      chains.flatMap((chain, index) => this.chainLines(dataset, chain, query, view, index + 1)),
    )
  }

  private chainLines(
    dataset: Dataset,
    chain: Chain,
    query: Evidence['query'],
    { revealed, maskedRating, answer }: View,
    number: number,
  ): PromptPart[][] {
    const hops = hopsOf(chain)
    const lines = hops.map((hop, k) => {
      if (k >= (revealed ?? hops.length)) return [this.compact ? `${letter(hop.user)} ?` : '[MASK]']
      if (query === 'rating' && k === hops.length - 1) return this.hopLine(dataset, hop, answer ?? null)
      return this.hopLine(dataset, hop, k === maskedRating ? null : shownRating(dataset, hop.rating))
    })
    return [[this.compact ? 'chain' : `Chain ${number}:`], ...lines]
  }

  /** `rating` from 1 to 5; null: asked for, or not known. */
  private hopLine(dataset: Dataset, hop: Hop, rating: number | null): PromptPart[] {
    const title = titleOf(dataset, hop.item)
    if (this.compact) return [`${letter(hop.user)} `, title, ` ${rating ?? '?'}`]
    return [`(${hopName(hop)}) u${hop.user} rated `, title, ` ${rating ?? '?'}/5`]
  }

  private answerForm(instance: Instance): string {
    if (evidenceOf(instance).query === 'rating') return 'number from 1 to 5'
    if (asksTitle(instance)) return 'title'
    const asked = this.labelsAsked(instance)
    const shown = Array.from({ length: Math.min(3, asked) }, () => 'label').join(' > ')
    return asked > 3 ? `${shown} > ...` : shown
  }

  private task(dataset: Dataset, instance: Instance): PromptPart[] {
    const words = this.options.stepWords
    const { query, chains } = evidenceOf(instance)
    const walk =
      chains.length === 0
        ? 'Explain u0 by what u0 rated, one step for each of two of these'
        : chains.length === 1
          ? 'Walk the chain, one step for each of its ratings'
          : 'Walk the chain that says most, one step for each of its ratings'
    const rule = `, each one sentence of at most ${words} words that names its ${plainNoun(dataset.noun)}.`
    if (query === 'rating')
      return [
        'How does u0 rate ',
        titleOf(dataset, instance.target),
        `? ${walk}${rule} The last step states your estimate. Then give the number.`,
      ]
    if (asksTitle(instance)) {
      const noun = plainNoun(dataset.noun)
      return [`Which ${noun} does u0 take next? ${walk}${rule} Then give the exact title of the ${noun}.`]
    }
    const count = this.labelsAsked(instance)
    const ranking =
      count === instance.candidates.length
        ? `rank all ${count} labels`
        : `give the labels of the ${count} likeliest`
    return [`Which of them does u0 take next? ${walk}${rule} Then ${ranking}, the likeliest first.`]
  }

  private thoughtForm(instance: Instance): string {
    const [chain] = evidenceOf(instance).chains
    const hops: Step[] = chain
      ? hopsOf(chain).map((hop, k) => ({ number: k + 1, hop }))
      : [0, 1].map((place) => ({
          number: place === 0 ? 1 : 4,
          hop: { user: 0, item: 0, place, rating: null },
        }))
    return hops.map((step) => `${this.stepHead(step)}...`).join('\n')
  }
}

/** Users of a chain in the compact wording: a is u0, b is u1. */
function letter(user: number): string {
  return String.fromCharCode('a'.charCodeAt(0) + user)
}

export function titleOf(dataset: Dataset, item: ItemIndex): PromptPart {
  const found = dataset.items[item]
  if (!found) throw new RangeError(`there is no item ${item} among ${dataset.items.length}`)
  return found.title
}

export function promptTemplate(name: string): PromptTemplate {
  return loadTemplate(new URL(`./prompts/${name}.txt`, import.meta.url))
}

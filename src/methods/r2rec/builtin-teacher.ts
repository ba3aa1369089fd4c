/**
 * The builtin teacher of R2Rec: thoughts from templates, deterministic in (seed, question, step). It says only what can be
 * checked in the hops it may see and in the training part: where a rating stands among u0's shown ones, whether two
 * ratings of one item are within a point, how many other users took two items. At the last step of a rating it states the
 * answer it was given.
 *
 * Compact wording: it knows titles of the embedded catalogue alone, and says of an item what its title stands for; the walk
 * ends with the value (rating) or the two values of different kinds (ranking) that the user's shown ratings speak for.
 *
 * Its blind answer is a rule: the neighbour's rating of the item, moved by half of what u0 and u1 were apart on the shared
 * one. It does not reason: a model that imitates it learns the form and a habit of reading the chain.
 */

import { seeded } from '../../data/random.js'
import type { Dataset, Instance, ItemIndex } from '../../data/types.js'
import { capitalised, plainNoun, plural } from '../../prompts/noun.js'
import { titleValues } from '../../quickstart/catalogue-words.js'
import { CoOccurrence } from '../../teacher/co-occurrence.js'
import { builtinTeacher } from '../../teacher/teacher.js'
import { type Phrases, phrases, type Situation } from './builtin-phrases.js'
import { compactThought } from './compact-thoughts.js'
import { evidenceOf, shownRating } from './question.js'
import type { BlindRequest, StepTeacher, ThoughtRequest, ThoughtsRequest, Written } from './step-teacher.js'
import type { Step } from './walk.js'
import type { Wording } from './wording.js'

/** Prompts that allow fewer words a step get the brief sentences. */
const wordsOfFull = 35

export class R2RecBuiltinTeacher implements StepTeacher {
  readonly name = builtinTeacher
  readonly temperature = 0
  private readonly statistics: CoOccurrence

  constructor(
    private readonly dataset: Dataset,
    private readonly words: Wording,
    private readonly seed: number,
  ) {
    this.statistics = CoOccurrence.of(dataset)
  }

  async writeThoughts(requests: readonly ThoughtRequest[]): Promise<Written[]> {
    return requests.map(({ question, walk, index, answer }) => ({
      text: this.line(question, walk, index, answer),
      tokens: 0,
    }))
  }

  async writeAll(requests: readonly ThoughtsRequest[]): Promise<Written[]> {
    return requests.map(({ question, walk, answer }) => ({
      text: this.lines(question, walk, answer),
      tokens: 0,
    }))
  }

  async answerBlind(requests: readonly BlindRequest[]): Promise<(number | null)[]> {
    return requests.map(({ question, walk }) => this.estimate(question, walk))
  }

  /** Every line of a walk; `answer` at its end where a rating is asked for. */
  lines(question: Instance, walk: readonly Step[], answer: number | null): string {
    return walk
      .map((_, index) => this.line(question, walk, index, index === walk.length - 1 ? answer : null))
      .join('\n')
  }

  /** Candidates by how often others took them beside the history; ties to the more popular, then by a hash. */
  ranking({ id, user, history, candidates }: Instance): ItemIndex[] {
    const scored = candidates.map((item) => ({
      item,
      together: history.reduce((sum, past) => {
        const size = this.statistics.popularity(past, user) * this.statistics.popularity(item, user)
        return size === 0 ? sum : sum + this.statistics.together(past, item, user) / Math.sqrt(size)
      }, 0),
      popularity: this.statistics.popularity(item, user),
      lot: seeded(this.seed, 'tie', id, item).float(),
    }))
    scored.sort((a, b) => b.together - a.together || b.popularity - a.popularity || a.lot - b.lot)
    return scored.map(({ item }) => item)
  }

  private line(question: Instance, walk: readonly Step[], index: number, answer: number | null): string {
    if (this.words.compact) return this.compactLine(question, walk, index)
    const step = walk[index] as Step
    return `${this.words.stepHead(step)}${this.sentence(question, walk, index, answer)}`
  }

  private sentence(question: Instance, walk: readonly Step[], index: number, answer: number | null): string {
    const { hop } = walk[index] as Step
    const before = index > 0 ? (walk[index - 1] as Step).hop : null
    const rating = shownRating(this.dataset, hop.rating)
    const other = before && shownRating(this.dataset, before.rating)
    const noun = plainNoun(this.dataset.noun)
    const values: Readonly<Record<string, string>> = {
      title: this.title(hop.item),
      who: `u${hop.user === 0 && before ? before.user : hop.user}`,
      whom: `u${before?.user ?? 0}`,
      rating: String(rating),
      other: String(other),
      gap: gapText(rating, other),
      noun,
      nouns: plural(noun),
      amount: amount(before ? this.othersWithBoth(before.item, hop.item, question.user) : 0),
      answer: String(answer),
    }
    const { full, brief }: Phrases = phrases[this.situation(question, walk, index, rating, other)]
    const list = this.words.options.stepWords < wordsOfFull ? brief : full
    const sentence = list[seeded(this.seed, 'thought', question.id, index).below(list.length)] as string
    const filled = sentence.replace(/\{(\w+)\}/g, (_, name: string) => values[name] ?? '')
    return /^u\d /.test(filled) ? filled : capitalised(filled)
  }

  /** Neither u0 nor u1, who took both. */
  private othersWithBoth(a: ItemIndex, b: ItemIndex, user: string): number {
    return Math.max(0, this.statistics.together(a, b, user) - 1)
  }

  private situation(
    question: Instance,
    walk: readonly Step[],
    index: number,
    rating: number | null,
    other: number | null,
  ): Situation {
    if (index === walk.length - 1) return evidenceOf(question).query
    if (index === 0) return this.firstSituation(question, rating)
    const sameItem = walk[index]?.hop.place === walk[index - 1]?.hop.place
    if (rating === null || other === null) return sameItem ? 'shared' : 'next'
    if (sameItem) return Math.abs(rating - other) <= 1 ? 'agree' : 'differ'
    if (rating === other) return 'same'
    return rating > other ? 'more' : 'less'
  }

  private firstSituation(question: Instance, rating: number | null): Situation {
    const mean = this.shownMean(question)
    if (rating === null || mean === null) return 'unrated'
    if (Math.abs(rating - mean) < 0.5) return 'average'
    return rating > mean ? 'above' : 'below'
  }

  private shownMean(question: Instance): number | null {
    const known = evidenceOf(question)
      .ratings.map((rating) => shownRating(this.dataset, rating))
      .filter((rating) => rating !== null)
    return known.length === 0 ? null : known.reduce((sum, rating) => sum + rating, 0) / known.length
  }

  /** u1's rating of the item, moved by half of what u0 gave more or less than u1; without a chain, u0's mean. */
  private estimate(question: Instance, walk: readonly Step[]): number | null {
    const rated = (index: number): number | null => shownRating(this.dataset, walk[index]?.hop.rating)
    const mean = this.shownMean(question)
    const [own, theirs, next] = [rated(0), rated(1), rated(walk.length - 2)]
    if (walk.length < 4 || next === null) return mean === null ? null : Math.round(mean)
    const apart = own === null || theirs === null ? 0 : own - theirs
    return Math.min(5, Math.max(1, Math.round(next + apart / 2)))
  }

  private compactLine(question: Instance, walk: readonly Step[], index: number): string {
    return compactThought(this.dataset, question, walk, index, {
      liked: ({ hop }) => this.likeliest(question, titleValues(this.title(hop.item)), 2),
      so: this.conclusion(question, walk),
    })
  }

  /** A rating goes by what the walk's items share, a ranking by the two values that speak loudest. */
  private conclusion(question: Instance, walk: readonly Step[]): string[] {
    const [one = [], ...others] = walk.map(({ hop }) => titleValues(this.title(hop.item)))
    if (evidenceOf(question).query === 'rating')
      return one.filter((value) => others.every((values) => values.includes(value)))
    const all = [...new Set([one, ...others].flat())]
    return this.likeliest(question, all, 2)
  }

  /** The `count` values that stand behind the most of u0's ratings (each counted from 2.5), in the order of their weight. */
  private likeliest({ history, ...question }: Instance, values: readonly string[], count: number): string[] {
    const { ratings } = evidenceOf({ history, ...question })
    const weight = (value: string): number =>
      history.reduce((sum, item, place) => {
        const has = titleValues(this.title(item)).includes(value)
        return sum + (has ? (shownRating(this.dataset, ratings[place]) ?? 3) - 2.5 : 0)
      }, 0)
    return values
      .map((value, order) => ({ value, order, weight: weight(value) }))
      .sort((a, b) => b.weight - a.weight || a.order - b.order)
      .slice(0, count)
      .map(({ value }) => value)
  }

  private title(item: ItemIndex): string {
    return this.dataset.items[item]?.title.text ?? ''
  }
}

function amount(users: number): string {
  if (users === 0) return 'no'
  if (users >= 10) return 'many'
  return users >= 3 ? 'several' : 'some'
}

function gapText(a: number | null, b: number | null): string {
  const gap = Math.abs((a ?? 0) - (b ?? 0))
  return gap === 1 ? '1 point' : `${gap} points`
}

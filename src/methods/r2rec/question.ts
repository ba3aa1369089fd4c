/**
 * What R2Rec asks about an instance, as Instance.evidence:
 *   ranking  which of the candidates comes next (Mode L, and the prompts of Internalization)
 *   rating   how the user would rate the target, i1 of a chain whose closing edge is hidden (Collection)
 * Ratings are shown and asked as whole numbers from 1 to 5; other scales are brought to it.
 */

import { ratingsOf } from '../../data/ratings.js'
import type { Dataset, Instance, ItemIndex } from '../../data/types.js'
import { ReasonrecError } from '../../engine/errors.js'
import type { Chain, ChainSource } from './chain.js'

export interface Evidence {
  readonly query: 'ranking' | 'rating'
  /** The user's ratings of the history shown, beside it. */
  readonly ratings: readonly (number | null)[]
  /** In the order shown; one at most for a rating. */
  readonly chains: readonly Chain[]
  /** Rating questions: the right answer. It is in no prompt of a student. */
  readonly answer?: number | null
}

export const ratingClasses = [1, 2, 3, 4, 5] as const

/** Is this a rating question, or a trace about one? */
export function asksRating({ evidence }: Pick<Instance, 'evidence'>): boolean {
  return (evidence as Evidence | undefined)?.query === 'rating'
}

/** Is the answer a title of the whole catalogue, because no candidates are named? */
export function asksTitle(instance: Instance): boolean {
  return evidenceOf(instance).query === 'ranking' && instance.candidates.length === 0
}

/** A ranking by titles alone where nothing else was put there. */
export function evidenceOf(instance: Instance): Evidence {
  return (instance.evidence as Evidence | undefined) ?? { query: 'ranking', ratings: [], chains: [] }
}

export function rankingQuestion(dataset: Dataset, instance: Instance, chains: readonly Chain[]): Instance {
  const { history: ratings } = ratingsOf(dataset, instance)
  return { ...instance, evidence: { query: 'ranking', ratings, chains } satisfies Evidence }
}

/** Candidates are no part of it. */
export function ratingQuestion(dataset: Dataset, instance: Instance, chains: readonly Chain[]): Instance {
  const { history: ratings, target: answer } = ratingsOf(dataset, instance)
  return {
    ...instance,
    candidates: [],
    evidence: { query: 'rating', ratings, chains, answer } satisfies Evidence,
  }
}

/** Mode P: how the user would rate each candidate, one question each, with a chain that ends in it where there is one. */
export function candidateQuestions(
  dataset: Dataset,
  instance: Instance,
  source: ChainSource,
  chains: number,
): Instance[] {
  return instance.candidates.map((item) => {
    const one = { ...instance, target: item }
    const { history: ratings } = ratingsOf(dataset, one)
    const evidence: Evidence = {
      query: 'rating',
      ratings,
      chains: askingChains(source, one, chains),
      answer: null,
    }
    return { ...one, id: `${instance.id}/${item}`, candidates: [], evidence }
  })
}

/** Chains whose closing edge is the target's rating, at most `count`; what a source falls back to asks nothing and is left out. */
export function askingChains(source: ChainSource, instance: Instance, count: number): readonly Chain[] {
  const { target } = instance
  return count === 0
    ? []
    : source
        .endingAt(instance, target, count)
        .filter(({ closed, items }) => closed && items.at(-1) === target)
}

/** C01, C02, ...: equally long within a list, whatever its length. */
export function labelOf(place: number, candidates: number): string {
  return `C${String(place + 1).padStart(Math.max(2, String(candidates).length), '0')}`
}

/** Of the item's place in the instance's list. */
export function labelOfItem({ id, candidates }: Instance, item: ItemIndex): string {
  const place = candidates.indexOf(item)
  if (place >= 0) return labelOf(place, candidates.length)
  throw new ReasonrecError('RR_DATA_ITEM', `${id} does not list item ${item}`, {
    expected: `one of ${candidates.length} candidates`,
  })
}

const largest = new WeakMap<Dataset, number>()

/** The rating as a prompt shows it, 1 to 5; null where there is none. */
export function shownRating(dataset: Dataset, rating: number | null | undefined): number | null {
  if (rating === null || rating === undefined) return null
  let top = largest.get(dataset)
  if (top === undefined) {
    top = dataset.trainInteractions.reduce((most, { rating: own }) => Math.max(most, own ?? 0), 5)
    largest.set(dataset, top)
  }
  return Math.min(5, Math.max(1, Math.round((5 * rating) / top)))
}

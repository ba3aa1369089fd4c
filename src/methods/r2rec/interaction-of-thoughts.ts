/**
 * The interaction-of-thoughts trace (spec 5): one thought for each hop of a walk, then the answer.
 *
 *   <think>                                            <think>1 Lagoon Orin 5 likes sea calm
 *   Step 1 (u0 - i0): ...                              2 Lagoon Orin 4 agree
 *   ...                                                3 Vale Tamsin 4 likes farm calm
 *   Step 4 (u0 - i1): ...                              4 Vale Tamsin 3 so sea calm</think><answer>...</answer>
 *   </think>
 *   <answer>4</answer>   or   <answer>C07 > C12 > C03</answer>
 *
 * One parser reads both wordings and both answers. A ranking is a list of labels of the question, none twice; the items
 * it does not name stand behind the named ones. A rating is one whole number from 1 to 5. Nothing is guessed.
 */

import type { Dataset, Instance } from '../../data/types.js'
import type { PromptPart } from '../../prompts/prompt.js'
import type { ParsedAnswer } from '../method.js'
import { itemNamed } from '../named-item.js'
import { asksTitle, evidenceOf, labelOf, labelOfItem, ratingClasses, shownRating } from './question.js'
import { stepNumbers } from './walk.js'

const tags = ['<think>', '</think>', '<answer>', '</answer>'] as const
const whole = /^\s*<think>([\s\S]*)<\/think>\s*<answer>([\s\S]*)<\/answer>\s*$/
const standardStep = /^Step (\d{1,2}) \((u\d{1,2} - i\d{1,2})\): *(.*)$/
const compactStep = /^(\d{1,2}) (.*)$/

export const rankingMark = ' > '

export interface Thought {
  readonly number: number
  /** "u1 - i0"; null in the compact wording, which leaves it to the number. */
  readonly hop: string | null
  readonly text: string
}

/** One thought a line; null where a line is none. */
export function thoughtsOf(reasoning: string, compact: boolean): Thought[] | null {
  const lines = reasoning
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
  const thoughts = lines.map((line): Thought | null => {
    const [, number, ...rest] = (compact ? compactStep : standardStep).exec(line) ?? []
    if (number === undefined) return null
    return { number: Number(number), hop: compact ? null : (rest[0] as string), text: rest.at(-1) as string }
  })
  return thoughts.every((thought) => thought !== null) ? thoughts : null
}

/** The steps of a possible walk, in order, each with text; in the standard wording each with its hop's name. */
export function hasSteps(instance: Instance, reasoning: string, compact: boolean): boolean {
  const thoughts = thoughtsOf(reasoning, compact)
  if (!thoughts) return false
  const numbers = thoughts.map(({ number }) => number)
  return (
    thoughts.every(
      ({ text, hop, number }) => text !== '' && (hop === null || hop === hopOf(number, numbers)),
    ) && stepNumbers(instance).some((walk) => walk.join() === numbers.join())
  )
}

/** The hop's name that belongs to a step's number in a walk of `numbers`. */
function hopOf(number: number, numbers: readonly number[]): string {
  if (numbers.length === 2) return number === 1 ? 'u0 - i0' : 'u0 - i1'
  const users = Math.ceil(numbers.length / 2)
  return `u${(number >> 1) % users} - i${(number - 1) >> 1}`
}

export function parseTrace(
  dataset: Dataset,
  instance: Instance,
  response: string,
  compact: boolean,
): ParsedAnswer {
  const once = tags.every((tag) => response.split(tag).length === 2)
  const match = once ? whole.exec(response) : null
  const reasoning = match?.[1]?.trim() ?? ''
  const answer = match?.[2]?.trim() ?? ''
  if (reasoning === '' || answer === '') return { reasoning: null, answer: null, item: null }
  const read = readAnswer(dataset, instance, answer)
  return { reasoning, answer, ...read, steps: hasSteps(instance, reasoning, compact) }
}

function readAnswer(
  dataset: Dataset,
  instance: Instance,
  answer: string,
): Pick<ParsedAnswer, 'item' | 'ranking' | 'ratingError'> {
  const { query, answer: own } = evidenceOf(instance)
  if (asksTitle(instance)) return { item: itemNamed(dataset, instance, answer) }
  if (query === 'ranking') {
    const ranking = rankingIn(instance, answer)
    return ranking ? { item: ranking[0] ?? null, ranking } : { item: null }
  }
  const [given, right] = [ratingIn(answer), shownRating(dataset, own)]
  if (given === null) return { item: null }
  return { item: null, ratingError: right === null ? null : Math.abs(given - right) }
}

export function ratingIn(answer: string): number | null {
  return /^[1-5]$/.test(answer) ? Number(answer) : null
}

/** Items in the order of their labels; null unless every piece is a label of the question and none stands twice. */
export function rankingIn({ candidates }: Instance, answer: string): number[] | null {
  const labels = new Map(candidates.map((item, place) => [labelOf(place, candidates.length), item]))
  const items = answer.split('>').map((piece) => labels.get(piece.trim()))
  const known = items.filter((item) => item !== undefined)
  return known.length === items.length && new Set(known).size === known.length ? known : null
}

/** Labels and the marks between them, each a part of its own: a label has the same ids here and where it is scored. */
export function rankingParts(instance: Instance, items: readonly number[]): PromptPart[] {
  return items.flatMap((item, index) => [...(index === 0 ? [] : [rankingMark]), labelOfItem(instance, item)])
}

/** What may stand behind the answer's tag: one label for each candidate, or the five ratings. */
export function choicesOf(instance: Instance): PromptPart[] {
  return evidenceOf(instance).query === 'rating'
    ? ratingClasses.map(String)
    : instance.candidates.map((_, place) => labelOf(place, instance.candidates.length))
}

/** Which of the choices is right; -1 where nobody knows. */
export function rightChoice(dataset: Dataset, instance: Instance): number {
  if (evidenceOf(instance).query === 'ranking') return instance.candidates.indexOf(instance.target)
  return (shownRating(dataset, evidenceOf(instance).answer) ?? 0) - 1
}

/**
 * Thoughts of the compact wording, as text. A step names the hop's item and rating; what it adds:
 *   u0's first, another user's next item   likes V W     two of the item's values; none where it has none
 *   another user's rating of the same item agree|differ  differ: more than one apart
 *   the closing one                        so V W        the values the choice goes by (so none: there are none)
 */

import type { Dataset, Instance } from '../../data/types.js'
import { partsText } from '../../prompts/prompt.js'
import { evidenceOf, shownRating } from './question.js'
import type { Step } from './walk.js'
import { titleOf } from './wording.js'

export interface CompactWords {
  /** Values said of a step's item. */
  readonly liked: (step: Step) => readonly string[]
  /** Values the walk ends with. */
  readonly so: readonly string[]
}

/** The lines of a walk, joined: what stands between <think> and </think>. */
export function compactThoughts(
  dataset: Dataset,
  instance: Instance,
  walk: readonly Step[],
  words: CompactWords,
): string {
  return walk.map((_, index) => compactThought(dataset, instance, walk, index, words)).join('\n')
}

/** One line, its number included. */
export function compactThought(
  dataset: Dataset,
  instance: Instance,
  walk: readonly Step[],
  index: number,
  { liked, so }: CompactWords,
): string {
  const step = walk[index] as Step
  const { hop, number } = step
  const title = partsText([titleOf(dataset, hop.item)])
  const closes = index === walk.length - 1
  const asked = closes && evidenceOf(instance).query === 'rating'
  const rating = asked ? null : shownRating(dataset, hop.rating)
  const said = closes ? `so ${listed(so)}` : middle(dataset, walk, index, liked(step))
  return [String(number), title, ...(rating === null ? [] : [String(rating)]), said].join(' ')
}

function middle(dataset: Dataset, walk: readonly Step[], index: number, liked: readonly string[]): string {
  const before = walk[index - 1]?.hop
  const { hop } = walk[index] as Step
  if (before?.item !== hop.item) return `likes ${listed(liked)}`
  const [one, other] = [shownRating(dataset, before.rating), shownRating(dataset, hop.rating)]
  return one !== null && other !== null && Math.abs(one - other) <= 1 ? 'agree' : 'differ'
}

function listed(values: readonly string[]): string {
  return values.length === 0 ? 'none' : values.join(' ')
}

/**
 * Controls that answer behind a reasoning the model did not write for that test (no token is sampled):
 *   exchanged_reasoning  what the row wrote for the next test in a ring by hash: is the reasoning this user's?
 *   filler_reasoning     full stops, as many tokens as the row wrote for this very test: is it what the reasoning says,
 *                        or the computation that so many more tokens allow (spec 7.7)?
 */

import type { Instance } from '../../data/types.js'
import { untrustedPassage } from '../../prompts/untrusted-text.js'
import type { PhaseContext } from '../run/context.js'
import { nextInRing } from '../run/streams.js'
import type { Task } from './evaluation-tasks.js'
import { readPredictions } from './prediction-lines.js'

export const givenControls = ['exchanged_reasoning', 'filler_reasoning'] as const

/** Reasonings to answer `instances` behind, in their order; `of` is the row that wrote them. */
export function givenReasonings(
  context: PhaseContext,
  { shown, row, mode }: Task,
  of: Task['row'],
  instances: readonly Instance[],
): string[] {
  const written = new Map(
    readPredictions(context.run)
      .filter((line) => line.row === of && line.mode === mode)
      .map(({ instance, reasoning }) => [instance, reasoning]),
  )
  if (row === 'filler_reasoning') return instances.map(({ id }) => fillerLike(context, written.get(id) ?? ''))
  const next = nextInRing(shown, context.config.seed, 'exchanged reasonings')
  return instances.map(({ id }) => written.get(next.get(id)?.id ?? '') ?? '')
}

/** The shortest row of full stops that has at least as many tokens as `reasoning`. */
function fillerLike({ encoding }: PhaseContext, reasoning: string): string {
  const tokens = (text: string): number => encoding.tokenizer.encodeParts([untrustedPassage(text)]).length
  const wanted = tokens(reasoning)
  let [short, long] = [0, 1]
  const filler = (words: number): string => Array.from({ length: words }, () => '.').join(' ')
  while (tokens(filler(long)) < wanted) [short, long] = [long, 2 * long]
  while (long - short > 1) {
    const middle = (short + long) >> 1
    if (tokens(filler(middle)) < wanted) short = middle
    else long = middle
  }
  return wanted === 0 ? '' : filler(long)
}

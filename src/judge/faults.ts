/**
 * Faults planted in reasonings of a run, by code and from a seed, to see whether a judge finds them:
 *   other_user      the reasoning of another user
 *   contradiction   says that the user never chose a title of the history
 *   hallucination   names a title of the catalogue that stands nowhere in the question, as if the user had chosen it
 *   boilerplate     praise that would fit any user and any item
 *   swapped_answer  another candidate is recommended than the one the reasoning speaks for
 */

import { readFileSync } from 'node:fs'
import { seeded } from '../data/random.js'
import type { JudgeQuestion } from '../rewards/judge.js'

export const faults = [
  'other_user',
  'contradiction',
  'hallucination',
  'boilerplate',
  'swapped_answer',
] as const
export type Fault = (typeof faults)[number]

/** A reasoning that faults are planted in. */
export interface SoundTrace {
  readonly user: string
  readonly question: JudgeQuestion
}

/** {title} is filled in. */
const wordings = JSON.parse(readFileSync(new URL('./faults.json', import.meta.url), 'utf8')) as Readonly<
  Record<'contradiction' | 'hallucination' | 'boilerplate', readonly string[]>
>

/** The faulty question; null where the trace has no room for the fault (a single candidate, say). */
export function planted(
  fault: Fault,
  traces: readonly SoundTrace[],
  index: number,
  { titles, seed }: { readonly titles: readonly string[]; readonly seed: number },
): JudgeQuestion | null {
  const { user, question } = traces[index] as SoundTrace
  const { history, candidates, reasoning, answer } = question
  const random = seeded(seed, 'fault', fault, index)
  const drawn = <T>(values: readonly T[]): T | null => random.shuffled(values)[0] ?? null
  const said = (kind: keyof typeof wordings, title = ''): string =>
    (drawn(wordings[kind]) as string).replace('{title}', () => title)
  switch (fault) {
    case 'other_user': {
      const others = traces.filter((other) => other.user !== user && other.question.reasoning !== reasoning)
      const other = drawn(others)
      return other && { ...question, reasoning: other.question.reasoning }
    }
    case 'contradiction': {
      const cited = history.filter((title) => reasoning.includes(title))
      const title = drawn(cited.length > 0 ? cited : history)
      return title === null
        ? null
        : { ...question, reasoning: `${reasoning.trimEnd()} ${said('contradiction', title)}` }
    }
    case 'hallucination': {
      const own = new Set([...history, ...candidates, answer])
      const foreign = drawn(titles.filter((title) => !own.has(title) && !reasoning.includes(title)))
      if (foreign === null) return null
      const cited = drawn(history.filter((title) => reasoning.includes(title)))
      const told =
        cited === null
          ? `${said('hallucination', foreign)} ${reasoning}`
          : reasoning.replaceAll(cited, () => foreign)
      return { ...question, reasoning: told }
    }
    case 'boilerplate':
      return { ...question, reasoning: said('boilerplate') }
    case 'swapped_answer': {
      const others = candidates.filter((title) => title !== answer)
      const unnamed = others.filter((title) => !reasoning.includes(title))
      const other = drawn(unnamed.length > 0 ? unnamed : others)
      return other === null ? null : { ...question, answer: other }
    }
  }
}

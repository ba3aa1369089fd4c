/**
 * Progressive masked prompting (spec 4): turns a chain with a known closing rating into one thought for each hop.
 *
 *   R = ()
 *   for k = 1 .. K:   show hops 1 .. k, mask the rest; show R; at k = K also the answer, never before
 *                     r_k = teacher("write step k");   R = R + (r_k)
 *   blind = teacher(question without the answer, R without r_K), greedy
 *
 * What the student learns is the question without masks and without the answer, then R and the answer. All questions of a
 * chunk take a step together, as one batch. Alternatives: one_shot asks for R in one text (the answer shown throughout);
 * predict_each also hides each hop's rating while its thought is written, and shows it from the next step on.
 */

import type { Instance } from '../../data/types.js'
import { ReasonrecError } from '../../engine/errors.js'
import { evidenceOf } from './question.js'
import type { StepTeacher, Written } from './step-teacher.js'
import { type Step, walksOf } from './walk.js'
import type { View } from './wording.js'

export type Prompting = 'progressive' | 'one_shot' | 'predict_each'

/** A rating question with a walk to explain, and the right answer as it is shown. */
export interface Task {
  readonly question: Instance
  readonly walk: readonly Step[]
  readonly answer: number
  /** Random streams by step; what was drawn for other tasks changes nothing. */
  readonly stream: (step: number) => bigint
}

export interface Explained {
  readonly task: Task
  /** The lines, heads included. */
  readonly thoughts: readonly string[]
  /** The answer given without having seen the right one; null where it could not be read. */
  readonly blind: number | null
  /** Tokens sampled for the thoughts. */
  readonly tokens: number
}

/** The walk that a rating question is explained by: its chain, or for lack of one the newest item of the history. */
export function taskOf(question: Instance, answer: number, stream: Task['stream']): Task {
  const { query } = evidenceOf(question)
  const walk = walksOf(question).at(-1)
  if (query !== 'rating' || !walk)
    throw new ReasonrecError('RR_DATA_ITEM', `${question.id} asks for no rating that could be explained`, {
      expected: 'a rating question with a chain or a history',
    })
  return { question, walk, answer, stream }
}

export async function explain(
  tasks: readonly Task[],
  teacher: StepTeacher,
  prompting: Prompting,
): Promise<Explained[]> {
  const written =
    prompting === 'one_shot'
      ? await allAtOnce(tasks, teacher)
      : await stepByStep(tasks, teacher, prompting === 'predict_each')
  const blind = await teacher.answerBlind(
    tasks.map(({ question, walk, stream }, index) => ({
      question,
      walk,
      thoughts: linesOf(written[index] as Written).slice(0, walk.length - 1),
      stream: stream(walk.length),
    })),
  )
  return tasks.map((task, index) => ({
    task,
    thoughts: linesOf(written[index] as Written),
    blind: blind[index] ?? null,
    tokens: written[index]?.tokens ?? 0,
  }))
}

async function stepByStep(
  tasks: readonly Task[],
  teacher: StepTeacher,
  predicts: boolean,
): Promise<Written[]> {
  const lines: string[][] = tasks.map(() => [])
  const tokens = tasks.map(() => 0)
  const steps = Math.max(0, ...tasks.map(({ walk }) => walk.length))
  for (let index = 0; index < steps; index++) {
    const open = tasks.map((_, place) => place).filter((place) => index < (tasks[place] as Task).walk.length)
    const requests = open.map((place) => {
      const { question, walk, answer, stream } = tasks[place] as Task
      return {
        question,
        walk,
        index,
        thoughts: [...(lines[place] as string[])],
        view: stepView(index, predicts),
        answer: index === walk.length - 1 ? answer : null,
        stream: stream(index),
      }
    })
    const thoughts = await teacher.writeThoughts(requests)
    open.forEach((place, at) => {
      const own = thoughts[at] as Written
      lines[place]?.push(own.text)
      tokens[place] = (tokens[place] as number) + own.tokens
    })
  }
  return tasks.map((_, place) => ({
    text: (lines[place] as string[]).join('\n'),
    tokens: tokens[place] as number,
  }))
}

/** What step `index` may show. */
export function stepView(index: number, predicts: boolean): View {
  return { revealed: index + 1, ...(predicts && { maskedRating: index }) }
}

async function allAtOnce(tasks: readonly Task[], teacher: StepTeacher): Promise<readonly Written[]> {
  return teacher.writeAll(
    tasks.map(({ question, walk, answer, stream }) => ({ question, walk, answer, stream: stream(0) })),
  )
}

function linesOf({ text }: Written): string[] {
  return text === '' ? [] : text.split('\n')
}

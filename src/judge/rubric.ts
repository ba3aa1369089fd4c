/**
 * The rubric (spec 7.5): five grades from 1 to 5, asked in two orders of the prompt, and comparisons of two explanations
 * asked twice with places exchanged. The judge sees history, candidates, reasoning and answer; never the target, never
 * who wrote it. Texts from outside stand in marks that they cannot close (teacher/openai/prompting.ts).
 */

import type { Prompt } from '../prompts/prompt.js'
import { fillTemplate, lineParts, loadTemplate } from '../prompts/template.js'
import { untrusted, untrustedPassage } from '../prompts/untrusted-text.js'
import type { JudgeQuestion } from '../rewards/judge.js'
import type { AnswerSchema, ChatChoice } from '../teacher/openai/chat.js'

export const criteria = ['faithful', 'logical', 'specific', 'supports', 'clear'] as const
export type Criterion = (typeof criteria)[number]
export type Grades = Readonly<Record<Criterion, number>>

/** Two explanations for one user. */
export interface JudgePair {
  readonly history: readonly string[]
  readonly candidates: readonly string[]
  readonly a: Pick<JudgeQuestion, 'reasoning' | 'answer'>
  readonly b: Pick<JudgeQuestion, 'reasoning' | 'answer'>
}

export type Winner = 'A' | 'B' | 'tie'

const absolute = ['./prompts/absolute.txt', './prompts/absolute-reversed.txt'].map((file) =>
  loadTemplate(new URL(file, import.meta.url)),
)
const pairwise = loadTemplate(new URL('./prompts/pairwise.txt', import.meta.url))

const grade = { type: 'integer', minimum: 1, maximum: 5 } as const
export const gradesSchema: AnswerSchema = schemaOf(
  'grades',
  Object.fromEntries(criteria.map((name) => [name, grade])),
)
export const winnerSchema: AnswerSchema = schemaOf('comparison', {
  winner: { type: 'string', enum: ['A', 'B', 'tie'] },
})

function schemaOf(name: string, properties: Readonly<Record<string, object>>): AnswerSchema {
  const all = { justification: { type: 'string' }, ...properties }
  return {
    name,
    schema: { type: 'object', properties: all, required: Object.keys(all), additionalProperties: false },
  }
}

/** One prompt for each order. */
export function gradePrompts(question: JudgeQuestion): Prompt[] {
  const form = `{"justification": "one sentence", ${criteria.map((name) => `"${name}": 3`).join(', ')}}`
  return absolute.map((template) =>
    fillTemplate(template, {
      ...lists(question),
      reasoning: untrustedPassage(question.reasoning),
      answer: untrusted(question.answer),
      form,
    }),
  )
}

export function pairPrompt(pair: JudgePair): Prompt {
  return fillTemplate(pairwise, {
    ...lists(pair),
    reasoning_a: untrustedPassage(pair.a.reasoning),
    answer_a: untrusted(pair.a.answer),
    reasoning_b: untrustedPassage(pair.b.reasoning),
    answer_b: untrusted(pair.b.answer),
    form: '{"justification": "one sentence", "winner": "A" or "B" or "tie"}',
  })
}

function lists({ history, candidates }: Pick<JudgeQuestion, 'history' | 'candidates'>) {
  return {
    history: lineParts(history.map((title, index) => [`${index + 1}. `, untrusted(title)])),
    candidates:
      candidates.length === 0
        ? 'the whole catalogue'
        : lineParts(candidates.map((title) => ['- ', untrusted(title)])),
  }
}

/** Null unless all five grades are there. */
export function readGrades({ text }: Pick<ChatChoice, 'text'>): Grades | null {
  const said = objectIn(text)
  const graded = criteria.map((name) => [name, said?.[name]] as const)
  const known = graded.every(
    ([, value]) => typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 5,
  )
  return known ? (Object.fromEntries(graded) as Grades) : null
}

export function readWinner({ text }: Pick<ChatChoice, 'text'>): Winner | null {
  const winner = objectIn(text)?.winner
  return winner === 'A' || winner === 'B' || winner === 'tie' ? winner : null
}

/** The object behind a reasoning model's own thoughts, perhaps in a fence of code. */
function objectIn(text: string): Readonly<Record<string, unknown>> | null {
  const own = text.split('</think>').at(-1) ?? ''
  const body = /\{[\s\S]*\}/.exec(own)?.[0]
  if (body === undefined) return null
  try {
    return JSON.parse(body) as Readonly<Record<string, unknown>>
  } catch {
    return null
  }
}

/** 0 to 1: the mean grade of both orders. */
export function scoreOf(orders: readonly Grades[]): number {
  const grades = orders.flatMap((one) => criteria.map((name) => one[name]))
  return (grades.reduce((sum, value) => sum + value, 0) / grades.length - 1) / 4
}

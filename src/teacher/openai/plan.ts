/**
 * What a teacher will be asked, before it is: requests, tokens, cost, time. Tokens of prompts are bytes / 4 of real prompts
 * (within a third for European languages); answers are expected as long as they are asked for and at most as long
 * as they may be. Failed attempts are not in it; what a ledger already holds is asked no more.
 *   seconds = (requests * round trip + answer tokens / speed) / concurrency
 */

import type { Config } from '../../config/schema.js'
import { costOf } from './cost.js'

/** One kind of question. */
export interface PlannedRequests {
  readonly what: string
  readonly questions: number
  /** Of each question. */
  readonly samples: number
  /** Mean of one prompt. */
  readonly promptTokens: number
  readonly expectedTokens: number
  readonly maxTokens: number
  /** Asked only where something before it fails: none at best. */
  readonly conditional: boolean
}

export interface Range {
  /** Conditional questions left out, answers as long as expected. */
  readonly least: number
  /** All of them, answers as long as allowed. */
  readonly most: number
}

export interface TeacherPlan {
  readonly model: string
  readonly parts: readonly {
    readonly what: string
    readonly requests: number
    readonly conditional: boolean
  }[]
  readonly requests: Range
  readonly prompt_tokens: Range
  readonly completion_tokens: Range
  readonly cost: Range
  readonly max_cost: number | null
  readonly seconds: Range
}

const roundTrip = 0.5 // seconds

export function teacherPlan(settings: Config['teacher'], parts: readonly PlannedRequests[]): TeacherPlan {
  const least = sums(
    settings,
    parts.filter(({ conditional }) => !conditional),
    'expectedTokens',
  )
  const most = sums(settings, parts, 'maxTokens')
  const range = (name: keyof Sums): Range => ({ least: least[name], most: most[name] })
  return {
    model: settings.model ?? '',
    parts: parts.map((part) => ({
      what: part.what,
      requests: requestsOf(settings, part),
      conditional: part.conditional,
    })),
    requests: range('requests'),
    prompt_tokens: range('prompt'),
    completion_tokens: range('completion'),
    cost: range('cost'),
    max_cost: settings.max_cost,
    seconds: range('seconds'),
  }
}

interface Sums {
  readonly requests: number
  readonly prompt: number
  readonly completion: number
  readonly cost: number
  readonly seconds: number
}

function sums(
  settings: Config['teacher'],
  parts: readonly PlannedRequests[],
  length: 'expectedTokens' | 'maxTokens',
): Sums {
  const total = (of: (part: PlannedRequests) => number): number =>
    parts.reduce((sum, part) => sum + of(part), 0)
  const requests = total((part) => requestsOf(settings, part))
  const prompt = Math.round(total((part) => requestsOf(settings, part) * part.promptTokens))
  const each = (part: PlannedRequests): number => part[length] + settings.reasoning_tokens
  const completion = Math.round(total((part) => part.questions * part.samples * each(part)))
  const cost = costOf({ in: settings.price_in, out: settings.price_out }, { prompt, completion })
  const seconds = (requests * roundTrip + completion / settings.tokens_per_second) / settings.concurrency
  return { requests, prompt, completion, cost, seconds }
}

function requestsOf(
  { samples_per_request: size }: Config['teacher'],
  { questions, samples }: PlannedRequests,
): number {
  return questions * Math.ceil(samples / size)
}

/** For a note before the first request. */
export function planLine({
  model,
  requests,
  prompt_tokens: prompt,
  completion_tokens: answer,
  cost,
  seconds,
}: TeacherPlan): string {
  const shown = ({ least, most }: Range, digits = 0): string =>
    least === most ? least.toFixed(digits) : `${least.toFixed(digits)} to ${most.toFixed(digits)}`
  const money = cost.most > 0 ? `, cost ${shown(cost, 2)}` : ''
  return `${model} will be asked ${shown(requests)} requests, prompts of about ${shown(prompt)} tokens, answers of ${shown(answer)}${money}, in ${shown({ least: seconds.least / 60, most: seconds.most / 60 }, 1)} minutes`
}

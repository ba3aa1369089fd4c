/**
 * Bodies of /v1/chat/completions and /v1/completions. Fields that this server cannot honour are refused unless they
 * ask for nothing, so an answer is never something else than what was asked for. Beside OpenAI's fields: top_k, min_p,
 * repetition_penalty, return_token_ids and candidates (candidates.ts).
 */

import { z } from 'zod'
import { badField } from './problem.js'

const optional = <T extends z.ZodType>(schema: T) => schema.nullish().transform((value) => value ?? null)
const whole = (least: number, most = Number.MAX_SAFE_INTEGER) => z.number().int().min(least).max(most)
const text = z.string().min(1)
const ignored = z.unknown().optional()

const candidateForm = z.strictObject({
  titles: z.array(text).min(1).max(10_000),
  think_open: z.string().default(''),
  think_close: optional(z.string().regex(/\S/u, 'text that is not blank')),
  answer_open: z.string().default(''),
  answer_close: optional(text),
})

/** Accepted where they change nothing. */
const inert = {
  user: ignored,
  metadata: ignored,
  store: z.literal(false).nullish(),
  service_tier: ignored,
  parallel_tool_calls: ignored,
  presence_penalty: z.literal(0).nullish(),
  frequency_penalty: z.literal(0).nullish(),
  logit_bias: z.strictObject({}).nullish(),
  tools: z.array(z.never()).nullish(),
  tool_choice: z.literal('none').nullish(),
  response_format: z.strictObject({ type: z.literal('text') }).nullish(),
  modalities: z.tuple([z.literal('text')]).nullish(),
}

const common = {
  ...inert,
  model: optional(z.string()),
  max_tokens: optional(whole(1)),
  // A temperature next to 0 makes numbers that are not finite, which would end everybody's batch.
  temperature: optional(
    z
      .number()
      .min(0)
      .max(100)
      .refine((t) => t === 0 || t >= 0.01, 'expected 0, or 0.01 to 100'),
  ),
  top_p: optional(z.number().gt(0).max(1)),
  top_k: optional(whole(-1, 1_000_000)),
  min_p: optional(z.number().min(0).max(1)),
  repetition_penalty: optional(z.number().min(0.01).max(100)),
  n: optional(whole(1, 128)),
  seed: optional(whole(Number.MIN_SAFE_INTEGER)),
  stop: optional(z.union([text, z.array(text).max(16)])),
  stream: optional(z.boolean()),
  stream_options: optional(
    z.strictObject({ include_usage: optional(z.boolean()), include_obfuscation: ignored }),
  ),
  return_token_ids: optional(z.boolean()),
  candidates: optional(
    z.union([
      candidateForm.shape.titles.transform((titles) => candidateForm.parse({ titles })),
      candidateForm,
    ]),
  ),
}

const part = z.strictObject({ type: z.literal('text'), text: z.string() })
const content = z.union([
  z.string(),
  z.array(part).transform((parts) => parts.map((one) => one.text).join('')),
])
const message = z.strictObject({
  role: z.enum(['system', 'developer', 'user', 'assistant']),
  content,
  name: ignored,
})

const chatSchema = z.strictObject({
  ...common,
  messages: z.array(message).min(1).max(256),
  max_completion_tokens: optional(whole(1)),
  logprobs: optional(z.boolean()),
  top_logprobs: optional(whole(0, 20)),
})

const ids = z.array(whole(0, 2 ** 31 - 1)).min(1)
const completionSchema = z.strictObject({
  ...common,
  prompt: z.union([text, ids, z.array(text).min(1).max(128), z.array(ids).min(1).max(128)]),
  logprobs: optional(whole(0, 20)),
  echo: z.literal(false).nullish(),
  suffix: z.literal('').nullish(),
  best_of: ignored,
})

export type CandidateForm = z.output<typeof candidateForm>

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant'
  readonly content: string
}

/** What both kinds of request ask for; null: nothing was said. */
export interface Asked {
  readonly model: string | null
  readonly maxTokens: number | null
  readonly temperature: number
  readonly topP: number
  readonly topK: number
  readonly minP: number
  readonly repetitionPenalty: number
  /** Answers to each prompt. */
  readonly n: number
  readonly seed: number | null
  readonly stop: readonly string[]
  readonly stream: boolean
  readonly includeUsage: boolean
  /** -1: no log-probs; 0 or more: with so many likeliest tokens. */
  readonly top: number
  readonly tokenIds: boolean
  readonly candidates: CandidateForm | null
}

export interface ChatRequest extends Asked {
  readonly kind: 'chat'
  readonly messages: readonly ChatMessage[]
}

export interface CompletionRequest extends Asked {
  readonly kind: 'completion'
  /** A text, or token ids, each. */
  readonly prompts: readonly (string | readonly number[])[]
}

export type ServedRequest = ChatRequest | CompletionRequest

/** @throws RR_SERVE_FIELD */
export function chatRequest(body: unknown): ChatRequest {
  const read = parsed(chatSchema, body)
  if (read.top_logprobs !== null && read.logprobs !== true)
    throw badField('top_logprobs', 'logprobs: true beside it', read.top_logprobs, 'add logprobs: true')
  const messages = read.messages.map(({ role, content }) => ({
    role: role === 'developer' ? ('system' as const) : role,
    content,
  }))
  if (messages.at(-1)?.role !== 'user')
    throw badField('messages', 'a last message of the user', messages.at(-1)?.role, 'end with the question')
  const top = read.logprobs === true ? (read.top_logprobs ?? 0) : -1
  const maxTokens = read.max_completion_tokens ?? read.max_tokens
  return { kind: 'chat', messages, ...asked(read, top, maxTokens) }
}

/** As OpenAI has it, 16 tokens where nothing is said. @throws RR_SERVE_FIELD */
export function completionRequest(body: unknown): CompletionRequest {
  const read = parsed(completionSchema, body)
  const { prompt } = read
  const one = typeof prompt === 'string' || typeof prompt[0] === 'number'
  const prompts = (one ? [prompt] : prompt) as readonly (string | readonly number[])[]
  if (read.best_of !== undefined && read.best_of !== null && read.best_of !== (read.n ?? 1))
    throw badField('best_of', 'n, or nothing', read.best_of, 'ask for n answers and choose among them')
  const maxTokens = read.max_tokens ?? (read.candidates === null ? 16 : null)
  return { kind: 'completion', prompts, ...asked(read, read.logprobs ?? -1, maxTokens) }
}

type Common = Readonly<z.output<z.ZodObject<typeof common>>>

function asked(read: Common, top: number, maxTokens: number | null): Asked {
  const stop = typeof read.stop === 'string' ? [read.stop] : (read.stop ?? [])
  if (read.candidates !== null && stop.length > 0)
    throw badField('stop', 'nothing beside candidates', stop, 'leave it out: the answer ends with its title')
  return {
    model: read.model,
    maxTokens,
    temperature: read.temperature ?? 1,
    topP: read.top_p ?? 1,
    topK: Math.max(0, read.top_k ?? 0),
    minP: read.min_p ?? 0,
    repetitionPenalty: read.repetition_penalty ?? 1,
    n: read.n ?? 1,
    seed: read.seed,
    stop,
    stream: read.stream === true,
    includeUsage: read.stream_options?.include_usage === true,
    top,
    tokenIds: read.return_token_ids === true,
    candidates: read.candidates,
  }
}

function parsed<T extends z.ZodType>(schema: T, body: unknown): z.output<T> {
  const result = schema.safeParse(body)
  if (result.success) return result.data
  const issue = deepest(result.error.issues[0])
  if (issue?.code === 'unrecognized_keys') {
    const name = [...issue.path, issue.keys[0] ?? ''].join('.')
    throw badField(
      name,
      'a field that this server knows',
      name,
      'leave it out; docs/serve.md lists the fields',
    )
  }
  const path = issue?.path ?? []
  const got = path.reduce<unknown>(
    (at, name) => (at as Record<PropertyKey, unknown> | undefined)?.[name],
    body,
  )
  throw badField(
    path.join('.') || 'the body',
    (issue?.message ?? 'another value').replace(/^.*\bexpected (.*?)(, received .*)?$/u, '$1'),
    got,
    'docs/serve.md lists the fields',
  )
}

/** Of a choice between forms that all fail: the problem that lies deepest, which is the form that was meant. */
function deepest(issue: z.core.$ZodIssue | undefined): z.core.$ZodIssue | undefined {
  if (issue?.code !== 'invalid_union') return issue
  const inner = issue.errors.flat().map(deepest)
  const best = inner.reduce(
    (found, one) => ((one?.path.length ?? 0) > (found?.path.length ?? 0) ? one : found),
    undefined,
  )
  return best && best.path.length > 0 ? { ...best, path: [...issue.path, ...best.path] } : issue
}

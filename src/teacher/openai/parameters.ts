/**
 * The body of a request, and what servers differ in. A parameter that a server refuses (400 or 422 that names it) is
 * left out from then on, or replaced by the next best; the ledger remembers it. In the order of what is tried:
 *   schema    response_format json_schema -> json_object -> none
 *   length    max_tokens -> max_completion_tokens (reasoning models of some hosts)
 *   seed, logprobs, stream_options, top_p, temperature, stop: left out
 *   count     n -> one sample a request
 */

import type { ChatRequest } from './chat.js'
import type { Failure } from './failure.js'

export interface BodyOptions {
  readonly model: string
  readonly request: ChatRequest
  readonly count: number
  readonly seed: number
  readonly stream: boolean
  readonly logprobs: boolean
  /** On top of the answer's. */
  readonly reasoningTokens: number
}

/** Features by the words that a refusal names them with. */
const named: readonly (readonly [string, RegExp])[] = [
  ['max_tokens', /max_completion_tokens/i],
  ['json_schema', /response_format|json_schema|json_object|grammar|guided|structured/i],
  ['stream_options', /stream_options|include_usage/i],
  ['logprobs', /logprobs/i],
  ['seed', /\bseed\b/i],
  ['top_p', /\btop_p\b/i],
  ['temperature', /\btemperature\b/i],
  ['stop', /\bstop\b/i],
  ['n', /(\bn\b.*(choice|completion|support|must|only|equal))|["'`]n["'`]/i],
]

/** A prompt that does not fit says nothing of what the server can do. */
const aboutLength = /context|too long|too many tokens/i

type Without = (feature: string) => boolean

export function requestBody(options: BodyOptions, without: Without): Record<string, unknown> {
  const { model, request, count, seed, stream, logprobs, reasoningTokens } = options
  const { messages, maxTokens, temperature, topP, stop } = request
  const length = without('max_tokens') ? 'max_completion_tokens' : 'max_tokens'
  return {
    model,
    messages: messages.map(({ role, content }) => ({ role, content })),
    [length]: maxTokens + reasoningTokens,
    ...(!without('temperature') && { temperature }),
    ...(topP !== undefined && topP < 1 && !without('top_p') && { top_p: topP }),
    ...(stop && stop.length > 0 && !without('stop') && { stop }),
    ...(!without('seed') && { seed }),
    ...(count > 1 && { n: count }),
    ...(logprobs && !without('logprobs') && { logprobs: true }),
    ...responseFormat(request, without),
    ...(stream && {
      stream: true,
      ...(!without('stream_options') && { stream_options: { include_usage: true } }),
    }),
  }
}

/** The feature to leave out after this refusal; null where it is about something else. */
export function refusedFeature(
  { cause, text }: Failure,
  body: Readonly<Record<string, unknown>>,
): string | null {
  if (cause !== 'request' || aboutLength.test(text)) return null
  for (const [feature, pattern] of named) {
    const sent = feature === 'json_schema' ? formatFeature(body) : feature in body ? feature : null
    if (sent !== null && pattern.test(text)) return sent
  }
  // Some servers refuse a schema without a word of it.
  return formatFeature(body)
}

function responseFormat({ schema }: ChatRequest, without: Without): Record<string, unknown> {
  if (!schema || without('json_object')) return {}
  if (without('json_schema')) return { response_format: { type: 'json_object' } }
  return { response_format: { type: 'json_schema', json_schema: { ...schema, strict: true } } }
}

function formatFeature({ response_format: format }: Readonly<Record<string, unknown>>): string | null {
  return (format as { readonly type?: string } | undefined)?.type ?? null
}

/**
 * Why an attempt failed and what follows from it. Status codes after reliability.md: 408, 409, 429, 5xx, sockets,
 * timeouts and answers that are none are tried again; 401 to 404 end the work (key, money, address or model are wrong);
 * other 4xx end the request. `billed`: the server may have worked, so an attempt without a count is taken at its worst.
 */

import { APIConnectionError, APIError } from 'openai'

export type FailureCause =
  | 'busy' // 429, or 503 with Retry-After
  | 'server' // 5xx, 408, 409
  | 'connection' // refused, no route, name not found, no connection in time
  | 'reset' // the connection broke while the answer came
  | 'idle' // silence longer than teacher.idle_timeout
  | 'total' // longer than teacher.total_timeout
  | 'garbage' // not the JSON of a chat completion
  | 'cut' // no finish_reason: the answer ends in the middle
  | 'empty' // no choice, or choices without text
  | 'answer' // whole, but not what the reader can read
  | 'request' // 400, 413, 422: this request
  | 'refused' // 401, 402, 403, 404, a quota that is used up: every request

export interface Failure {
  readonly cause: FailureCause
  /** Without the key; for the ledger and for messages. */
  readonly text: string
  readonly status: number | null
  /** Asked for by the server. */
  readonly retryAfterMs: number | null
}

const retried: ReadonlySet<FailureCause> = new Set([
  'busy',
  'server',
  'connection',
  'reset',
  'idle',
  'total',
  'garbage',
  'cut',
  'empty',
  'answer',
])
const unbilled: ReadonlySet<FailureCause> = new Set(['busy', 'server', 'connection', 'request', 'refused'])
/** Signs that the server has too much to do. */
const congested: ReadonlySet<FailureCause> = new Set(['busy', 'idle', 'total'])
/** The server did its work. Many of the others in a row are a reason to leave it alone for a while. */
const healthy: ReadonlySet<FailureCause> = new Set(['answer', 'request'])

export const isRetried = ({ cause }: Failure): boolean => retried.has(cause)
export const maybeBilled = ({ cause }: Failure): boolean => !unbilled.has(cause)
export const isCongestion = ({ cause }: Failure): boolean => congested.has(cause)
export const isBreakdown = ({ cause }: Failure): boolean => !healthy.has(cause)

export class AttemptFailed extends Error {
  constructor(readonly failure: Failure) {
    super(failure.text)
    this.name = 'AttemptFailed'
  }
}

export function failed(cause: FailureCause, text: string): AttemptFailed {
  return new AttemptFailed({ cause, text, status: null, retryAfterMs: null })
}

/** What the HTTP client threw. `clean` takes the key out. */
export function failureOf(error: unknown, clean: (text: string) => string): Failure {
  if (error instanceof AttemptFailed) return { ...error.failure, text: clean(error.failure.text) }
  const text = clean(messageOf(error)).slice(0, 400)
  if (error instanceof APIError && error.status !== undefined) return ofStatus(error, text)
  return { cause: socketCause(error), text, status: null, retryAfterMs: null }
}

function ofStatus({ status, headers }: APIError, text: string): Failure {
  const retryAfterMs = retryAfter(headers ?? null)
  const cause = ((): FailureCause => {
    if (status === 402 || (status === 429 && /insufficient_quota|current quota/i.test(text))) return 'refused'
    if (status === 429 || (status === 503 && retryAfterMs !== null)) return 'busy'
    if (status === 401 || status === 403 || status === 404) return 'refused'
    if (status === 408 || status === 409 || (status ?? 0) >= 500) return 'server'
    return 'request'
  })()
  return { cause, text, status: status ?? null, retryAfterMs }
}

/** Seconds or a date, or the milliseconds that some servers give beside them. */
function retryAfter(headers: Headers | null): number | null {
  const milliseconds = Number.parseFloat(headers?.get('retry-after-ms') ?? '')
  if (Number.isFinite(milliseconds)) return Math.max(0, milliseconds)
  const value = headers?.get('retry-after') ?? null
  if (value === null) return null
  const seconds = Number(value)
  const wait = Number.isFinite(seconds) ? 1000 * seconds : Date.parse(value) - Date.now()
  return Number.isFinite(wait) ? Math.max(0, wait) : null
}

const codesOfConnecting: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
])

function socketCause(error: unknown): FailureCause {
  const codes = causes(error).map(({ code }) => code ?? '')
  if (codes.some((code) => codesOfConnecting.has(code))) return 'connection'
  if (codes.some((code) => code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT'))
    return 'idle'
  if (causes(error).some(({ name }) => name === 'SyntaxError')) return 'garbage'
  return error instanceof APIConnectionError || codes.some((code) => code !== '') ? 'reset' : 'garbage'
}

function messageOf(error: unknown): string {
  return [
    ...new Set(causes(error).map(({ message, code }) => [code, message].filter(Boolean).join(' '))),
  ].join(': ')
}

interface Thrown {
  readonly name?: string
  readonly code?: string
  readonly message?: string
}

/** The error and what caused it. */
function causes(error: unknown): Thrown[] {
  const chain: Thrown[] = []
  for (let next = error; next && typeof next === 'object' && chain.length < 6; ) {
    const { name, message, code } = next as Thrown
    chain.push({
      ...(name && { name }),
      ...(message && { message }),
      ...(typeof code === 'string' && { code }),
    })
    next = (next as { cause?: unknown }).cause
  }
  return chain
}

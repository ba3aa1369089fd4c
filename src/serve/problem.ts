/**
 * Errors as the protocol tells them: { error: { message, type, param, code } } and a status. `code` is ours (RR_...),
 * `message` the line of contracts: what; expected; got; remedy.
 */

import { type ErrorDetails, ReasonrecError } from '../engine/index.js'

export interface ProblemBody {
  readonly error: {
    readonly message: string
    readonly type: string
    readonly param: string | null
    readonly code: string
  }
}

/** An error that knows its status. */
export class Problem extends ReasonrecError {
  constructor(
    readonly status: number,
    code: string,
    what: string,
    details: ErrorDetails = {},
    readonly param: string | null = null,
    /** Seconds after which another try may do; null: none will. */
    readonly retryAfter: number | null = null,
  ) {
    super(code, what, details)
    this.name = 'Problem'
  }
}

/** A field of the request that is not as it should be. */
export function badField(param: string, expected: string, got: unknown, remedy: string): Problem {
  const shown = got === undefined ? 'nothing' : (JSON.stringify(got) ?? String(got)).slice(0, 120)
  const details = { expected, got: shown, remedy }
  return new Problem(400, 'RR_SERVE_FIELD', `${param} of the request is not usable`, details, param)
}

/** Errors of the engine and the tokenizer that say something about the request. */
const aboutTheRequest =
  /^RR_(PROMPT|SAMPLING|SCRIPT|TOKEN_OUT_OF_RANGE|CANDIDATE|TRIE|TITLES|TEMPLATE|TOKENIZER_UN|BAD_ARGUMENT)/

/** Any error as one with a status. What is not foreseen tells nothing of its inside. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error
  if (!(error instanceof ReasonrecError))
    return new Problem(500, 'RR_INTERNAL', 'the server met an error of its own', {
      remedy: 'see its standard error',
    })
  const { code, message, details } = error
  if (aboutTheRequest.test(code)) return new Problem(400, code, message, details)
  if (code === 'RR_CANCELLED' || code === 'RR_SESSION_CLOSED' || code === 'RR_OUT_OF_MEMORY')
    return new Problem(503, code, message, details, null, 1)
  return new Problem(500, code, message, details)
}

export function problemBody(problem: Problem): ProblemBody {
  const { code, status, param } = problem
  const message = problem.toLine().slice(code.length + 2)
  return { error: { message, type: typeOf(status), param, code } }
}

function typeOf(status: number): string {
  if (status === 401) return 'authentication_error'
  if (status === 403) return 'permission_error'
  if (status === 429) return 'rate_limit_error'
  return status < 500 ? 'invalid_request_error' : 'server_error'
}

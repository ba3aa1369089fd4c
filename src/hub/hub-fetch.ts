/**
 * fetch for a hub that may be hostile, slow or down. The token goes to the hub's own origin and nowhere else:
 * redirects are followed here, one by one, and never from https to http. Answers must begin in time; JSON answers
 * are limited in size. 429 and 5xx and broken connections are tried again with growing pauses. The token is in no
 * message and in no file.
 */

import { ReasonrecError } from '../engine/index.js'

export interface HubOptions {
  /** https, or http on this machine. */
  readonly endpoint: string
  readonly token: string | null
  /** Milliseconds until an answer begins, and between two pieces of it. */
  readonly patience: number
  /** Tries of one request. */
  readonly attempts: number
  /** Milliseconds before the second try; doubled from try to try. */
  readonly pause: number
  readonly signal?: AbortSignal | undefined
}

const mostRedirects = 5
const longestPause = 60_000 // milliseconds
const largestAnswer = 20_000_000 // bytes of JSON

/** From HF_ENDPOINT and HF_TOKEN (or HUGGING_FACE_HUB_TOKEN). @throws RR_HUB_ENDPOINT */
export function hubOptions(environment: NodeJS.ProcessEnv, signal?: AbortSignal): HubOptions {
  const endpoint = (environment.HF_ENDPOINT || 'https://huggingface.co').replace(/\/+$/, '')
  const url = URL.canParse(endpoint) ? new URL(endpoint) : null
  if (!url || !isSafe(url) || url.username || url.password || url.search || url.hash) {
    throw new ReasonrecError('RR_HUB_ENDPOINT', 'HF_ENDPOINT is no address to load models from', {
      expected: 'https://..., or http:// on this machine, without user or password',
      got: url ? `${url.protocol}//${url.host}` : 'no address',
      remedy: 'correct or unset HF_ENDPOINT',
    })
  }
  const token = environment.HF_TOKEN || environment.HUGGING_FACE_HUB_TOKEN || null
  return { endpoint, token, patience: 30_000, attempts: 5, pause: 1_000, signal }
}

/** @throws RR_HUB_* ; the answer is one with status 2xx or 416 */
export async function hubFetch(
  url: string,
  headers: Record<string, string>,
  options: HubOptions,
): Promise<Response> {
  for (let attempt = 1; ; attempt++) {
    const outcome = await tryOnce(url, headers, options)
    if (outcome instanceof Response) return outcome
    if (!outcome.again || attempt >= options.attempts) throw outcome.error
    await pause(Math.min(outcome.after ?? options.pause * 2 ** (attempt - 1), longestPause), options.signal)
  }
}

/** The same as a `fetch` for @huggingface/hub, whose answers are JSON. */
export function jsonFetch(options: HubOptions): typeof fetch {
  return async (input) => {
    const url = input instanceof Request ? input.url : String(input)
    if (new URL(url).origin !== new URL(options.endpoint).origin)
      throw strangeAnswer('a listing that goes on elsewhere')
    const response = await hubFetch(url, { accept: 'application/json' }, options)
    const text = new TextDecoder().decode(await wholeBody(response, options))
    try {
      JSON.parse(text)
    } catch {
      throw strangeAnswer(/^\s*</.test(text) ? 'a web page' : 'text that is not JSON')
    }
    return new Response(text, { status: 200, headers: response.headers })
  }
}

/** The pieces of a body; each must come in time. */
export async function* pieces(response: Response, options: HubOptions): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader()
  if (!reader) return
  try {
    for (;;) {
      const { done, value } = await inTime(reader.read(), options)
      if (done) return
      yield value
    }
  } finally {
    await reader.cancel().catch(() => undefined)
  }
}

interface Failure {
  readonly error: ReasonrecError
  readonly again: boolean
  /** Milliseconds the hub asks for. */
  readonly after?: number | undefined
}

async function tryOnce(
  first: string,
  headers: Record<string, string>,
  options: HubOptions,
): Promise<Response | Failure> {
  const home = new URL(options.endpoint)
  let url = new URL(first)
  for (let hop = 0; hop <= mostRedirects; hop++) {
    const secret =
      options.token && url.origin === home.origin ? { authorization: `Bearer ${options.token}` } : {}
    const controller = new AbortController()
    let response: Response
    try {
      const request = fetch(url.href, {
        headers: { ...headers, ...secret },
        redirect: 'manual',
        signal: controller.signal,
      })
      response = await inTime(request, options)
    } catch (error) {
      controller.abort()
      if (options.signal?.aborted) throw options.signal.reason
      return { error: error instanceof ReasonrecError ? error : unreachable(url, error), again: true }
    }
    if (response.status < 300 || response.status === 416) return response
    await response.body?.cancel().catch(() => undefined)
    if (response.status >= 400) return refused(response, options)
    const next = response.headers.get('location')
    if (next === null || !URL.canParse(next, url.href))
      return { error: strangeAnswer('a redirect to nowhere'), again: false }
    const target = new URL(next, url)
    if (!isSafe(target) || (url.protocol === 'https:' && target.protocol !== 'https:')) {
      return { error: strangeAnswer(`a redirect to ${target.protocol}//${target.host}`), again: false }
    }
    url = target
  }
  return { error: strangeAnswer(`more than ${mostRedirects} redirects`), again: false }
}

function refused(response: Response, { token, endpoint }: HubOptions): Failure {
  const { status } = response
  const host = new URL(endpoint).host
  const again = status === 408 || status === 429 || status >= 500
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN)
  const after = seconds >= 0 ? seconds * 1000 : undefined
  if (status === 401 || status === 403) {
    const error = new ReasonrecError('RR_HUB_DENIED', `${host} does not give this model (status ${status})`, {
      expected: 'a public model, or a token that may read it',
      got: token
        ? 'a token that is not accepted for it'
        : 'no token (and hubs answer 401 for names that do not exist)',
      remedy: 'check the name, accept the licence on its page, or set HF_TOKEN',
    })
    return { error, again: false }
  }
  if (status === 404) {
    const error = new ReasonrecError('RR_HUB_NOT_FOUND', `${host} has no such model, revision or file`, {
      got: 'status 404',
      remedy: 'check the name and the revision',
    })
    return { error, again: false }
  }
  const code = status === 429 ? 'RR_HUB_BUSY' : 'RR_HUB_FAILED'
  const error = new ReasonrecError(code, `${host} answered with status ${status}`, {
    remedy: 'try again later; what was loaded is kept',
  })
  return { error, again, after }
}

async function wholeBody(response: Response, options: HubOptions): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let total = 0
  for await (const piece of pieces(response, options)) {
    total += piece.length
    if (total > largestAnswer) throw strangeAnswer(`more than ${largestAnswer} bytes of JSON`)
    parts.push(piece)
  }
  return Buffer.concat(parts)
}

/** Rejects when it takes longer than the options' patience, or on abort. */
async function inTime<T>(work: Promise<T>, { patience, signal }: HubOptions): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  let stop: (() => void) | undefined
  work.catch(() => undefined) // whoever lost the race is not to end the process
  try {
    return await Promise.race([
      work,
      new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(tooSlow(patience)), patience)
        stop = () => reject(signal?.reason)
        if (signal?.aborted) stop()
        signal?.addEventListener('abort', stop, { once: true })
      }),
    ])
  } finally {
    clearTimeout(timer)
    if (stop) signal?.removeEventListener('abort', stop)
  }
}

function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop)
      resolve()
    }, milliseconds)
    if (signal?.aborted) stop()
    signal?.addEventListener('abort', stop, { once: true })
  })
}

function isSafe(url: URL): boolean {
  if (url.protocol === 'https:') return true
  return url.protocol === 'http:' && /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname)
}

export function strangeAnswer(got: string): ReasonrecError {
  return new ReasonrecError('RR_HUB_ANSWER', 'the hub answers with something a hub does not say', {
    got,
    remedy: 'check HF_ENDPOINT and any proxy; nothing of the answer was kept',
  })
}

function tooSlow(patience: number): ReasonrecError {
  return new ReasonrecError('RR_HUB_TIMEOUT', `the hub sent nothing for ${patience / 1000} s`, {
    remedy: 'run it again; what was loaded is kept',
  })
}

function unreachable(url: URL, error: unknown): ReasonrecError {
  const cause = (error as { cause?: { code?: string; message?: string } }).cause
  return new ReasonrecError('RR_HUB_UNREACHABLE', `${url.host} cannot be reached`, {
    got: cause?.code ?? cause?.message ?? (error as Error).message,
    remedy: 'check the network, or use a model folder',
  })
}

/**
 * The HTTP side: routes, who may ask, how much, and what happens when either side goes away.
 *
 *   GET  /v1/models, /v1/models/ID     POST /v1/chat/completions, /v1/completions     GET /health
 *
 * A request counts from its first byte to the last of its answer; over `queue` of them one more gets 429. A client
 * that goes away takes its request out of the batch. drain() takes no more requests and lets those under way end.
 */

import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Delta } from './answer.js'
import { Problem, problemBody, problemOf } from './problem.js'
import { modelCard, Reply } from './reply.js'
import { chatRequest, completionRequest, type ServedRequest } from './request.js'
import type { ServedModel } from './served-model.js'

export interface ServerOptions {
  readonly host: string
  readonly port: number
  /** Requests held at once. */
  readonly queue: number
  /** Bytes of a request's body. */
  readonly body: number
  /** What clients must show; null: nothing. */
  readonly key: string | null
  /** Told of errors that are not the client's. */
  readonly onError: (error: unknown) => void
}

const loopback: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]'])

/** Milliseconds in which a client that was cut off may still read why. */
const flushTime = 1_000

export function isLoopback(host: string): boolean {
  return loopback.has(host) || host === '::1'
}

export class ModelServer {
  private readonly http: Server
  private readonly underWay = new Set<Promise<void>>()
  private readonly cut = new AbortController()
  private draining = false

  private constructor(
    private readonly model: ServedModel,
    private readonly options: ServerOptions,
  ) {
    this.http = createServer((request, response) => this.take(request, response))
    this.http.headersTimeout = 20_000
    this.http.requestTimeout = 60_000 // of a request's own bytes, not of its answer
  }

  /** Listening. @throws the system's error where the address is taken */
  static async listen(model: ServedModel, options: ServerOptions): Promise<ModelServer> {
    const server = new ModelServer(model, options)
    await new Promise<void>((resolve, reject) => {
      server.http.once('error', reject)
      server.http.listen(options.port, options.host, resolve)
    })
    return server
  }

  get url(): string {
    const { address, family, port } = this.http.address() as AddressInfo
    return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}/v1`
  }

  /** No new requests; those under way have `milliseconds` to end, then they are cut off. */
  async drain(milliseconds: number): Promise<void> {
    this.draining = true
    const closed = new Promise<void>((resolve) => this.http.close(() => resolve()))
    const limit = setTimeout(() => this.cut.abort(), milliseconds)
    const last = setTimeout(() => this.http.closeAllConnections(), milliseconds + flushTime)
    await Promise.all(this.underWay)
    for (const timer of [limit, last]) clearTimeout(timer)
    this.http.closeAllConnections()
    await closed
    await this.model.close()
  }

  private take(request: IncomingMessage, response: ServerResponse): void {
    const handled = this.handle(request, response)
      .catch((error: unknown) => this.refuse(response, error))
      .then(() => written(response))
      .finally(() => this.underWay.delete(handled))
    this.underWay.add(handled)
  }

  private async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.requireFriend(request)
    const { pathname } = new URL(request.url ?? '/', 'http://localhost')
    const card = modelCard(this.model)
    if (pathname === '/health') return send(response, 200, { status: this.draining ? 'draining' : 'ok' })
    this.requireKey(request)
    if (pathname === '/v1/models') {
      requireMethod(request, 'GET')
      return send(response, 200, { object: 'list', data: [card] })
    }
    if (pathname.startsWith('/v1/models/')) {
      requireMethod(request, 'GET')
      const name = decodeURIComponent(pathname.slice('/v1/models/'.length))
      if (name === this.model.id) return send(response, 200, card)
      const details = { expected: this.model.id, got: name.slice(0, 120) }
      throw new Problem(404, 'RR_SERVE_MODEL', 'this model is not served here', details, 'model')
    }
    const read = { '/v1/chat/completions': chatRequest, '/v1/completions': completionRequest }[pathname]
    if (!read) {
      throw new Problem(404, 'RR_SERVE_ROUTE', 'there is nothing at this path', {
        expected: '/v1/models, /v1/chat/completions, /v1/completions or /health',
        got: pathname.slice(0, 120),
      })
    }
    requireMethod(request, 'POST')
    this.requireRoom()
    const asked = read(await jsonBody(request, this.options.body))
    await this.answer(asked, response)
  }

  private async answer(asked: ServedRequest, response: ServerResponse): Promise<void> {
    const gone = new AbortController()
    response.once('close', () => gone.abort())
    if (response.destroyed) gone.abort()
    const signal = AbortSignal.any([gone.signal, this.cut.signal])
    const reply = new Reply(asked, this.model.id)
    if (!asked.stream) {
      const answer = await this.model.answer(asked, signal, null)
      return send(response, 200, reply.whole(answer))
    }
    const tell = (delta: Delta): void => {
      if (delta.text !== '' || delta.reports.length > 0 || (asked.tokenIds && delta.ids.length > 0))
        event(response, reply.chunk(delta))
    }
    const answer = await this.model.answer(asked, signal, tell)
    for (const choice of answer.choices) event(response, reply.lastChunk(choice, answer))
    if (asked.includeUsage) event(response, reply.usageChunk(answer))
    response.end('data: [DONE]\n\n')
  }

  /** An error behind the beginning of a stream is its last event. */
  private refuse(response: ServerResponse, error: unknown): void {
    if (response.destroyed) return
    const problem = problemOf(error)
    if (problem.status === 500) this.options.onError(error)
    if (response.headersSent) {
      event(response, problemBody(problem))
      response.end()
      return
    }
    if (problem.retryAfter !== null) response.setHeader('Retry-After', String(problem.retryAfter))
    if (problem.status === 401) response.setHeader('WWW-Authenticate', 'Bearer')
    if (problem.status === 413) response.setHeader('Connection', 'close')
    send(response, problem.status, problemBody(problem))
  }

  /**
   * A page of another site must not reach a server on the user's own machine: neither by its own requests (Origin) nor
   * by a name of its own that points here (Host).
   */
  private requireFriend({ headers }: IncomingMessage): void {
    if (!isLoopback(this.options.host)) return // the key decides
    const hostname = (headers.host ?? '').replace(/:\d+$/u, '')
    const origin = headers.origin === undefined ? null : originHost(headers.origin)
    if (loopback.has(hostname) && (origin === null || loopback.has(origin))) return
    throw new Problem(403, 'RR_SERVE_HOST', 'this server answers programs of this machine only', {
      expected: 'Host, and Origin if there is one, of localhost, 127.0.0.1 or [::1]',
      got: `Host ${headers.host ?? 'none'}, Origin ${headers.origin ?? 'none'}`.slice(0, 200),
      remedy: 'start it with --host and --api-key-env to let others in',
    })
  }

  private requireKey({ headers }: IncomingMessage): void {
    const { key } = this.options
    if (key === null) return
    const shown = /^Bearer (.+)$/iu.exec(headers.authorization ?? '')?.[1] ?? ''
    const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
    if (timingSafeEqual(digest(shown), digest(key))) return
    throw new Problem(401, 'RR_SERVE_KEY', 'the key is missing or wrong', {
      expected: 'Authorization: Bearer KEY',
      remedy: 'give the client the key that the server was started with',
    })
  }

  private requireRoom(): void {
    if (this.draining) throw new Problem(503, 'RR_SERVE_CLOSING', 'the server is going down', {}, null, 5)
    const { queue } = this.options
    if (this.underWay.size < queue) return
    throw new Problem(
      429,
      'RR_SERVE_BUSY',
      'the server holds as many requests as it may',
      { expected: `fewer than ${queue}`, got: `${queue}`, remedy: 'try again later' },
      null,
      1,
    )
  }
}

function requireMethod({ method }: IncomingMessage, expected: string): void {
  if (method === expected) return
  throw new Problem(405, 'RR_SERVE_METHOD', 'this path takes another method', {
    expected,
    got: method ?? 'none',
  })
}

function originHost(origin: string): string {
  try {
    return new URL(origin).hostname
  } catch {
    return ''
  }
}

async function jsonBody(request: IncomingMessage, limit: number): Promise<unknown> {
  const type = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/json')
    throw new Problem(415, 'RR_SERVE_BODY', 'the body is of another type', {
      expected: 'Content-Type: application/json',
      got: type === '' ? 'none' : (type ?? 'none'),
    })
  const pieces: Buffer[] = []
  let size = 0
  // Left standing where it is too large: the answer goes over the same connection.
  for await (const piece of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += piece.length
    if (size > limit)
      throw new Problem(413, 'RR_SERVE_BODY', 'the body is too large', {
        expected: `at most ${limit} bytes`,
        got: 'more',
        remedy: 'ask for less at once',
      })
    pieces.push(piece)
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(pieces)))
  } catch (error) {
    throw new Problem(400, 'RR_SERVE_BODY', 'the body is not JSON', {
      expected: 'JSON in UTF-8',
      got: (error as Error).message,
    })
  }
}

function send(response: ServerResponse, status: number, body: object): void {
  if (response.destroyed) return
  const text = JSON.stringify(body)
  response.writeHead(status, {
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': Buffer.byteLength(text),
    'Cache-Control': 'no-store',
  })
  response.end(text)
}

/** Until the client has it all, or has gone. */
function written(response: ServerResponse): Promise<void> {
  if (response.writableFinished || response.destroyed) return Promise.resolve()
  return new Promise((resolve) => {
    response.once('finish', resolve)
    response.once('close', resolve)
  })
}

/** One server-sent event; the first sends the head. */
function event(response: ServerResponse, body: object): void {
  if (response.destroyed) return
  if (!response.headersSent)
    response.writeHead(200, {
      'Content-Type': 'text/event-stream; charset=utf-8',
      'Cache-Control': 'no-store',
      'X-Accel-Buffering': 'no',
    })
  response.write(`data: ${JSON.stringify(body)}\n\n`)
}

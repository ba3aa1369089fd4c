/** Bad requests, strangers, too many at once, clients that go away, and the end: one clear error each, and the server lives. */

import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import OpenAI, { type APIError } from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Place, place, type Served } from './served.js'

let here: Place
let served: Served
beforeAll(async () => {
  here = await place()
  served = await here.serve()
})
afterAll(() => here.remove())

interface Told {
  readonly status: number
  readonly code: string
  readonly type: string
  readonly param: string | null
  readonly message: string
  readonly headers: Headers
}

async function post(url: string, body: unknown, headers: Record<string, string> = {}): Promise<Told> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  const { error } = (await response.json()) as { error: Omit<Told, 'status' | 'headers'> }
  return { status: response.status, headers: response.headers, ...error }
}

/** fetch may not set Host. */
function get(url: string, headers: Record<string, string>): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const asked = httpRequest(url, { headers }, (response) => {
      let body = ''
      response.on('data', (piece: Buffer) => {
        body += piece.toString()
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
    })
    asked.on('error', reject)
    asked.end()
  })
}

async function refusal(promise: Promise<unknown>): Promise<APIError> {
  try {
    await promise
  } catch (error) {
    if (error instanceof OpenAI.APIError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

const chat = { model: 'tiny', messages: [{ role: 'user', content: 'hello' }], max_tokens: 4 }
const completion = { model: 'tiny', prompt: 'hello', max_tokens: 4 }
const long = { model: 'tiny', prompt: 'hello', max_tokens: 500, temperature: 0, stop: ['never to be seen'] }

describe('bad requests', () => {
  it.each<[string, object, string, number, string, string | null]>([
    ['chat', { ...chat, messages: [] }, 'RR_SERVE_FIELD', 400, 'messages', 'messages'],
    ['chat', { ...chat, messages: 'hello' }, 'RR_SERVE_FIELD', 400, '"hello"', 'messages'],
    [
      'chat',
      { ...chat, messages: [{ role: 'tool', content: 'x' }] },
      'RR_SERVE_FIELD',
      400,
      '"tool"',
      'messages.0.role',
    ],
    [
      'chat',
      {
        ...chat,
        messages: [
          { role: 'user', content: 'x' },
          { role: 'assistant', content: 'y' },
        ],
      },
      'RR_SERVE_FIELD',
      400,
      'last message',
      'messages',
    ],
    [
      'chat',
      { ...chat, messages: [{ role: 'user', content: [{ type: 'image_url', image_url: {} }] }] },
      'RR_SERVE_FIELD',
      400,
      'messages.0.content',
      'messages.0.content.0.type',
    ],
    ['chat', { ...chat, temperatur: 1 }, 'RR_SERVE_FIELD', 400, 'temperatur', 'temperatur'],
    ['chat', { ...chat, temperature: 'hot' }, 'RR_SERVE_FIELD', 400, 'number', 'temperature'],
    ['chat', { ...chat, temperature: -1 }, 'RR_SERVE_FIELD', 400, '-1', 'temperature'],
    ['chat', { ...chat, temperature: 1e-30 }, 'RR_SERVE_FIELD', 400, '0.01', 'temperature'],
    ['chat', { ...chat, top_p: 0 }, 'RR_SERVE_FIELD', 400, 'top_p', 'top_p'],
    ['chat', { ...chat, n: 1000 }, 'RR_SERVE_FIELD', 400, '1000', 'n'],
    ['chat', { ...chat, max_tokens: 513 }, 'RR_SERVE_FIELD', 400, 'at most 512', 'max_tokens'],
    ['chat', { ...chat, top_logprobs: 3 }, 'RR_SERVE_FIELD', 400, 'logprobs: true', 'top_logprobs'],
    [
      'chat',
      { ...chat, response_format: { type: 'json_object' } },
      'RR_SERVE_FIELD',
      400,
      'json_object',
      'response_format.type',
    ],
    ['chat', { ...chat, tools: [{ type: 'function' }] }, 'RR_SERVE_FIELD', 400, 'tools', 'tools.0'],
    ['chat', { ...chat, frequency_penalty: 0.5 }, 'RR_SERVE_FIELD', 400, '0.5', 'frequency_penalty'],
    ['chat', { ...chat, model: 'other' }, 'RR_SERVE_MODEL', 404, 'tiny', 'model'],
    ['chat', { ...chat, candidates: [] }, 'RR_SERVE_FIELD', 400, 'candidates', 'candidates'],
    ['chat', { ...chat, candidates: ['A', 'A'] }, 'RR_TITLES_AMBIGUOUS', 400, '"A" and "A"', null],
    ['chat', { ...chat, candidates: ['A'], stop: 'x' }, 'RR_SERVE_FIELD', 400, 'candidates', 'stop'],
    ['chat', { ...chat, candidates: ['\u200b'] }, 'RR_SERVE_FIELD', 400, 'title', 'candidates.titles.0'],
    ['', { ...completion, prompt: '' }, 'RR_SERVE_FIELD', 400, 'prompt', 'prompt'],
    ['', { ...completion, prompt: [5, 99_999] }, 'RR_TOKEN_OUT_OF_RANGE', 400, '99999', null],
    ['', { ...completion, prompt: 'word '.repeat(3000) }, 'RR_PROMPT_TOO_LONG', 400, '2048', null],
    ['', { ...completion, echo: true }, 'RR_SERVE_FIELD', 400, 'echo', 'echo'],
    ['', { ...completion, best_of: 3 }, 'RR_SERVE_FIELD', 400, 'best_of', 'best_of'],
  ])('%s %j', async (kind, body, code, status, word, param) => {
    const told = await post(`${served.url}/${kind === 'chat' ? 'chat/' : ''}completions`, body)
    expect(told).toMatchObject({ status, code, param, type: 'invalid_request_error' })
    expect(told.message).toContain(word)
    expect(told.message).toContain('got ')
  })

  it('wrong in form: not JSON, too large, another type, path or method', async () => {
    const url = `${served.url}/completions`
    expect(await post(url, '{"model":')).toMatchObject({ status: 400, code: 'RR_SERVE_BODY' })
    expect(await post(url, 'x'.repeat(100_001))).toMatchObject({ status: 413, code: 'RR_SERVE_BODY' })
    const form = { 'content-type': 'text/plain' }
    expect(await post(url, completion, form)).toMatchObject({ status: 415, code: 'RR_SERVE_BODY' })
    expect(await post(`${served.url}/embeddings`, {})).toMatchObject({ status: 404, code: 'RR_SERVE_ROUTE' })
    expect(await post(`${served.url}/models`, {})).toMatchObject({ status: 405, code: 'RR_SERVE_METHOD' })
    expect((await get(`${served.url}/completions`, {})).status).toBe(405)
    expect((await get(`${served.url}/models/other`, {})).status).toBe(404)
  })

  it('reach the official client as its own errors, in a stream as well', async () => {
    const { completions } = served.client.chat
    const bad = await refusal(completions.create({ ...chat, n: 0 } as never))
    expect(bad).toBeInstanceOf(OpenAI.BadRequestError)
    expect(bad).toMatchObject({ code: 'RR_SERVE_FIELD', param: 'n' })
    const streamed = await refusal(completions.create({ ...chat, stream: true, n: 0 } as never))
    expect(streamed).toBeInstanceOf(OpenAI.BadRequestError)
    const missing = await refusal(completions.create({ ...chat, model: 'other' } as never))
    expect(missing).toBeInstanceOf(OpenAI.NotFoundError)
    expect((await completions.create(chat as never)).choices).toHaveLength(1)
    expect(served.errors).toEqual([])
  })
})

describe('strangers', () => {
  it('by another name or from another site are turned away', async () => {
    const url = `${served.url}/models`
    const { host } = new URL(url)
    expect((await get(url, { host: 'evil.example' })).status).toBe(403)
    expect((await get(url, { host, origin: 'https://evil.example' })).status).toBe(403)
    expect((await get(url, { host, origin: 'null' })).status).toBe(403)
    expect((await get(url, { host: 'localhost:1', origin: 'http://localhost:3000' })).status).toBe(200)
  })

  it('without the key are turned away, and the key is told to nobody', async () => {
    const key = 'canary-7f3a'
    const locked = await here.serve({ key })
    expect((await locked.client.models.list()).data).toHaveLength(1)
    const stranger = new OpenAI({ baseURL: locked.url, apiKey: 'wrong', maxRetries: 0 })
    const error = await refusal(stranger.models.list())
    expect(error).toBeInstanceOf(OpenAI.AuthenticationError)
    expect(JSON.stringify(error.error)).not.toContain(key)
    expect((await get(`${locked.url}/models`, {})).status).toBe(401)
  })
})

describe('too much, and the end', () => {
  it('answers 429 with Retry-After beyond the queue, and serves again afterwards', async () => {
    const small = await here.serve({ queue: 3, maxTokens: 2000 })
    const body = { ...long, max_tokens: 2000, stream: true } as const
    const held = await Promise.all([1, 2, 3].map(() => small.client.completions.create(body))) // each has begun
    const told = await post(`${small.url}/completions`, completion)
    expect(told).toMatchObject({ status: 429, code: 'RR_SERVE_BUSY', type: 'rate_limit_error' })
    expect(told.headers.get('retry-after')).toBe('1')
    const [kept, ...rest] = held
    for (const stream of rest) stream.controller.abort()
    let tokens = 0
    for await (const { choices } of kept!) tokens += choices[0]?.text === '' ? 0 : 1
    expect(tokens).toBeGreaterThan(1000)
    expect((await small.client.completions.create(completion)).choices).toHaveLength(1)
  })

  it('lets go of a request whose client has gone, streamed or not', async () => {
    const small = await here.serve({ queue: 2, rows: 1, maxTokens: 2000 })
    const body = JSON.stringify({ ...long, max_tokens: 2000, n: 128 })
    for (const stream of [false, true]) {
      const text = stream ? body.replace('{', '{"stream":true,') : body
      const socket = connect(Number(new URL(small.url).port), '127.0.0.1')
      socket.write(
        `POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
      )
      if (stream) await new Promise((resolve) => socket.once('data', resolve))
      else await new Promise((resolve) => setTimeout(resolve, 30))
      socket.destroy()
    }
    // Half a million tokens in one row would take minutes; now the only row is free.
    expect((await small.client.completions.create({ ...completion, max_tokens: 8 })).choices).toHaveLength(1)
    expect(small.errors).toEqual([])
  })

  it('drained: what is under way ends, what comes is refused', async () => {
    const last = await here.serve()
    const stream = await last.client.completions.create({ ...long, stream: true })
    const iterator = stream[Symbol.asyncIterator]()
    await iterator.next()
    const drained = last.server.drain(20_000)
    const late = await refusal(last.client.completions.create(completion))
    // On a connection that was still open; a new one is refused.
    expect([503, undefined]).toContain(late.status)
    let chunks = 1
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) chunks++
    expect(chunks).toBeGreaterThan(100)
    await drained
    expect(await refusal(last.client.models.list())).toBeInstanceOf(OpenAI.APIConnectionError)
  })

  it('cut off at the end of its patience: told in the stream', async () => {
    const last = await here.serve({ rows: 1 })
    const stream = await last.client.completions.create({ ...long, n: 50, stream: true })
    const iterator = stream[Symbol.asyncIterator]()
    await iterator.next()
    const ended = refusal(
      (async () => {
        for (let next = await iterator.next(); !next.done; next = await iterator.next());
      })(),
    )
    await last.server.drain(20)
    expect((await ended).code).toBe('RR_CANCELLED')
  })
})

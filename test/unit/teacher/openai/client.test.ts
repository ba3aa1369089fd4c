import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { configSchema } from '../../../../src/config/schema.js'
import { ReasonrecError } from '../../../../src/engine/index.js'
import type { ChatChoice, ChatRequest } from '../../../../src/teacher/openai/chat.js'
import { ChatClient, type TeacherSettings } from '../../../../src/teacher/openai/client.js'
import { FaultServer, type FaultServerOptions, usualFaults } from '../../../fixtures/fault-server.js'

let folder = ''
const servers: FaultServer[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'reasonrec-teacher-'))
})
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop()
  rmSync(folder, { recursive: true, force: true })
})

async function serve(options: FaultServerOptions = {}): Promise<FaultServer> {
  const server = await FaultServer.start(options)
  servers.push(server)
  return server
}

/** Clocks scaled down. */
function settingsFor(server: FaultServer, more: object = {}): TeacherSettings {
  const quick = { backoff: 0.002, idle_timeout: 0.25, total_timeout: 1, connect_timeout: 1 }
  const given = { kind: 'openai', baseURL: server.baseURL, model: 'wise', ...quick, ...more }
  return configSchema.parse({ teacher: given }).teacher
}

async function withClient<T>(
  settings: TeacherSettings,
  use: (client: ChatClient) => Promise<T>,
  signal = new AbortController().signal,
): Promise<T> {
  const client = await ChatClient.open(settings, folder, signal)
  try {
    return await use(client)
  } finally {
    await client.close()
  }
}

const asked = (content: string, more: Partial<ChatRequest> = {}): ChatRequest => ({
  messages: [{ role: 'user', content }],
  maxTokens: 32,
  temperature: 1,
  version: 'test 1',
  seed: 7,
  ...more,
})
const text = (choice: ChatChoice): string => choice.text
const textsOf = (outcomes: readonly { readonly answered: boolean }[]) =>
  outcomes.map((one) => ('choice' in one ? (one.choice as ChatChoice).text : 'none'))

describe('a teacher behind a server', () => {
  it.each([true, false])(
    'asks once for each request and remembers the answers (stream %s)',
    async (stream) => {
      const server = await serve({
        answer: ({ messages }) => ({ text: `re ${messages[0]?.content}`, reasoning: 'hm' }),
      })
      const settings = settingsFor(server, { stream, logprobs: true })
      const ask = (client: ChatClient) =>
        Promise.all([0, 1, 2, 1].map((k) => client.ask(asked(`q${k}`), text)))
      const first = await withClient(settings, ask)
      expect(textsOf(first)).toEqual(['re q0', 're q1', 're q2', 're q1'])
      expect(server.received).toHaveLength(3)
      expect(first[0]).toMatchObject({
        answered: true,
        replayed: false,
        choice: { reasoning: 'hm', finish: 'stop' },
      })
      expect(first[0]?.answered && first[0].choice.logprobs).toEqual(stream ? [-0.5, -0.5] : [-0.5])
      const again = await withClient(settings, ask)
      expect(textsOf(again)).toEqual(textsOf(first))
      expect(again.every((one) => one.answered && one.replayed)).toBe(true)
      expect(server.received).toHaveLength(3)
      // And without any server.
      const replayed = await withClient({ ...settings, replay: true, baseURL: null }, ask)
      expect(textsOf(replayed)).toEqual(textsOf(first))
    },
  )

  it('refuses to replay what it was never told', async () => {
    const server = await serve()
    const ask = withClient(settingsFor(server, { replay: true }), (client) => client.ask(asked('new'), text))
    await expect(ask).rejects.toMatchObject({ code: 'RR_TEACHER_REPLAY' })
    expect(server.received).toHaveLength(0)
  })

  it('tells samples apart, asks for n at once and for missing ones one by one', async () => {
    const counts: number[] = []
    const server = await serve({
      answer: ({ n = 1, seed = 0 }, index) => `${n} of seed ${seed % 1000}, ${index}`,
      behaviour: ({ n = 1 }) => {
        counts.push(n)
        return false
      },
    })
    const outcomes = await withClient(settingsFor(server, { samples_per_request: 3 }), (client) =>
      client.sample(asked('q'), 7, (choice) => (choice.text.includes(', 2') ? null : choice.text)),
    )
    expect(new Set(textsOf(outcomes)).size).toBe(7)
    // Two of the groups had one that could not be read.
    expect(counts.sort()).toEqual([1, 1, 1, 3, 3])
  })

  it('survives every fault, and no answer is lost, doubled or mixed up', async () => {
    const server = await serve({
      seed: 3,
      faults: usualFaults,
      retryAfter: 0.003,
      answer: ({ messages }) => JSON.stringify({ id: Number(messages[0]?.content.split(' ')[1]) }),
    })
    const settings = settingsFor(server, { answer_attempts: 12, attempts: 20 })
    const [outcomes, { failures }] = await withClient(settings, async (client) => {
      const asks = Array.from({ length: 300 }, (_, id) =>
        client.ask(asked(`prompt ${id}`), ({ text }) => (JSON.parse(text).id === id ? id : null)),
      )
      return [await Promise.all(asks), client.totals()] as const
    })
    expect(outcomes.map((one) => one.answered && one.value)).toEqual(
      Array.from({ length: 300 }, (_, id) => id),
    )
    // On a machine under load a whole answer may come too late, and is then asked for again.
    const late = (failures.idle ?? 0) + (failures.total ?? 0)
    expect(server.whole.length - 300).toBeGreaterThanOrEqual(0)
    expect(server.whole.length - 300).toBeLessThanOrEqual(late)
    expect(new Set(server.received.map(({ outcome }) => outcome)).size).toBeGreaterThan(8)
  })

  it('gives up a request that never can be read, and goes on', async () => {
    const server = await serve()
    await withClient(settingsFor(server), async (client) => {
      const outcome = await client.ask(asked('q'), () => null)
      expect(outcome).toMatchObject({ answered: false, error: { code: 'RR_TEACHER_ANSWER' } })
      // Twice by default, with another seed.
      expect(new Set(server.received.map(({ body }) => body.seed)).size).toBe(2)
      expect(client.totals()).toMatchObject({ answered: 0, attempts: 2, failures: { answer: 2 } })
      expect((await client.ask(asked('other'), text)).answered).toBe(true)
    })
  })

  it.each([401, 403, 404])('ends at once on %i, with what to correct', async (status) => {
    const server = await serve({
      behaviour: (_, response) => {
        response
          .writeHead(status, { 'content-type': 'application/json' })
          .end('{"error": {"message": "not you"}}')
        return true
      },
    })
    const ask = withClient(settingsFor(server), (client) =>
      Promise.all([0, 1, 2].map((k) => client.ask(asked(`q${k}`), text))),
    )
    await expect(ask).rejects.toMatchObject({
      code: 'RR_TEACHER_REFUSED',
      details: { got: `${status} not you` },
    })
    expect(server.received.length).toBeLessThanOrEqual(3)
  })

  it('ends when the money of the account is gone, and when every request is impossible', async () => {
    const refusal = (status: number, message: string) => ({
      behaviour: (_: unknown, response: import('node:http').ServerResponse) => {
        response
          .writeHead(status, { 'content-type': 'application/json' })
          .end(JSON.stringify({ error: { message } }))
        return true
      },
    })
    const askMany = (client: ChatClient) =>
      Promise.all(Array.from({ length: 12 }, (_, k) => client.ask(asked(`q${k}`), text)))
    for (const server of [
      await serve(refusal(429, 'You exceeded your current quota')),
      await serve(refusal(400, 'bad template')),
    ])
      await expect(withClient(settingsFor(server, { breaker: 6 }), askMany)).rejects.toMatchObject({
        code: 'RR_TEACHER_REFUSED',
      })
    // One alone is given up.
    const server = await serve({ ...refusal(400, 'the context is 512 tokens') })
    const outcome = await withClient(settingsFor(server), (client) => client.ask(asked('long'), text))
    expect(outcome).toMatchObject({ answered: false, error: { code: 'RR_TEACHER_ANSWER' } })
    expect(server.received).toHaveLength(1)
  })

  it('leaves out what a server refuses, and remembers it', async () => {
    const formats: unknown[] = []
    const server = await serve({
      behaviour: ({ response_format, max_tokens }, response) => {
        formats.push(response_format?.type ?? null)
        const complaint = max_tokens
          ? 'Unsupported parameter: max_tokens; use max_completion_tokens'
          : response_format?.type === 'json_schema'
            ? 'response_format json_schema is not supported'
            : null
        if (complaint === null) return false
        response.writeHead(400, { 'content-type': 'application/json' })
        response.end(JSON.stringify({ error: { message: complaint } }))
        return true
      },
    })
    const settings = settingsFor(server, { attempts: 1 })
    const schema = { name: 'answer', schema: { type: 'object' } }
    const ask = (client: ChatClient) => client.ask(asked('q', { schema }), text)
    expect((await withClient(settings, ask)).answered).toBe(true)
    expect(formats).toEqual(['json_schema', 'json_schema', 'json_object'])
    await withClient(settings, (client) => client.ask(asked('q2', { schema }), text))
    expect(formats).toEqual(['json_schema', 'json_schema', 'json_object', 'json_object'])
  })

  it('stops when the server is gone, and says so', async () => {
    const server = await serve()
    const settings = settingsFor(server, { breaker: 3, attempts: 100 })
    await server.stop()
    servers.pop()
    const ask = withClient(settings, (client) =>
      Promise.all([0, 1].map((k) => client.ask(asked(`q${k}`), text))),
    )
    await expect(ask).rejects.toMatchObject({ code: 'RR_TEACHER_DOWN' })
  })

  it('takes fewer at once when the server is busy', async () => {
    let busy = false
    const server = await serve({
      latency: 3,
      behaviour: (_, response) => {
        if (!busy) return false
        response.writeHead(429, { 'retry-after': '0.01' }).end()
        return true
      },
    })
    await withClient(settingsFor(server, { concurrency: 32, attempts: 40 }), async (client) => {
      const mostAtOnce = async (name: string, count: number): Promise<number> => {
        server.mostAtOnce = 0
        await Promise.all(Array.from({ length: count }, (_, k) => client.ask(asked(`${name}${k}`), text)))
        return server.mostAtOnce
      }
      const calm = await mostAtOnce('calm', 200)
      busy = true
      setTimeout(() => {
        busy = false
      }, 80)
      await mostAtOnce('busy', 4)
      expect(await mostAtOnce('careful', 10)).toBeLessThan(calm / 2)
      expect(await mostAtOnce('again', 400)).toBeGreaterThan(calm / 2)
    })
  })

  it('ends an attempt that drips for ever, and one that is silent', async () => {
    const server = await serve({
      behaviour: ({ messages }, response) => {
        if (messages[0]?.content !== 'slow') return false
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        const timer = setInterval(() => response.write(': still here\n\n'), 10)
        response.on('close', () => clearInterval(timer))
        return true
      },
    })
    await withClient(settingsFor(server, { attempts: 1, total_timeout: 0.3 }), async (client) => {
      const outcome = await client.ask(asked('slow'), text)
      expect(outcome.answered === false && outcome.error.details.got).toMatch(/silent|no end after/)
    })
  })

  it('is stopped by a signal', async () => {
    const server = await serve({ faults: { hang: 1 } })
    const controller = new AbortController()
    setTimeout(() => controller.abort(new ReasonrecError('RR_TEST', 'stop')), 30)
    const ask = withClient(
      settingsFor(server, { idle_timeout: 60, total_timeout: 60 }),
      (client) => Promise.all([0, 1].map((k) => client.ask(asked(`q${k}`), text))),
      controller.signal,
    )
    await expect(ask).rejects.toMatchObject({ code: 'RR_TEST' })
  })

  it('never passes the cap, and nothing that was paid is lost', async () => {
    const prices = { price_in: 1000, price_out: 10_000, concurrency: 8 }
    const server = await serve({ answer: () => 'x'.repeat(64), latency: 1 })
    const cap = 2
    const settings = settingsFor(server, { ...prices, max_cost: cap })
    const ask = (client: ChatClient) =>
      Promise.all(Array.from({ length: 100 }, (_, k) => client.ask(asked(`q${k}`), text)))
    await expect(withClient(settings, ask)).rejects.toMatchObject({ code: 'RR_TEACHER_BUDGET' })
    const paid = server.whole.length
    await withClient({ ...settings, max_cost: null }, async (client) => {
      const { cost, answered } = client.totals()
      expect(answered).toBe(paid)
      // One request costs 0.161 at most 0.32: the last one allowed leaves less than that.
      expect(cost).toBeLessThanOrEqual(cap)
      expect(cost).toBeGreaterThan(cap - 0.33)
      await ask(client)
      expect(server.whole).toHaveLength(100)
    })
  })

  it('writes no line twice and keeps its ledger in order', async () => {
    const server = await serve({ faults: usualFaults, seed: 1 })
    await withClient(settingsFor(server), (client) =>
      Promise.all(Array.from({ length: 40 }, (_, k) => client.ask(asked(`q${k}`), text))),
    )
    const lines = readFileSync(join(folder, 'ledger.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    const done = lines.filter(({ entry }) => entry === 'done').map(({ key }) => key)
    expect(new Set(done).size).toBe(done.length)
    expect(lines.filter(({ entry }) => entry === 'intent')).toHaveLength(server.received.length)
  })
})

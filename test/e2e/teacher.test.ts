/**
 * Teacher-distillation as a user runs it. The canary: a key that the server echoes wherever it can must show up nowhere, at any
 * log level, not even where it was written into the configuration by mistake.
 */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RunSummary } from '../../src/phases/run/run-record.js'
import { type ChatBody, FaultServer, type FaultServerOptions } from '../fixtures/fault-server.js'
import { tutor } from '../fixtures/tutor.js'
import {
  cli,
  type Finished,
  lastJson,
  runArguments,
  workFolder,
  writeSettings,
  writeTinyData,
  writeTinyModel,
} from './command-line.js'

const canary = 'rr-canary/Zk3+9fQ=x71w'
/** As it is, and as base64, a URL or JSON may carry it. */
const forms = [
  canary,
  encodeURIComponent(canary),
  Buffer.from(canary).toString('base64'),
  JSON.stringify(canary).slice(1, -1).replaceAll('/', '\\/'),
]
const loud = { RR_TEST_KEY: canary, OPENAI_LOG: 'debug', DEBUG: '*', NODE_DEBUG: 'http,net,fetch,undici' }

const folder = workFolder()
const servers: FaultServer[] = []
let [model, data] = ['', '']

beforeAll(async () => {
  model = await writeTinyModel(join(folder.path, 'model'))
  data = await writeTinyData(join(folder.path, 'data'))
})
afterAll(async () => {
  for (const server of servers) await server.stop()
  folder.remove()
})

async function serve(options: FaultServerOptions): Promise<FaultServer> {
  const server = await FaultServer.start(options)
  servers.push(server)
  return server
}

function settings(name: string, server: FaultServer, teacher: object = {}): string {
  return writeSettings(join(folder.path, `${name}.yaml`), {
    prompt: { max_words: 30 },
    model: { threads: 1 },
    data: { max_hist: 4, candidates: 'C8' },
    teacher: {
      kind: 'openai',
      baseURL: server.baseURL,
      model: 'wise',
      apiKeyEnv: 'RR_TEST_KEY',
      backoff: 0.01,
      price_in: 1,
      price_out: 2,
      ...teacher,
    },
    collect: { instances: 16, k_free: 2, k_hint: 1, chunk: 8, fill: 'none', min_words: 6, max_words: 60 },
    sft: { epochs: 1, batch: 8, rank: 2, alpha: 4 },
    rl: { steps: 0 },
    eval: { instances: 4, max_new: 8, direct: false, controls: [] },
  })
}

function everythingUnder(path: string): string {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'))
    .join('\n')
}

function expectNoKey(...texts: readonly string[]): void {
  for (const text of texts) for (const form of forms) expect(text.includes(form)).toBe(false)
}

const outputs = ({ stdout, stderr }: Finished): string[] => [stdout, stderr]

describe('a key', () => {
  it('is sent to the server and shows up nowhere else, though the server says it in errors and answers', async () => {
    let asked = 0
    const server = await serve({
      answer: (body: ChatBody) => {
        const said = JSON.parse(tutor({ ...body, response_format: { type: 'json_schema' } })) as {
          think: string
        }
        return JSON.stringify({ ...said, think: `${said.think} The key is ${canary} or ${forms[2]}.` })
      },
      behaviour: (_, response, request) => {
        if (++asked % 5 !== 0) return false
        response.writeHead(asked % 2 ? 500 : 429, { 'content-type': 'application/json', 'x-echo': canary })
        response.end(JSON.stringify({ error: { message: `no: ${request.headers.authorization}` } }))
        return true
      },
    })
    const out = join(folder.path, 'run')
    const args = [...runArguments({ model, data, out, settings: settings('run', server) }), '--json']
    const end = await cli(args, loud)
    expect(end.status, end.stderr.slice(-2000)).toBe(0)
    expect(server.received.every(({ authorization }) => authorization === `Bearer ${canary}`)).toBe(true)
    expectNoKey(...outputs(end), everythingUnder(out))
    const { collect } = lastJson<RunSummary>(end.stdout)
    expect(collect.teacher).toMatchObject({ model: 'wise', attempts: server.received.length })
    expect(collect.teacher?.cost).toBeGreaterThan(0)
    // It was there to be found: the answers that quoted it stand in the ledger without it.
    expect(readFileSync(join(out, 'teacher/ledger.jsonl'), 'utf8')).toContain('The key is [key]')
    expect(readFileSync(join(out, 'report.html'), 'utf8')).toContain('The teacher wise')
  })

  it('is not in the message when the server refuses it, and the exit status is 5', async () => {
    const server = await serve({
      behaviour: (_, response, request) => {
        response.writeHead(401, { 'content-type': 'application/json' })
        response.end(JSON.stringify({ error: { message: `Incorrect key ${request.headers.authorization}` } }))
        return true
      },
    })
    const out = join(folder.path, 'refused')
    const end = await cli(runArguments({ model, data, out, settings: settings('refused', server) }), loud)
    expect(end.status).toBe(5)
    expect(end.stderr).toMatch(/RR_TEACHER_REFUSED: .*Incorrect key Bearer \[key\]/)
    expectNoKey(...outputs(end), everythingUnder(out))
  })

  it('is not repeated where somebody wrote it into the configuration', async () => {
    const server = await serve({})
    const file = settings('mistaken', server)
    const out = join(folder.path, 'mistaken')
    for (const key of ['apiKey', 'apiKeyEnv', 'baseURL']) {
      const value = key === 'baseURL' ? `https://user:${canary}@example.com/v1` : canary
      const args = [...runArguments({ model, data, out, settings: file }), '--set', `teacher.${key}=${value}`]
      const end = await cli(args, loud)
      expect(end.status).toBe(2)
      expect(end.stderr).toMatch(/RR_(CONFIG_VALUE|UNKNOWN_KEY)/)
      expectNoKey(...outputs(end))
    }
    expect(server.received).toHaveLength(0)
  })
})

it('stops at the cap with status 5, and a run with a higher cap pays only for the rest', async () => {
  const server = await serve({ answer: tutor })
  const out = join(folder.path, 'capped')
  const cap = 0.004
  const file = settings('capped', server, { max_cost: cap })
  const end = await cli(runArguments({ model, data, out, settings: file }), { RR_TEST_KEY: canary })
  expect(end.status).toBe(5)
  expect(end.stderr).toMatch(/RR_TEACHER_BUDGET/)
  const paid = server.whole.length
  expect(paid).toBeGreaterThan(2)
  const richer = settings('richer', server, { max_cost: 1, ledger: join(out, 'teacher') })
  const again = join(folder.path, 'richer')
  const args = ['collect', '--config', richer, '--model', model, '--data', data, '--out', again]
  expect((await cli(args, { RR_TEST_KEY: canary })).status).toBe(0)
  const questions = server.received.map(({ body }) => JSON.stringify([body.messages, body.seed]))
  expect(new Set(questions).size).toBe(questions.length)
})

it('plan tells what will be asked, and builds nothing', async () => {
  const server = await serve({})
  const args = ['plan', '--config', settings('plan', server), '--data', data, '--json']
  const { status, stdout } = await cli(args)
  expect(status).toBe(0)
  const { teacher } = lastJson<{ teacher: { requests: object; cost: { least: number; most: number } } }>(
    stdout,
  )
  expect(teacher.requests).toEqual({ least: 32, most: 48 })
  expect(teacher.cost.least).toBeGreaterThan(0)
  expect(teacher.cost.most).toBeGreaterThan(teacher.cost.least)
  expect(server.received).toHaveLength(0)
})

/**
 * board: a page on this machine that shows runs while they work. Read-only: nothing under the folder of runs is written.
 *
 *   GET /                      the page (its script, style and the chart library beside it)
 *   GET /api/runs              every run under the folder (phases/run/run-list.ts)
 *   GET /api/curves?run=ID     curves of a run, ID as the list has it; 304 where nothing is new (If-None-Match)
 *   GET /api/prompts?run=ID    what the model wrote for each watched prompt, step by step
 *   GET /api/table?run=ID      the table of an evaluated run
 *
 * Whoever asks must come from this machine (Host, Origin) and show the token of the address that was printed. The token
 * stands behind # there, so it is in no request line, log or referrer.
 */

import { randomBytes, timingSafeEqual } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type ServerType, serve } from '@hono/node-server'
import { type Context, Hono } from 'hono'
import { summaryFile } from '../phases/evaluation/summary.js'
import { readJsonLines } from '../phases/run/files.js'
import { type ListedRun, listRuns } from '../phases/run/run-list.js'
import type { RunSummary, SampleLine } from '../phases/run/run-record.js'
import { RunSeries } from './run-series.js'

export interface Board {
  /** With the token: what to open. */
  readonly url: string
  close(): Promise<void>
}

/** Points of a curve that are sent. */
const mostPoints = 2000

const assets: Readonly<Record<string, readonly [string, string]>> = {
  '/': [client('board.html'), 'text/html; charset=utf-8'],
  '/board.mjs': [client('board.mjs'), 'text/javascript; charset=utf-8'],
  '/board.css': [client('board.css'), 'text/css; charset=utf-8'],
  '/uplot.mjs': [fromPackage('uplot/dist/uPlot.esm.js'), 'text/javascript; charset=utf-8'],
  '/uplot.css': [fromPackage('uplot/dist/uPlot.min.css'), 'text/css; charset=utf-8'],
}

/** Listening on 127.0.0.1. @throws the system's error where the port is taken */
export async function openBoard(folder: string, port: number): Promise<Board> {
  const token = randomBytes(18).toString('base64url')
  const app = boardApp(resolve(folder), token)
  const server = await new Promise<ServerType>((done, failed) => {
    const listening = serve({ fetch: app.fetch, hostname: '127.0.0.1', port }, () => done(listening))
    listening.once('error', failed)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port')
  return {
    url: `http://127.0.0.1:${address.port}/#${token}`,
    close: () => new Promise((done) => server.close(() => done())),
  }
}

export function boardApp(root: string, token: string): Hono {
  const app = new Hono()
  const list = recentRuns(root)
  const curves = new Map<string, RunSeries>()
  app.use(async (c, next) => {
    if (!isNeighbour(c.req.header('host'), c.req.header('origin'))) return c.text('not from here', 403)
    await next()
    c.header(
      'Content-Security-Policy',
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'",
    )
    c.header('X-Content-Type-Options', 'nosniff')
    c.header('Referrer-Policy', 'no-referrer')
  })
  for (const [path, [file, type]] of Object.entries(assets))
    app.get(path, (c) => c.body(readFileSync(file, 'utf8'), 200, { 'Content-Type': type }))

  app.use('/api/*', async (c, next) => {
    if (!isToken(c.req.header('authorization'), token))
      return c.text('open the address that was printed', 401)
    await next()
  })
  app.get('/api/runs', (c) => c.json({ root, runs: list() }))
  app.get('/api/curves', (c) => {
    const run = namedRun(c, list())
    if (run === null) return c.notFound()
    const series = curves.get(run.path) ?? new RunSeries(run.path)
    curves.set(run.path, series)
    const read = series.read(mostPoints)
    const tag = `"${read.version}"`
    if (c.req.header('if-none-match') === tag) return c.body(null, 304)
    return c.json(read, 200, { ETag: tag })
  })
  app.get('/api/prompts', (c) => {
    const run = namedRun(c, list())
    return run === null ? c.notFound() : c.json(watched(run.path))
  })
  app.get('/api/table', (c) => {
    const run = namedRun(c, list())
    return run === null ? c.notFound() : c.json(tableOf(run.path))
  })
  return app
}

interface BoardRun extends ListedRun {
  readonly id: string
}

/** The list, looked at again where the last look is a second old: a page asks several times at once. */
function recentRuns(root: string): () => readonly BoardRun[] {
  let [runs, at]: [readonly BoardRun[], number] = [[], Number.NEGATIVE_INFINITY]
  return () => {
    if (performance.now() - at > 1000) {
      runs = listRuns(root).map((run) => ({ ...run, id: relative(root, run.path) || '.' }))
      at = performance.now()
    }
    return runs
  }
}

/** Only a run of the list: an id is never made into a path. */
function namedRun(c: Context, runs: readonly BoardRun[]): BoardRun | null {
  const id = c.req.query('run')
  return runs.find((run) => run.id === id) ?? null
}

interface WatchedPrompt {
  readonly instance: string
  readonly history: readonly string[]
  readonly target: string
  readonly answers: readonly Pick<SampleLine, 'step' | 'model' | 'reasoning' | 'answer' | 'hit'>[]
}

/** Samples by prompt, those asked more than once first: one user's reasoning over the training. */
function watched(path: string): WatchedPrompt[] {
  const lines = readJsonLines<SampleLine>(join(path, 'samples.jsonl'))
  const byInstance = new Map<string, SampleLine[]>()
  for (const line of lines) byInstance.set(line.instance, [...(byInstance.get(line.instance) ?? []), line])
  return [...byInstance]
    .map(([instance, own]) => {
      const { history = [], target = '' } = own[0] ?? {}
      const answers = own.map(({ step, model, reasoning, answer, hit }) => ({
        step,
        model,
        reasoning,
        answer,
        hit,
      }))
      return { instance, history, target, answers }
    })
    .sort((a, b) => b.answers.length - a.answers.length)
    .slice(0, 50)
}

function tableOf(path: string): RunSummary['table'] {
  const file = join(path, summaryFile)
  if (!existsSync(file)) return []
  return (JSON.parse(readFileSync(file, 'utf8')) as Partial<RunSummary>).table ?? []
}

const neighbours: ReadonlySet<string> = new Set(['localhost', '127.0.0.1'])

/** A page of another site must not read this one: neither by its own requests nor by a name that points here. */
function isNeighbour(host: string | undefined, origin: string | undefined): boolean {
  const name = (host ?? '').replace(/:\d+$/u, '')
  if (!neighbours.has(name)) return false
  return origin === undefined || origin === `http://${host}`
}

function isToken(given: string | undefined, token: string): boolean {
  const shown = Buffer.from(given ?? '')
  const wanted = Buffer.from(`Bearer ${token}`)
  return shown.length === wanted.length && timingSafeEqual(shown, wanted)
}

function client(name: string): string {
  return fileURLToPath(new URL(`./client/${name}`, import.meta.url))
}

function fromPackage(name: string): string {
  return createRequire(import.meta.url).resolve(name)
}

/**
 * npm run bench -- [--case X,Y] [--peer Z] [--quick] [--json] [--out DIR] [--resume] [--write FILE] [--from DIR]:
 * measures every case against every peer that is there, in turn, and holds the result against GOALS.json. Each case is
 * written to DIR/<case>.json as it ends; --write makes a page of all that lies there, --from measures nothing.
 * Numbers of a busy machine are marked noisy, never left out.
 */

import { readFileSync, writeFileSync } from 'node:fs'
import yargs from 'yargs'
import { hideBin } from 'yargs/helpers'
import { engineInfo, exitStatus, ReasonrecError, setThreads } from '../src/engine/index.js'
import { cases } from './cases/index.js'
import type { BenchCase, Ceilings, Size } from './contract.js'
import { bestOf, Lull, measureCeilings, thisMachine } from './machine.js'
import type { Goal } from './measure.js'
import { renderPage } from './page.js'
import { type CaseResult, isDone, readCase, readCases, writeCase } from './results.js'
import { runCase, type Setting } from './run-case.js'
import { setProducts } from './subject.js'
import { renderRows, renderSeries, renderVariants } from './table.js'

const readJson = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`./${name}`, import.meta.url), 'utf8'))
const goals = readJson('GOALS.json') as Record<string, Goal>
const causes = readJson('CAUSES.json') as Record<string, string>

/** Rounds of each side, and seconds that one measure may take. */
const efforts: Readonly<Record<Size, { readonly rounds: number; readonly limit: number }>> = {
  tiny: { rounds: 2, limit: 10 },
  quick: { rounds: 5, limit: 16 },
  full: { rounds: 7, limit: 240 },
}

async function arguments_() {
  return yargs(hideBin(process.argv))
    .scriptName('bench')
    .option('case', { type: 'string', requiresArg: true, describe: 'Cases by name, a,b,c' })
    .option('peer', { type: 'string', requiresArg: true, describe: 'One peer by name; none: ours alone' })
    .option('json', { type: 'boolean', default: false, describe: 'One JSON object last on stdout' })
    .option('quick', {
      type: 'boolean',
      default: false,
      describe: 'The whole table in 20 minutes: --size quick',
    })
    .option('size', { choices: ['tiny', 'quick', 'full'] as const, describe: 'How much work (full)' })
    .option('rounds', { type: 'number', describe: 'Runs of each side at most' })
    .option('limit', { type: 'number', describe: 'Seconds one measure may take' })
    .option('threads', {
      type: 'number',
      default: 0,
      describe: 'Threads of ours and of peers (0: all cores)',
    })
    .option('products', {
      choices: ['bf16', 'fp32'] as const,
      default: 'bf16' as const,
      describe: 'How ours multiplies by bf16 weights: as peers do (model.compute: bf16), or as by default',
    })
    .option('wait', { type: 'number', default: 10, describe: 'Minutes to wait for a quiet machine, in all' })
    .option('out', { type: 'string', default: 'runs/bench', describe: 'Folder of the results' })
    .option('check', {
      type: 'boolean',
      default: false,
      describe: 'Compares outputs and runs each side once: what works, not how fast',
    })
    .option('resume', {
      type: 'boolean',
      default: false,
      describe: 'Leave out cases done at this commit and size',
    })
    .option('write', { type: 'string', requiresArg: true, describe: 'Page to make of the results' })
    .option('from', { type: 'string', requiresArg: true, describe: 'Folder of results; measures nothing' })
    .strict()
    .fail((message: string | null, error: Error | undefined) => {
      throw (
        error ??
        new ReasonrecError('RR_USAGE', message ?? 'wrong usage', { remedy: 'see npm run bench -- --help' })
      )
    })
    .parseAsync()
}

type Arguments = Awaited<ReturnType<typeof arguments_>>

async function main(): Promise<void> {
  const args = await arguments_()
  const results = args.from === undefined ? await measureAll(args) : readCases(args.from)
  if (args.write !== undefined)
    writeFileSync(args.write, renderPage(readCases(args.from ?? args.out), goals, causes, orderOfCases))
  if (args.json) process.stdout.write(`${JSON.stringify(asJson(results))}\n`)
  else show(results)
  if (results.some(({ failed }) => failed.length > 0)) process.exitCode = 1
}

const orderOfCases = cases.map(({ name }) => name)

async function measureAll(args: Arguments): Promise<readonly CaseResult[]> {
  const threads = args.threads > 0 ? args.threads : engineInfo().threads
  const wanted = chosen(args.case, args.peer).map((one) => ({ one, peers: peersOf(one, args.peer) }))
  await setThreads(threads)
  setProducts(args.products)
  const size: Size = args.size ?? (args.quick ? 'quick' : 'full')
  const effort = efforts[size]
  const setting: Setting = {
    size,
    threads,
    rounds: Math.max(1, args.rounds ?? effort.rounds),
    limit: args.limit ?? effort.limit,
    ...(args.check && { rounds: 1, limit: 0, warm: false }),
    goals,
    lull: new Lull(args.wait, say),
    say,
  }
  const begin = Date.now()
  const results: CaseResult[] = []
  let ceilings: Ceilings | null = null
  for (const [index, { one, peers }] of wanted.entries()) {
    const earlier = readCase(args.out, one.name)
    if (args.resume && isDone(earlier, size, thisMachine().commit)) {
      say(`${one.name}: done before`)
      results.push(earlier)
      continue
    }
    const left = wanted.slice(index).reduce((sum, { one: next }) => sum + next.minutes[size], 0)
    say(
      `${index + 1} of ${wanted.length}: ${one.name}, ${((Date.now() - begin) / 60_000).toFixed(1)} minutes so far, about ${left.toFixed(1)} to go`,
    )
    ceilings = await ceilingsSoFar(ceilings, size)
    const start = Date.now()
    const found = await runCase(one, peers, ceilings, setting)
    const result: CaseResult = {
      schema: 1,
      case: one.name,
      size,
      products: args.products,
      command: `npm run bench -- ${process.argv.slice(2).join(' ')}`.trim(),
      machine: thisMachine(),
      ceilings,
      seconds: (Date.now() - start) / 1000,
      ...found,
    }
    writeCase(args.out, result)
    results.push(result)
  }
  return results
}

/** The best seen in this run: a neighbour may take a part of any one look. */
async function ceilingsSoFar(before: Ceilings | null, size: Size): Promise<Ceilings> {
  if (size === 'tiny') return before ?? measureCeilings(1, 0.05)
  const now = await measureCeilings(before ? 1 : 4, 0.4)
  return before ? bestOf(before, now) : now
}

/** Of a peer that is asked for: the cases that have it, or the first, for its refusal. */
function chosen(names: string | undefined, peer: string | undefined): readonly BenchCase[] {
  const asked = names?.split(',').map((name) => name.trim())
  for (const name of asked ?? [])
    if (!cases.some((one) => one.name === name))
      throw new ReasonrecError('RR_USAGE_BENCH', `there is no case ${name}`, {
        expected: orderOfCases.join(', '),
        remedy: 'choose some of them',
      })
  const found = cases.filter((one) => asked === undefined || asked.includes(one.name))
  const withPeer = found.filter(({ peers }) => peer === undefined || peer === 'none' || peers.includes(peer))
  return withPeer.length > 0 ? withPeer : found.slice(0, 1)
}

function peersOf({ name, peers }: BenchCase, wanted: string | undefined): readonly string[] {
  if (wanted === 'none') return []
  const found = peers.filter((peer) => wanted === undefined || peer === wanted)
  if (found.length > 0 || wanted === undefined) return found
  throw new ReasonrecError('RR_USAGE_BENCH', `${name} has no peer ${wanted}`, {
    expected: [...peers, 'none'].join(', '),
    remedy: 'choose one of them',
  })
}

function asJson(results: readonly CaseResult[]): object {
  const all = <T>(of: (result: CaseResult) => readonly T[]): readonly T[] => results.flatMap(of)
  return {
    schema: 1,
    rows: all(({ rows }) => rows),
    variants: all(({ variants }) => variants),
    series: all(({ series }) => series),
    missing: all(({ missing }) => missing),
    absent: all(({ absent }) => absent),
    failed: all(({ failed }) => failed),
    ceilings: results.at(-1)?.ceilings ?? null,
    machine: results.at(-1)?.machine ?? thisMachine(),
  }
}

function show(results: readonly CaseResult[]): void {
  const out = (text: string): boolean => process.stdout.write(`${text}\n`)
  const rows = results.flatMap((result) => result.rows)
  const variants = results.flatMap((result) => result.variants)
  if (rows.length > 0) out(renderRows(rows))
  if (variants.length > 0) out(renderVariants(variants))
  for (const series of results.flatMap((result) => result.series)) out(renderSeries(series))
  for (const { missing, absent, failed } of results) {
    for (const { case: name, peer, reason } of missing) out(`${name}: ${peer} is not installed (${reason})`)
    for (const { id, reason } of absent) out(`${id}: not measured (${reason})`)
    for (const { id, peer, reason } of failed) out(`${id}${peer ? ` against ${peer}` : ''} failed: ${reason}`)
  }
}

function say(text: string): void {
  process.stderr.write(`bench: ${text}\n`)
}

main().catch((error: unknown) => {
  const line =
    error instanceof ReasonrecError ? error.toLine() : String(error instanceof Error ? error.stack : error)
  process.stderr.write(`${line}\n`)
  process.exitCode = exitStatus(error)
})

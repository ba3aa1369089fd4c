/**
 * npm run bench -- [--case X] [--peer Y] [--json]: measures every case against every peer that is there, in turn, and
 * holds the result against GOALS.json. Numbers of a busy machine are marked noisy, never left out.
 */

import { readFileSync } from 'node:fs'
import yargs from 'yargs'
import { hideBin } from 'yargs/helpers'
import { engineInfo, exitStatus, ReasonrecError, setThreads } from '../src/engine/index.js'
import { cases } from './cases/index.js'
import type { BenchCase, BenchRow, Measure, Size, Timing } from './contract.js'
import { lull, thisMachine } from './machine.js'
import { type Goal, interleaved, rowOf } from './measure.js'
import { Peer } from './peers.js'
import { renderRows } from './table.js'

interface Wanted {
  readonly size: Size
  readonly rounds: number
  readonly threads: number
  readonly wait: number
}

interface Missing {
  readonly case: string
  readonly peer: string
  readonly reason: string
}

const goals = JSON.parse(readFileSync(new URL('./GOALS.json', import.meta.url), 'utf8')) as Record<
  string,
  Goal
>

async function main(): Promise<void> {
  const args = await yargs(hideBin(process.argv))
    .scriptName('bench')
    .option('case', { type: 'string', requiresArg: true, describe: 'One case by name' })
    .option('peer', { type: 'string', requiresArg: true, describe: 'One peer by name; none: ours alone' })
    .option('json', { type: 'boolean', default: false, describe: 'One JSON object last on stdout' })
    .option('size', {
      choices: ['tiny', 'quick', 'full'] as const,
      default: 'full' as const,
      describe: 'How much work',
    })
    .option('rounds', { type: 'number', default: 7, describe: 'Runs of each side' })
    .option('threads', { type: 'number', default: 0, describe: 'Threads of ours (0: all cores)' })
    .option('wait', { type: 'number', default: 10, describe: 'Minutes to wait for a quiet machine' })
    .strict()
    .fail((message: string | null, error: Error | undefined) => {
      throw (
        error ??
        new ReasonrecError('RR_USAGE', message ?? 'wrong usage', { remedy: 'see npm run bench -- --help' })
      )
    })
    .parseAsync()
  const threads = args.threads > 0 ? args.threads : engineInfo().threads
  await setThreads(threads)
  const wanted: Wanted = { size: args.size, rounds: Math.max(1, args.rounds), threads, wait: args.wait }
  const rows: BenchRow[] = []
  const missing: Missing[] = []
  for (const one of chosen(args.case, args.peer))
    await runCase(one, peersOf(one, args.peer), wanted, rows, missing)
  if (args.json)
    process.stdout.write(`${JSON.stringify({ schema: 1, rows, missing, machine: thisMachine() })}\n`)
  else {
    process.stdout.write(`${renderRows(rows)}\n`)
    for (const { case: name, peer, reason } of missing)
      process.stdout.write(`${name}: ${peer} is not installed (${reason})\n`)
  }
}

/** Of a peer that is asked for: the cases that have it, or the first, for its refusal. */
function chosen(name: string | undefined, peer: string | undefined): readonly BenchCase[] {
  const found = cases.filter((one) => name === undefined || one.name === name)
  const withPeer = found.filter(({ peers }) => peer === undefined || peer === 'none' || peers.includes(peer))
  if (withPeer.length > 0) return withPeer
  if (found.length > 0) return found.slice(0, 1)
  throw new ReasonrecError('RR_USAGE_BENCH', `there is no case ${name}`, {
    expected: cases.map((one) => one.name).join(', '),
    remedy: 'choose one of them',
  })
}

function peersOf({ name, peers }: BenchCase, wanted: string | undefined): readonly string[] {
  if (wanted === 'none') return []
  const found = peers.filter((peer) => wanted === undefined || peer === wanted)
  if (found.length > 0 || wanted === undefined) return found
  throw new ReasonrecError('RR_USAGE_BENCH', `${name} has no peer ${wanted}`, {
    expected: `${peers.join(', ')} or none`,
    remedy: 'choose one of them',
  })
}

async function runCase(
  { name, prepare }: BenchCase,
  peers: readonly string[],
  wanted: Wanted,
  rows: BenchRow[],
  missing: Missing[],
): Promise<void> {
  say(`${name}: preparing`)
  const prepared = await prepare(wanted.size)
  const started: { readonly name: string; readonly peer: Peer }[] = []
  try {
    for (const peer of peers) {
      const found = await Peer.start(peer, wanted.threads)
      if ('missing' in found) missing.push({ case: name, peer, reason: found.missing })
      else {
        started.push({ name: peer, peer: found })
        await found.ask({ prepare: prepared.input })
      }
    }
    for (const measure of prepared.measures) {
      if (started.length === 0) rows.push(await against(measure, null, wanted))
      for (const one of started) rows.push(await against(measure, one, wanted))
    }
  } finally {
    for (const { peer } of started) peer.stop()
    prepared.dispose()
  }
}

async function against(
  measure: Measure,
  rival: { readonly name: string; readonly peer: Peer } | null,
  { rounds, wait }: Wanted,
): Promise<BenchRow> {
  const busy = !(await lull(wait, say))
  say(`${measure.id}${rival ? ` against ${rival.peer.title}` : ''}`)
  const theirs =
    rival && (() => rival.peer.ask<Timing>({ measure: measure.id, ...measure.request(rival.name) }))
  const differs =
    rival && measure.disagreement ? await measure.disagreement((request) => rival.peer.ask(request)) : null
  if (differs) say(`${measure.id}: ${differs}`)
  const agree = rival && measure.disagreement ? differs === null : null
  const runs = await interleaved(() => measure.run(), theirs, rounds)
  return rowOf(measure, runs, rival?.peer.title ?? null, goals[measure.id], { busy, agree })
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

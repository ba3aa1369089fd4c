/**
 * The promise of the ledger: 5,000 prompts to a server that misbehaves in every way, by a client that is killed twenty times with
 * SIGKILL. Nothing is lost, nothing answered twice, nothing asked again once it is done, and no more is paid twice than
 * what was in flight at the kills.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { seeded } from '../../src/data/random.js'
import { parseLedgerLine } from '../../src/teacher/openai/ledger.js'
import type { LedgerEntry } from '../../src/teacher/openai/tally.js'
import { FaultServer, usualFaults } from '../fixtures/fault-server.js'
import { finished, isRunning, workFolder } from './command-line.js'

const client = fileURLToPath(new URL('../fixtures/teacher-client.mjs', import.meta.url))
const prompts = 5000
const kills = 20
const concurrency = 32
const folder = workFolder()
/** In memory where there is such a place: a kill -9 takes nothing from the system's own memory, and disks here are shared. */
const memory = existsSync('/dev/shm') ? mkdtempSync('/dev/shm/reasonrec-kills-') : null
const ledger = join(memory ?? folder.path, 'ledger')
let server: FaultServer

beforeAll(async () => {
  server = await FaultServer.start({
    seed: 1,
    faults: usualFaults,
    retryAfter: 0.002,
    answer: ({ messages }) => JSON.stringify({ id: Number(messages[0]?.content.split(' ')[1]) }),
  })
})
afterAll(async () => {
  await server.stop()
  folder.remove()
  if (memory) rmSync(memory, { recursive: true, force: true })
})

function start(): ChildProcess {
  const teacher = {
    concurrency,
    backoff: 0.002,
    total_timeout: 0.5,
    attempts: 40,
    answer_attempts: 40,
    stream: false,
  }
  const given = { baseURL: server.baseURL, folder: ledger, prompts, teacher }
  return spawn(process.execPath, [client, JSON.stringify(given)], { stdio: ['ignore', 'pipe', 'pipe'] })
}

const ledgerBytes = (): number => statSync(join(ledger, 'ledger.jsonl'), { throwIfNoEntry: false })?.size ?? 0

/** Runs until the ledger has grown by `bytes` and kills in mid-write, as far as luck allows. */
async function killedAfter(bytes: number): Promise<boolean> {
  const child = start()
  const end = finished(child)
  const from = ledgerBytes()
  while (isRunning(child) && ledgerBytes() < from + bytes)
    await new Promise((resolve) => setTimeout(resolve, 2))
  const alive = child.kill('SIGKILL')
  await end
  return alive
}

function linesOf(file: string): LedgerEntry[] {
  const lines = readFileSync(file, 'utf8').split('\n')
  expect(lines.pop()).toBe('')
  return lines.map((line) => {
    const entry = parseLedgerLine(Buffer.from(`${line}\n`))
    if (!entry) throw new Error(`a line that is not whole: ${line.slice(0, 80)}`)
    return entry
  })
}

it('5,000 prompts, every fault, 20 kills: none lost, none doubled, none asked again', async () => {
  const random = seeded(5, 'kills')
  for (let kill = 0; kill < kills; kill++)
    expect(await killedAfter(20_000 + random.below(100_000)), `kill ${kill}`).toBe(true)
  const end = await finished(start())
  expect(end.stderr).toBe('')
  const { answered } = JSON.parse(end.stdout) as { answered: number }
  expect(answered).toBe(prompts)

  const entries = linesOf(join(ledger, 'ledger.jsonl'))
  const done = new Set<string>()
  for (const entry of entries) {
    if (entry.entry === 'without') continue
    expect(done.has(entry.key), `${entry.entry} after done`).toBe(false)
    if (entry.entry === 'done') done.add(entry.key)
  }
  expect(done.size).toBe(prompts)

  // Whole answers of the server beyond one for each prompt: paid for, and lost with a killed process. On a machine under
  // load some come after the clock has run out; the ledger has these as failures beyond the server's own silences.
  const timedOut = entries.filter((entry) => entry.entry === 'fail' && entry.cause === 'total').length
  const late = timedOut - server.received.filter(({ outcome }) => outcome === 'hang').length
  const paid = server.whole.length - prompts
  expect(paid).toBeLessThanOrEqual(kills * concurrency + Math.max(0, late))
  const intents = entries.filter(({ entry }) => entry === 'intent').length
  expect(intents).toBeGreaterThanOrEqual(server.received.length)
  const outcomes = new Set(server.received.map(({ outcome }) => outcome))
  for (const fault of Object.keys(usualFaults)) expect(outcomes).toContain(fault)
  console.log(
    `kills ${kills}, attempts ${intents}, answered ${answered}, paid twice ${paid} of ${kills * concurrency} allowed, late ${late}`,
  )
  expect(existsSync(join(ledger, '.lock'))).toBe(false)
}, 600_000)

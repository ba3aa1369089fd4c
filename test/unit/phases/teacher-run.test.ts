/**
 * Teacher-distillation end to end: the same run as self-distillation but for the keys of the teacher, in both methods, with a
 * made-up instruct model behind a server that misbehaves, and titles that try to speak for us.
 */

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Trace } from '../../../src/methods/method.js'
import { readJsonLines } from '../../../src/phases/run/files.js'
import type { CollectSummary, Phase } from '../../../src/phases/run/run-record.js'
import { FaultServer, usualFaults } from '../../fixtures/fault-server.js'
import { randomModel, smallRun } from '../../fixtures/small-run.js'
import { hostileTitles, writeSyntheticData } from '../../fixtures/synthetic-data.js'
import { tutor } from '../../fixtures/tutor.js'

const folder = mkdtempSync(join(tmpdir(), 'reasonrec-teacher-run-'))
const plan: readonly Phase[] = ['collect', 'imitate']
let server: FaultServer
let shared: string[] = []

beforeAll(async () => {
  const data = join(folder, 'films')
  await writeSyntheticData(data, {
    users: 40,
    items: 60,
    seed: 1,
    userSplit: true,
    noun: 'film',
    hostile: true,
  })
  const model = await randomModel(join(folder, 'model'))
  server = await FaultServer.start({
    seed: 4,
    faults: { ...usualFaults, hang: 0.005 },
    retryAfter: 0.002,
    answer: tutor,
  })
  shared = [`model.dir=${model}`, `data.dir=${data}`, 'model.threads=1', 'data={max_hist: 4, candidates: C8}']
})
afterAll(async () => {
  await server.stop()
  rmSync(folder, { recursive: true })
})

const teacherKeys = (): string[] => [
  `teacher={kind: openai, baseURL: "${server.baseURL}", model: wise}`,
  'teacher={backoff: 0.002, idle_timeout: 0.25, total_timeout: 2, attempts: 20, answer_attempts: 4}',
  'teacher={price_in: 1, price_out: 2}',
]
const methods: Readonly<Record<'re2' | 'r2rec', readonly string[]>> = {
  re2: [
    'prompt={max_words: 30, wording: compact}',
    'collect={instances: 24, chunk: 12, k_free: 3, k_hint: 1, max_new: 16, fill: none}',
    'sft={epochs: 1, batch: 8, rank: 2, alpha: 4}',
  ],
  r2rec: [
    'method=r2rec',
    'r2rec={chains: 2, triples: 1, labels: 3, step_max_new: 12, tolerance: 4, min_tokens: 1}',
    'collect={instances: 24, chunk: 12, k_free: 3, max_new: 16, fill: none}',
    'sft={epochs: 1, batch: 8, rank: 2, alpha: 4, direct_mix: 0}',
  ],
}
const tracesOf = (out: string): Trace[] => readJsonLines<Trace>(join(out, 'traces.jsonl'))

describe.each(['re2', 'r2rec'] as const)('%s with a teacher', (method) => {
  const out = join(folder, `${method}-taught`)
  const set = (): string[] => [...shared, ...methods[method]]

  it('collects from the teacher what the student then imitates', async () => {
    await smallRun({ set: [...set(), ...teacherKeys()], out, phases: plan })
    const kept = tracesOf(out).filter((trace) => trace.kept)
    expect(kept.length).toBeGreaterThan(8)
    expect(new Set(kept.map(({ generator }) => generator))).toEqual(new Set(['wise']))
    expect(new Set(kept.map(({ source }) => source))).toEqual(new Set(['A', 'B']))
    expect(kept.every(({ stream }) => stream.startsWith('openai/') || method === 'r2rec')).toBe(true)
    expect(readdirSync(out)).toContain('reference-adapter')
    const summary = JSON.parse(readFileSync(join(out, 'collect-summary.json'), 'utf8')) as CollectSummary
    expect(summary.builtin_share).toBe(0)
    expect(summary.teacher).toMatchObject({ model: 'wise', replay: false })
    expect(summary.teacher?.cost).toBeGreaterThan(0)
    expect(Object.keys(summary.teacher?.failures ?? {}).length).toBeGreaterThan(3)
  }, 300_000)

  it('marks every title in what is asked, and keeps no mark in what is learned', () => {
    const prompts = server.received.map(({ body }) => body.messages.map(({ content }) => content).join('\n'))
    const hostile = hostileTitles[0].replace(/\s+/g, ' ')
    const holding = prompts.filter((prompt) => prompt.includes(hostile))
    expect(holding.length).toBeGreaterThan(0)
    for (const prompt of holding) {
      const nonce = /Text between <(t[0-9a-f]{12})>/.exec(prompt)?.[1]
      const marked = prompt.split(`<${nonce}>${hostile}</${nonce}>`).length
      // Every mention, but for those within what the teacher itself wrote before.
      expect(marked - 1).toBeGreaterThan(0)
    }
    expect(readFileSync(join(out, 'traces.jsonl'), 'utf8')).not.toMatch(/<\/?t[0-9a-f]{12}>/)
  })

  it('is the same run from its ledger, without a server', async () => {
    const again = join(folder, `${method}-replayed`)
    const before = server.received.length
    const replay = `teacher={replay: true, ledger: "${join(out, 'teacher')}"}`
    await smallRun({ set: [...set(), ...teacherKeys(), replay], out: again, phases: plan })
    expect(server.received).toHaveLength(before)
    expect(readFileSync(join(again, 'traces.jsonl'))).toEqual(readFileSync(join(out, 'traces.jsonl')))
  }, 300_000)

  it('becomes self-distillation by one key', async () => {
    const own = join(folder, `${method}-self`)
    const before = server.received.length
    const run = smallRun({ set: [...set(), ...teacherKeys(), 'teacher.kind=self'], out: own, phases: plan })
    // A random model writes nothing that could be kept.
    await expect(run).rejects.toMatchObject({ code: 'RR_NO_TRACES' })
    expect(new Set(tracesOf(own).map(({ generator }) => generator))).toEqual(new Set(['self']))
    expect(server.received).toHaveLength(before)
  }, 300_000)
})

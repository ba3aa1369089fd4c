/**
 * R2Rec killed and resumed ends in the bits of the straight run: chains, masked prompting, the filter's memory, the stacked
 * adapter. The model is first taught the form by the builtin teacher, so that rollouts can be read and differ.
 */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readJsonLines } from '../../src/phases/run/files.js'
import type { InternalizeMetrics, MetricsLine } from '../../src/phases/run/run-record.js'
import {
  cli,
  linesOf,
  runArguments,
  sha256,
  signalAt,
  start,
  succeeded,
  workFolder,
  writeSettings,
  writeTaughtModel,
  writeTinyData,
} from './command-line.js'

const folder = workFolder()
const straight = join(folder.path, 'straight')
let data = ''
let model = ''
let settings = ''

const shared = {
  method: 'r2rec',
  data: { max_hist: 4, candidates: 'C8' },
  prompt: { wording: 'compact' },
  r2rec: { chains: 2, triples: 2, labels: 3, step_max_new: 24, tolerance: 2, min_tokens: 1 },
  model: { threads: 1 },
} as const

const teaching = {
  ...shared,
  r2rec: { ...shared.r2rec, ranking_share: 0.7, tolerance: 4 },
  teacher: { kind: 'builtin' },
  collect: { instances: 120, chunk: 40 },
  sft: { adapter: 'full', epochs: 8, batch: 8, lr: 3e-3, direct_mix: 0 },
} as const

const resumed = {
  ...shared,
  collect: {
    instances: 12,
    k_free: 2,
    max_new: 100,
    answer: 'constrained',
    chunk: 3,
    fill_below: 60,
    fill_to: 30,
  },
  sft: { epochs: 2, batch: 4, rank: 4, alpha: 8, lr: 1e-3, direct_mix: 0, save_every: 3 },
  rl: {
    steps: 5,
    prompts: 4,
    group: 4,
    adapter: 'stack',
    rank: 3,
    answer: 'constrained',
    max_new: 100,
    warmup: 1,
    save_every: 2,
    lr: 1e-3,
    mask_truncated: false,
    reward: { gate_fail: 0 },
  },
  eval: { instances: 6, max_new: 100, chunk: 4, controls: ['shuffled_ratings'] },
  report: { html: false },
} as const

const argumentsFor = (out: string): string[] => runArguments({ settings, model, data, out })

beforeAll(async () => {
  data = await writeTinyData(join(folder.path, 'data'))
  model = await writeTaughtModel(folder.path, teaching, data)
  settings = writeSettings(join(folder.path, 'settings.yaml'), resumed)
  await succeeded(cli(argumentsFor(straight)))
})

afterAll(() => folder.remove())

describe('an R2Rec run', () => {
  it('trains on real signal: groups differ, gradients flow, sampled equals trained', () => {
    const lines = readJsonLines<MetricsLine>(join(straight, 'metrics.jsonl')).filter(
      (line): line is InternalizeMetrics => line.phase === 'internalize',
    )
    expect(lines).toHaveLength(5)
    expect(lines.some(({ frac_reward_zero_std }) => frac_reward_zero_std < 1)).toBe(true)
    expect(lines.some(({ grad_norm }) => grad_norm > 0)).toBe(true)
    for (const { logprob_mismatch } of lines) expect(logprob_mismatch).toBe(0)
  })

  it.each([
    ['collect', 2],
    ['imitate', 4],
    ['internalize', 3],
  ] as const)('killed in %s after %i lines and resumed is the straight run', async (phase, lines) => {
    const out = join(folder.path, `kill-${phase}`)
    const killed = await signalAt(start(argumentsFor(out)), out, phase, lines, 'SIGKILL')
    expect(killed.status).toBeNull()
    const { status, stderr } = await cli(['resume', out, '--threads', '2'])
    expect(stderr).not.toMatch(/RR_/)
    expect(status).toBe(0)
    for (const name of ['traces.jsonl', 'predictions.jsonl', 'samples.jsonl'])
      expect(readFileSync(join(out, name), 'utf8'), name).toBe(readFileSync(join(straight, name), 'utf8'))
    for (const each of ['reference-adapter', 'adapter']) {
      const file = join(each, 'adapter_model.safetensors')
      expect(sha256(join(out, file)), each).toBe(sha256(join(straight, file)))
    }
    for (const each of ['imitate', 'internalize'])
      expect(linesOf(join(out, 'metrics.jsonl'), each)).toBe(linesOf(join(straight, 'metrics.jsonl'), each))
  })
})

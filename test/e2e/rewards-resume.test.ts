/**
 * A run with everything that chooses rollouts and rewards: a user's term, terms that ask frozen models and the catalogue,
 * gdpo, oversampling, a difficulty band. Killed and resumed, it ends in the bits of the straight run, and a
 * reward file that has changed meanwhile is refused.
 */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readJsonLines } from '../../src/phases/files.js'
import type { InternalizeMetrics, MetricsLine, SampleLine } from '../../src/phases/run-record.js'
import {
  cli,
  runArguments,
  sha256,
  signalAt,
  start,
  workFolder,
  writeSettings,
  writeTinyData,
  writeTinyModel,
} from './command-line.js'

const folder = workFolder()
const straight = join(folder.path, 'straight')
const reward = join(folder.path, 'mine.ts')
const source = `export const reward = { id: 'brief', weight: 0.25, score: ({ tokens }: { tokens: number }): number => -tokens / 100 }\n`
let data = ''
let model = ''
let settings = ''

const argumentsFor = (out: string): string[] => [
  ...runArguments({ preset: 're2-small-cpu', settings, model, data, out }),
  '--reward',
  reward,
]
const linesOfRun = (out: string): InternalizeMetrics[] =>
  readJsonLines<MetricsLine>(join(out, 'metrics.jsonl')).filter(
    (line): line is InternalizeMetrics => line.phase === 'internalize',
  )
const adapterOf = (out: string): string => sha256(join(out, 'adapter/adapter_model.safetensors'))

beforeAll(async () => {
  data = await writeTinyData(join(folder.path, 'data'))
  model = await writeTinyModel(join(folder.path, 'model'))
  writeFileSync(reward, source)
  settings = writeSettings(join(folder.path, 'settings.yaml'), {
    prompt: { max_words: 30 },
    collect: { regime: 'builtin', instances: 120, chunk: 60 },
    sft: { epochs: 12, batch: 8, rank: 8, alpha: 32, lr: 1e-2, direct_mix: 0, save_every: 100 },
    rl: {
      steps: 4,
      prompts: 3,
      group: 3,
      max_new: 60,
      save_every: 2,
      lr: 1e-3,
      mask_truncated: false,
      watch: 2,
      sampling: { oversample: 1.5, band: 'none', overlong: 'leave_out' },
      reward: {
        compose: 'gdpo',
        floor: 'off',
        beam_width: 4,
        weights: {
          beam: 0.5,
          suff: 0.1,
          gain_prob: 0.5,
          post: 0.5,
          latro: 0.01,
          rerank_gain: 0.2,
          rankneg: 0.2,
          pop: 0.1,
        },
      },
    },
    eval: { instances: 4, max_new: 12, chunk: 4 },
    report: { html: true },
  })
  const { status, stderr } = await cli(argumentsFor(straight))
  expect(stderr).not.toMatch(/RR_/)
  expect(status).toBe(0)
})
afterAll(() => folder.remove())

describe('the straight run', () => {
  it('records every term, the user’s too, and trains on the terms one by one', () => {
    const lines = linesOfRun(straight)
    expect(lines).toHaveLength(4)
    const ids = ['fmt', 'hit', 'brief', 'beam', 'suff', 'gain_prob', 'post', 'latro', 'rerank_gain', 'pop']
    const seen = new Set(lines.flatMap(({ reward_terms }) => Object.keys(reward_terms)))
    expect([...seen]).toEqual(expect.arrayContaining(ids))
    expect(lines.some(({ grad_norm }) => grad_norm > 0)).toBe(true)
    for (const { logprob_mismatch, truncated } of lines) {
      expect(logprob_mismatch).toBe(0)
      expect(truncated).toBeGreaterThanOrEqual(0)
    }
  })

  it('follows two prompts from before the first step to the end, in the report too', () => {
    const watched = readJsonLines<SampleLine>(join(straight, 'samples.jsonl')).filter((line) => line.watched)
    expect([...new Set(watched.map(({ instance }) => instance))]).toHaveLength(2)
    expect(watched.map(({ step }) => step)).toEqual([0, 0, 2, 2, 4, 4])
    const page = readFileSync(join(straight, 'report.html'), 'utf8')
    expect(page).toContain('The same prompts, asked again')
    expect(page).toContain('Reward terms of hits and of misses')
    expect(page).not.toContain('<script')
  })

  it('its configuration holds the hash of the reward file', () => {
    expect(readFileSync(join(straight, 'config.yaml'), 'utf8')).toContain(sha256(reward))
  })
})

describe('killed in mid-training', () => {
  it('refuses a reward file that has changed, and with the old one ends in the same bits', async () => {
    const out = join(folder.path, 'killed')
    const killed = await signalAt(start(argumentsFor(out)), out, 'internalize', 3, 'SIGKILL')
    expect(killed.status).toBeNull()
    writeFileSync(reward, source.replace('100', '10'))
    const refused = await cli(['resume', out])
    expect(refused.stderr).toMatch(/^RR_CONFIG_REWARD: .*mine\.ts is not the file the run began with/m)
    expect(refused.status).toBe(2)
    writeFileSync(reward, source)
    const { status, stderr } = await cli(['resume', out])
    expect(stderr).not.toMatch(/RR_/)
    expect(status).toBe(0)
    expect(adapterOf(out)).toBe(adapterOf(straight))
    for (const name of ['samples.jsonl', 'predictions.jsonl'])
      expect(readFileSync(join(out, name), 'utf8'), name).toBe(readFileSync(join(straight, name), 'utf8'))
  })
})

describe('a term that throws', () => {
  it('ends the run with one line that names it', async () => {
    const bad = join(folder.path, 'bad.mjs')
    writeFileSync(
      bad,
      `export const reward = { id: 'bad', score: () => { throw new Error('out of ideas') } }\n`,
    )
    const out = join(folder.path, 'bad')
    const { status, stderr } = await cli([...argumentsFor(out).slice(0, -1), bad])
    expect(stderr).toMatch(
      /^RR_CONFIG_REWARD_FAILED: the reward term bad failed at rollout 1 of .*out of ideas/m,
    )
    expect(status).toBe(2)
  })
})

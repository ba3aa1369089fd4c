/**
 * A run with everything that chooses rollouts and rewards: a user's term, terms that ask frozen models and the catalogue,
 * gdpo, oversampling, a difficulty band. Killed and resumed, it ends in the bits of the straight run, and a
 * reward file that has changed meanwhile is refused.
 */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { PassRate } from '../../src/phases/internalization/difficulty-band.js'
import { readJsonLines } from '../../src/phases/run/files.js'
import type { InternalizeMetrics, MetricsLine, SampleLine } from '../../src/phases/run/run-record.js'
import { cli, sha256, signalAt, start, workFolder, writeSettings } from './command-line.js'

const folder = workFolder()
const straight = join(folder.path, 'straight')
const reward = join(folder.path, 'mine.ts')
const source = `export const reward = { id: 'brief', weight: 0.25, score: ({ tokens }: { tokens: number }): number => -tokens / 100 }\n`
let settings = ''

const argumentsFor = (out: string): string[] => [
  'run',
  '--preset',
  're2-quickstart',
  '--config',
  settings,
  '--out',
  out,
  '--reward',
  reward,
]
const linesOfRun = (out: string): InternalizeMetrics[] =>
  readJsonLines<MetricsLine>(join(out, 'metrics.jsonl')).filter(
    (line): line is InternalizeMetrics => line.phase === 'internalize',
  )
const adapterOf = (out: string): string => sha256(join(out, 'adapter/adapter_model.safetensors'))

beforeAll(async () => {
  writeFileSync(reward, source)
  settings = writeSettings(join(folder.path, 'settings.yaml'), {
    collect: { instances: 24, k_free: 4 },
    sft: { epochs: 1, batch: 8 },
    rl: {
      steps: 4,
      prompts: 3,
      group: 3,
      save_every: 2,
      dynamic_sampling: false,
      watch: 2,
      sampling: {
        oversample: 1.5,
        overlong: 'leave_out',
        band: 'weight',
        band_samples: 3,
        band_instances: 12,
        teach: 'all',
      },
      reward: {
        compose: 'gdpo',
        scorer: 'ref',
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
    eval: { instances: 4, free: false, controls: [], chunk: 4 },
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

  it('measured the difficulty of twelve prompts once', () => {
    const rates = readJsonLines<PassRate>(join(straight, 'pass-rates.jsonl'))
    expect(rates).toHaveLength(12)
    for (const { samples, right } of rates) expect([samples, right >= 0, right <= 3]).toEqual([3, true, true])
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
    for (const name of ['samples.jsonl', 'predictions.jsonl', 'pass-rates.jsonl'])
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

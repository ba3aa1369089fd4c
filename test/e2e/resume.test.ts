/**
 * Killed and interrupted runs end in the same bits as the straight run. The model is first taught the form
 * in a few seconds, so that rollouts are well-formed often enough for policy gradients to flow.
 */

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readJsonLines } from '../../src/phases/run/files.js'
import type { InternalizeMetrics, MetricsLine } from '../../src/phases/run/run-record.js'
import { smallDisk } from '../fixtures/small-disk.js'
import {
  cli,
  finished,
  isRunning,
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
const disk = smallDisk(4)
const straight = join(folder.path, 'straight')
let data = ''
let model = ''
let settings = ''

const teaching = {
  prompt: { max_words: 30 },
  teacher: { kind: 'builtin' },
  collect: { instances: 200, chunk: 100 },
  sft: { adapter: 'full', epochs: 8, batch: 8, lr: 3e-3, direct_mix: 0 },
} as const

const resumed = {
  prompt: { max_words: 30 },
  collect: { instances: 24, k_free: 2, k_hint: 1, max_new: 32, chunk: 4, fill_to: 24 },
  sft: { epochs: 3, batch: 4, rank: 4, alpha: 8, lr: 1e-3, save_every: 3 },
  rl: {
    steps: 8,
    prompts: 4,
    group: 4,
    max_new: 96,
    warmup: 1,
    save_every: 3,
    lr: 1e-3,
    mask_truncated: false,
    minibatches: 2,
    allfail: 'add_gt',
  },
  eval: { instances: 6, max_new: 12, chunk: 4 },
  report: { html: false },
} as const

const argumentsFor = (out: string): string[] =>
  runArguments({ preset: 're2-small-cpu', settings, model, data, out })

const adapterOf = (out: string): string => sha256(join(out, 'adapter/adapter_model.safetensors'))

beforeAll(async () => {
  data = await writeTinyData(join(folder.path, 'data'))
  model = await writeTaughtModel(folder.path, teaching, data)
  settings = writeSettings(join(folder.path, 'settings.yaml'), resumed)
  await succeeded(cli(argumentsFor(straight)))
})

afterAll(() => {
  folder.remove()
  disk?.remove()
})

describe('the straight run', () => {
  it('trains on real signal: groups differ, gradients flow, sampled equals trained', () => {
    const lines = readJsonLines<MetricsLine>(join(straight, 'metrics.jsonl')).filter(
      (line): line is InternalizeMetrics => line.phase === 'internalize',
    )
    expect(lines).toHaveLength(8)
    expect(lines.some(({ frac_reward_zero_std }) => frac_reward_zero_std < 1)).toBe(true)
    expect(lines.some(({ grad_norm }) => grad_norm > 0)).toBe(true)
    for (const { logprob_mismatch } of lines) expect(logprob_mismatch).toBe(0)
    expect(adapterOf(straight)).not.toBe(
      sha256(join(straight, 'reference-adapter/adapter_model.safetensors')),
    )
  })
})

describe('kill -9, then resume', () => {
  it.each([
    ['collect', 2],
    ['imitate', 4],
    ['imitate', 13],
    ['internalize', 2],
    ['internalize', 7],
  ] as const)('in %s after %i lines', async (phase, lines) => {
    const out = join(folder.path, `kill-${phase}-${lines}`)
    const killed = await signalAt(start(argumentsFor(out)), out, phase, lines, 'SIGKILL')
    expect(killed.status).toBeNull()
    expect(existsSync(join(out, 'summary.json'))).toBe(false)
    const { status, stderr } = await cli(['resume', out])
    expect(stderr).not.toMatch(/RR_/)
    expect(status).toBe(0)
    expect(adapterOf(out)).toBe(adapterOf(straight))
    for (const name of ['traces.jsonl', 'predictions.jsonl', 'samples.jsonl']) {
      expect(readFileSync(join(out, name), 'utf8'), name).toBe(readFileSync(join(straight, name), 'utf8'))
    }
    for (const each of ['imitate', 'internalize'])
      expect(linesOf(join(out, 'metrics.jsonl'), each)).toBe(linesOf(join(straight, 'metrics.jsonl'), each))
  })
})

describe('SIGTERM and SIGINT', () => {
  it.each([
    ['imitate', 'SIGTERM', 143],
    ['internalize', 'SIGINT', 130],
  ] as const)('in %s: %s saves, names the way on and exits with %i', async (phase, signal, expected) => {
    const out = join(folder.path, `signal-${phase}`)
    const { status, stderr } = await signalAt(start(argumentsFor(out)), out, phase, 2, signal)
    expect(status).toBe(expected)
    expect(stderr).toContain(`resume with: reasonrec resume ${out}`)
    expect(
      readdirSync(join(out, 'checkpoints', phase)).filter((name) => name.startsWith('step-')).length,
    ).toBeGreaterThan(0)
    const evaluate = await cli(['evaluate', '--out', out])
    expect(evaluate.stderr).toMatch(
      new RegExp(`^RR_OUTPUT_UNFINISHED: ${phase} .*finish it first with: reasonrec resume ${out}$`, 'm'),
    )
    expect(evaluate.status).toBe(2)
    const { status: second } = await cli(['resume', out, '--threads', '1'])
    expect(second).toBe(0)
    expect(adapterOf(out)).toBe(adapterOf(straight))
  })
})

describe('a damaged checkpoint', () => {
  it('is moved aside, the one before it is used, and the result is the same', async () => {
    const out = join(folder.path, 'damaged')
    await signalAt(start(argumentsFor(out)), out, 'internalize', 7, 'SIGKILL')
    const store = join(out, 'checkpoints/internalize')
    const newest = readdirSync(store)
      .filter((name) => name.startsWith('step-'))
      .sort()
      .at(-1)!
    const file = join(store, newest, 'adapter_model.safetensors')
    const bytes = readFileSync(file)
    bytes[bytes.length - 5]! ^= 1
    writeFileSync(file, bytes)
    const { status, stderr } = await cli(['resume', out])
    expect(status).toBe(0)
    expect(stderr).toMatch(new RegExp(`checkpoint ${newest} is damaged .*another sha256`))
    expect(readdirSync(store).some((name) => name.startsWith('quarantine-'))).toBe(true)
    expect(adapterOf(out)).toBe(adapterOf(straight))
  })
})

describe.runIf(disk)('a disk that fills up in mid-training', () => {
  const room = disk!

  it('costs a checkpoint and no bit of the result', async () => {
    const out = join(room.path, 'run')
    const child = start([...argumentsFor(out), '--set', 'sft.save_every=7'])
    const end = finished(child)
    while (isRunning(child) && linesOf(join(out, 'metrics.jsonl'), 'imitate') < 2)
      await new Promise((resolve) => setTimeout(resolve, 5))
    let said = ''
    child.stderr?.on('data', (piece: Buffer) => {
      said += piece.toString()
      if (said.includes('bytes free')) room.free()
    })
    room.fill()
    const { status, stderr } = await end
    room.free()
    expect(stderr).toMatch(
      new RegExp(`(not written to ${out}.*|cannot be written .*)no space left.*0 bytes free`, 'i'),
    )
    // Where this process was too slow to make room, the run stopped, and goes on.
    if (status !== 0) {
      expect(stderr).toMatch(/^RR_OUTPUT_WRITE: /m)
      expect((await cli(['resume', out])).status).toBe(0)
    }
    expect(adapterOf(out)).toBe(adapterOf(straight))
    expect(readFileSync(join(out, 'predictions.jsonl'), 'utf8')).toBe(
      readFileSync(join(straight, 'predictions.jsonl'), 'utf8'),
    )
  })
})

describe('other settings', () => {
  it.each([
    ['a stacked adapter', ['rl.adapter=stack', 'rl.rank=3', 'rl.adv=rloo', 'rl.kl.kind=k2'], 7],
    [
      'free answers',
      ['rl.answer=free', 'rl.reward.gain_kind=post', 'rl.reward.scorer=policy', 'rl.inner=2'],
      4,
    ],
  ] as const)('%s train on signal and export one adapter', async (name, set, rank) => {
    const out = join(folder.path, name.replaceAll(' ', '-'))
    const { status, stderr } = await cli([...argumentsFor(out), ...set.flatMap((value) => ['--set', value])])
    expect(stderr).not.toMatch(/RR_/)
    expect(status).toBe(0)
    const exported = JSON.parse(readFileSync(join(out, 'adapter/adapter_config.json'), 'utf8')) as {
      r: number
    }
    expect(exported.r).toBe(rank)
    const lines = readJsonLines<MetricsLine>(join(out, 'metrics.jsonl')).filter(
      (line): line is InternalizeMetrics => line.phase === 'internalize',
    )
    expect(lines.some(({ grad_norm }) => grad_norm > 0)).toBe(true)
    for (const { logprob_mismatch } of lines) expect(logprob_mismatch).toBe(0)
  })
})

describe('a run that is going on', () => {
  it('keeps its folder to itself', async () => {
    const out = join(folder.path, 'busy')
    const child = start(argumentsFor(out))
    const busy = signalAt(child, out, 'internalize', 1, 'SIGKILL')
    while (isRunning(child) && linesOf(join(out, 'metrics.jsonl'), 'imitate') < 1)
      await new Promise((resolve) => setTimeout(resolve, 5))
    child.kill('SIGSTOP')
    const [again, resume] = await Promise.all([cli(argumentsFor(out)), cli(['resume', out])])
    child.kill('SIGCONT')
    await busy
    for (const { status, stderr } of [again, resume]) {
      expect(stderr).toMatch(/^RR_OUTPUT_IN_USE: .*process \d+/m)
      expect(status).toBe(2)
    }
  })
})

/** A disk without room: refused at the start, survived later. */

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../../../src/config/load.js'
import { loadDataset } from '../../../src/data/load.js'
import { Adapter } from '../../../src/engine/index.js'
import { CheckpointStore } from '../../../src/phases/run/checkpoint.js'
import { checkpointBytes, requireFreeSpace, runBytes } from '../../../src/phases/run/disk-space.js'
import { freeBytes, readJsonLines } from '../../../src/phases/run/files.js'
import { collectInstances } from '../../../src/phases/run/instances.js'
import { RunDirectory } from '../../../src/phases/run/run-directory.js'
import { smallDisk } from '../../fixtures/small-disk.js'
import { writeSyntheticData } from '../../fixtures/synthetic-data.js'
import { tinyModel } from '../engine/tiny-model.js'

const settings = (...set: string[]) => loadConfig({ preset: null, file: null, set, options: {} })
const disk = smallDisk(2)
afterAll(() => disk?.remove())

describe('room for a run', () => {
  it('is refused by path and bytes', () => {
    expect(() => requireFreeSpace('/tmp/no/such/folder', 2 ** 60)).toThrow(
      expect.objectContaining({
        code: 'RR_OUTPUT_DISK_FULL',
        message: expect.stringContaining('/tmp/no/such/folder'),
        details: expect.objectContaining({
          expected: expect.stringContaining(String(2 ** 60)),
          got: expect.stringMatching(/^\d+ bytes$/),
        }),
      }),
    )
    requireFreeSpace('/tmp/no/such/folder', 1)
  })

  it('counts the values of an adapter as the engine lays them out, and every weight of full training', async () => {
    const model = await tinyModel()
    for (const targets of [
      ['q_proj', 'k_proj', 'o_proj'],
      ['down_proj', 'up_proj', 'v_proj', 'gate_proj'],
    ] as const) {
      const adapter = await Adapter.create(model, { rank: 3, alpha: 6, targets }, 1n)
      const { config } = settings('sft.rank=3', `sft.targets=[${targets.join(',')}]`)
      expect(checkpointBytes(config, model)).toBe(12 * adapter.values().length)
    }
    const { config } = settings('sft.adapter=full')
    expect(checkpointBytes(config, model)).toBe(12 * model.parameters)
  })

  it('grows with what the run will write', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'reasonrec-disk-'))
    await writeSyntheticData(folder, { users: 40, items: 60, seed: 1, userSplit: true, noun: 'film' })
    const dataset = await loadDataset(folder)
    rmSync(folder, { recursive: true })
    const model = await tinyModel()
    const bytes = (...set: string[]): number => runBytes(settings(...set).config, model, dataset)
    expect(bytes()).toBeGreaterThan(2 * checkpointBytes(settings().config, model))
    expect(bytes('collect.k_free=9')).toBeGreaterThan(bytes('collect.k_free=8'))
    // Adapters without reasoning, in fp32, and two checkpoints of the one that is being trained.
    const values = checkpointBytes(settings().config, model) / 12
    const besides = (...set: string[]): number => (bytes(...set) - bytes()) / values
    expect(besides('baselines.llm=[zero_shot]')).toBe(0)
    expect(besides('baselines.llm=[sft_direct]')).toBe(2 * 12 + 4)
    expect(besides('baselines.llm=[sdpo]')).toBe(2 * 12 + 2 * 4)
    expect(besides('eval.controls=[answers_only]', 'baselines.llm=[sdpo]')).toBe(2 * 12 + 3 * 4)
    expect(bytes('sft.rank=64')).toBeGreaterThan(bytes('sft.rank=16'))
    expect(bytes('rl.adapter=stack')).toBeGreaterThanOrEqual(bytes())
    const triples = (count: number): number => bytes('method=r2rec', `r2rec.triples=${count}`)
    expect(triples(3) - triples(2)).toBe(triples(2) - triples(1))
    // Four thoughts of 120 tokens each, one line for each instance that is asked.
    expect(triples(3) - triples(2)).toBeGreaterThan(
      collectInstances(dataset, settings().config).length * 4 * 120,
    )
  })
})

const offsets = { traces: 0, metrics: 0, samples: 0, predictions: 0 }
const state = (step: number) => ({
  phase: 'imitate',
  step,
  config_hash: 'h',
  offsets,
  skipped: 0,
  versions: {},
})
/** More than a page, so that a full disk takes the first part of it. */
const long = 'x'.repeat(6000)
const sample = (step: number) =>
  ({
    phase: 'collect',
    model: 'base',
    step,
    instance: 'i',
    history: [],
    candidates: [],
    target: 't',
    reasoning: long,
    answer: 't',
    hit: true,
  }) as const
const validation = (model: string) =>
  ({ phase: 'evaluate', model, after: 'base', step: 0, hr1: 0, hr5: 0, ndcg5: 0, n: 1 }) as const

describe.runIf(disk)('a disk that is full', () => {
  const room = disk!

  it('takes metrics and samples again once there is room, every line whole; traces are an error', () => {
    const warnings: string[] = []
    const out = join(room.path, 'run')
    const run = RunDirectory.create(out, settings(), ['collect'], (text) => warnings.push(text))
    run.begin('collect')
    run.sample(sample(1))
    run.append('traces', { reasoning: long, at: 1 })
    run.commit('collect', 1)
    room.fill()
    expect(freeBytes(out)).toBe(0)
    for (const step of [2, 3]) run.sample(sample(step))
    for (const which of ['a', 'b']) run.metrics(validation(which + long))
    expect(warnings).toHaveLength(2)
    expect(warnings[0]).toMatch(/samples\.jsonl cannot be written \(ENOSPC.*; 0 bytes free\)/)
    expect(warnings[1]).toMatch(/metrics\.jsonl cannot be written/)
    expect(() => run.append('traces', { reasoning: long, at: 2 })).toThrow(
      expect.objectContaining({
        code: 'RR_OUTPUT_WRITE',
        message: expect.stringContaining(join(out, 'traces.jsonl')),
        details: expect.objectContaining({ got: expect.stringContaining('0 bytes free') }),
      }),
    )
    expect(readFileSync(join(out, 'traces.jsonl'), 'utf8')).toMatch(/"at":1}\n$/)
    room.free()
    run.sample(sample(4))
    run.metrics(validation('c'))
    run.append('traces', { at: 3 })
    run.commit('collect', 2)
    run.close()
    const read = (name: string) => readJsonLines<Record<string, unknown>>(join(out, name))
    expect(read('samples.jsonl').map(({ step }) => step)).toEqual([1, 4])
    expect(read('metrics.jsonl').map(({ model }) => model)).toEqual(['c'])
    expect(read('traces.jsonl').map(({ at }) => at)).toEqual([1, 3])
    const again = RunDirectory.open(out)
    expect(again.begin('collect').next).toBe(2)
    again.close()
  })

  it('keeps the checkpoint before, clears the part of the new one, and takes the next save', async () => {
    const warnings: string[] = []
    const folder = join(room.path, 'checkpoints')
    const store = new CheckpointStore(folder, (text) => warnings.push(text))
    const tensors = async (into: string): Promise<void> =>
      writeFileSync(join(into, 'adapter_model.safetensors'), Buffer.alloc(100_000, 1))
    expect(await store.save(state(1), tensors)).toBe(true)
    room.fill()
    expect(await store.save(state(2), tensors)).toBe(false)
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toMatch(
      new RegExp(`not written to ${folder} .*ENOSPC.*; 0 bytes free.*training goes on`),
    )
    expect(readdirSync(folder)).toEqual(['step-00000001'])
    expect(store.latest()?.state.step).toBe(1)
    room.free()
    expect(await store.save(state(3), tensors)).toBe(true)
    expect(store.latest()?.state.step).toBe(3)
  })
})

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CheckpointStore } from '../../../src/phases/run/checkpoint.js'

let folder = ''
let warnings: string[] = []
const warn = (text: string): number => warnings.push(text)
const offsets = { traces: 1, metrics: 2, samples: 3, predictions: 4 }
const state = (step: number) => ({
  phase: 'imitate',
  step,
  config_hash: 'h',
  offsets,
  skipped: 0,
  versions: {},
})
const tensors =
  (content: string) =>
  async (into: string): Promise<void> =>
    writeFileSync(join(into, 'adapter_model.safetensors'), content)

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'reasonrec-checkpoint-'))
  warnings = []
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const steps = (): string[] =>
  readdirSync(folder)
    .filter((name) => name.startsWith('step-'))
    .sort()

describe('checkpoints', () => {
  it('come back as they were saved, and two are kept', async () => {
    const store = new CheckpointStore(folder, warn)
    expect(store.latest()).toBeNull()
    for (const step of [3, 6, 9]) await store.save(state(step), tensors(`values ${step}`))
    expect(steps()).toEqual(['step-00000006', 'step-00000009'])
    const latest = new CheckpointStore(folder, warn).latest()
    expect(latest?.state).toEqual(state(9))
    expect(readFileSync(join(latest?.path ?? '', 'adapter_model.safetensors'), 'utf8')).toBe('values 9')
    expect(warnings).toEqual([])
  })

  it('replace one of the same step', async () => {
    const store = new CheckpointStore(folder, warn)
    await store.save(state(3), tensors('first'))
    await store.save(state(3), tensors('second'))
    expect(readFileSync(join(store.latest()?.path ?? '', 'adapter_model.safetensors'), 'utf8')).toBe('second')
  })

  it.each([
    [
      'a flipped bit',
      (at: string) => writeFileSync(join(at, 'adapter_model.safetensors'), 'valuEs 6'),
      /another sha256/,
    ],
    [
      'a truncated file',
      (at: string) => truncateSync(join(at, 'adapter_model.safetensors'), 3),
      /has 3 bytes instead of 8/,
    ],
    ['a lost file', (at: string) => rmSync(join(at, 'adapter_model.safetensors')), /is missing/],
    ['a lost manifest', (at: string) => rmSync(join(at, 'MANIFEST.json')), /ENOENT/],
    ['a torn manifest', (at: string) => truncateSync(join(at, 'MANIFEST.json'), 10), /JSON/],
    ['a torn state', (at: string) => truncateSync(join(at, 'state.json'), 10), /bytes instead of/],
  ])('with %s are moved aside for the one before', async (_, damage, says) => {
    const store = new CheckpointStore(folder, warn)
    await store.save(state(3), tensors('values 3'))
    await store.save(state(6), tensors('values 6'))
    damage(join(folder, 'step-00000006'))
    expect(new CheckpointStore(folder, warn).latest()?.state.step).toBe(3)
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toMatch(says)
    expect(readdirSync(folder).some((name) => name.startsWith('quarantine-step-00000006'))).toBe(true)
  })

  it('that fail leave the one before, warn, and the third failure is an error', async () => {
    const store = new CheckpointStore(folder, warn)
    await store.save(state(3), tensors('values 3'))
    const full = async (): Promise<void> => {
      throw new Error('ENOSPC: no space left on device')
    }
    await store.save(state(6), full)
    await store.save(state(9), full)
    await expect(store.save(state(12), full)).rejects.toMatchObject({ code: 'RR_OUTPUT_WRITE' })
    expect(warnings).toHaveLength(2)
    expect(warnings[0]).toMatch(/ENOSPC.*bytes free.*training goes on/)
    expect(steps()).toEqual(['step-00000003'])
    expect(store.latest()?.state.step).toBe(3)
  })

  it('that were cut off in the middle are cleared away', async () => {
    mkdirSync(join(folder, '.tmp-5-123'))
    writeFileSync(join(folder, '.tmp-5-123', 'state.json'), '{}')
    expect(new CheckpointStore(folder, warn).latest()).toBeNull()
    expect(existsSync(join(folder, '.tmp-5-123'))).toBe(false)
  })
})

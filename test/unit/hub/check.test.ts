/** model check: a whole folder passes; every kind of damage is named. */

import { createHash } from 'node:crypto'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  expectedTensors,
  inspectSafetensors,
  Model,
  type NativeModelConfig,
} from '../../../src/engine/index.js'
import { checkModel } from '../../../src/hub/check.js'
import { tinyConfig } from '../engine/tiny-model.js'

const models = fileURLToPath(new URL('../../fixtures/peft/models', import.meta.url))
let dir: string

beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'reasonrec-check-'))
  cpSync(path.join(models, 'qwen2'), dir, { recursive: true })
})
afterEach(() => rmSync(dir, { recursive: true }))

const weights = () => path.join(dir, 'model.safetensors')
const check = () => checkModel(dir, () => undefined)

/** Changes the parsed header; the tensors' bytes stay. */
function editHeader(change: (header: Record<string, { dtype: string; shape: number[] }>) => void): void {
  const bytes = readFileSync(weights())
  const length = Number(bytes.readBigUInt64LE(0))
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as Parameters<typeof change>[0]
  change(header)
  const text = Buffer.from(JSON.stringify(header))
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(BigInt(text.length))
  writeFileSync(weights(), Buffer.concat([size, text, bytes.subarray(8 + length)]))
}

describe('model check', () => {
  it('a whole folder', async () => {
    let read = 0
    const result = await checkModel(dir, (bytes) => {
      read += bytes
    })
    const bytes = readFileSync(weights())
    expect(result).toMatchObject({ ok: true, problems: [], family: 'qwen2', dtypes: { F32: 39 } })
    expect(result.parameters).toBe((await Model.open(dir)).parameters)
    expect(result.files).toEqual([
      {
        name: 'model.safetensors',
        bytes: bytes.length,
        sha256: createHash('sha256').update(bytes).digest('hex'),
        checksum: 'unknown',
      },
    ])
    expect(read).toBe(bytes.length)
  })

  it('a tensor that is missing, of another shape, and one too many', async () => {
    editHeader((header) => {
      header['model.layers.0.mlp.extra.weight'] = header['model.layers.1.mlp.up_proj.weight']!
      delete header['model.layers.1.mlp.up_proj.weight']
      header['model.layers.2.mlp.down_proj.weight']!.shape.reverse()
    })
    const { ok, problems } = await check()
    expect(ok).toBe(false)
    expect(problems).toEqual([
      'model.layers.1.mlp.up_proj.weight [12,8] is missing',
      'model.layers.2.mlp.down_proj.weight is [12,8], expected [8,12]',
      'model.layers.0.mlp.extra.weight is no tensor of a qwen2 decoder',
    ])
  })

  it.each([
    ['NaN', Number.NaN],
    ['infinity', Number.NEGATIVE_INFINITY],
  ])('%s in one value', async (_what, value) => {
    const bytes = readFileSync(weights())
    bytes.writeFloatLE(value, bytes.length - 4)
    writeFileSync(weights(), bytes)
    const { problems } = await check()
    expect(problems.length).toBe(1)
    expect(problems[0]).toContain('holds 1 values that are not finite')
  })

  it('a truncated file', async () => {
    writeFileSync(weights(), readFileSync(weights()).subarray(0, 3000))
    const { problems } = await check()
    expect(problems[0]).toContain('RR_BAD_SAFETENSORS')
  })

  it('a file in the cache whose content is not its name', async () => {
    const sha256 = createHash('sha256').update(readFileSync(weights())).digest('hex')
    const place = (name: string): string => {
      const root = mkdtempSync(path.join(dir, 'cache-'))
      const snapshot = path.join(root, 'snapshots', 'x')
      mkdirSync(snapshot, { recursive: true })
      mkdirSync(path.join(root, 'blobs'))
      cpSync(path.join(dir, 'config.json'), path.join(snapshot, 'config.json'))
      cpSync(weights(), path.join(root, 'blobs', name))
      symlinkSync(path.join('..', '..', 'blobs', name), path.join(snapshot, 'model.safetensors'))
      return snapshot
    }
    const good = await checkModel(place(sha256), () => undefined)
    expect(good).toMatchObject({ ok: true, files: [{ checksum: 'matches' }] })
    const bad = await checkModel(place('0'.repeat(64)), () => undefined)
    expect(bad).toMatchObject({ ok: false, files: [{ checksum: 'differs' }] })
  })

  it('no config.json, or no weights', async () => {
    renameSync(path.join(dir, 'config.json'), path.join(dir, 'other.json'))
    rmSync(weights())
    const { problems } = await check()
    expect(problems.map((line) => line.split(':')[0])).toEqual([
      'RR_MODEL_FILE_MISSING',
      'RR_MODEL_FILE_MISSING',
    ])
  })
})

describe('the tensors a configuration asks for', () => {
  const variants: Partial<NativeModelConfig>[] = [
    {},
    { tiedHead: false, qkvBias: true, oBias: true, mlpBias: true, qkNorm: false, family: 'llama' },
    { qkvBias: true, qkNorm: false, family: 'qwen2', headDim: 8, kvHeads: 4, intermediate: 40 },
  ]

  it.each(variants)('are those the engine writes: %j', async (changes) => {
    const config = { ...tinyConfig, ...changes }
    const file = path.join(dir, 'written.safetensors')
    await (await Model.random(config, 1n, 0.1)).save(file)
    const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1)
    const written = inspectSafetensors(file).map(({ name, shape }) => ({ name, shape }))
    expect([...expectedTensors(config)].sort(byName)).toEqual(written.sort(byName))
  })
})

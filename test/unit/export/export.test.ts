/** PEFT and merged exports: what comes out is what went in, mismatches are refused, and nothing half done is left. */

import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import {
  Adapter,
  inspectSafetensors,
  Model,
  ReasonrecError,
  sequenceLogprobs,
} from '../../../src/engine/index.js'
import { exportMerged } from '../../../src/export/merged.js'
import { exportPeft } from '../../../src/export/peft.js'
import { verifyExport } from '../../../src/export/verify.js'

const fixtures = fileURLToPath(new URL('../../fixtures', import.meta.url))
const peft = path.join(fixtures, 'peft')
const scratch = mkdtempSync(path.join(tmpdir(), 'reasonrec-export-'))
afterAll(() => rmSync(scratch, { recursive: true }))

const modelOf = (name: string) => path.join(peft, 'models', path.extname(name).slice(1))
const adapterOf = (name: string) => path.join(peft, 'made-by-peft', name)
const ids = [3, 1, 4, 15, 9, 2, 6]

async function logits(dir: string, adapter: string | null): Promise<Float32Array> {
  const model = await Model.open(dir)
  const trained = adapter === null ? null : await Adapter.load(model, adapter)
  const got = await sequenceLogprobs(model, { trained }, [ids], { logits: true })
  return got.logits![0]!
}

function furthest(a: Float32Array, b: Float32Array): number {
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0)
}

async function refusal(run: () => Promise<unknown>): Promise<ReasonrecError> {
  const error = await run().catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(ReasonrecError)
  return error as ReasonrecError
}

describe('export merged', () => {
  it.each(readdirSync(path.join(peft, 'made-by-peft')))(
    '%s: logits of base and adapter in fp32',
    async (name) => {
      const out = path.join(scratch, `merged-${name}`)
      const { verified, rounding, dtype } = await exportMerged(modelOf(name), adapterOf(name), out, null)
      expect(dtype).toBe('F32')
      expect(rounding).toBeNull()
      expect(verified.max_difference).toBeLessThan(1e-5)
      const expected = await logits(modelOf(name), adapterOf(name))
      expect(furthest(await logits(out, null), expected)).toBeLessThan(1e-5)
      expect(furthest(await logits(modelOf(name), null), expected)).toBeGreaterThan(1e-2)
    },
  )

  it('bf16 says what rounding loses, stores bf16 and names it in config.json', async () => {
    const out = path.join(scratch, 'bf16')
    const { rounding, verified } = await exportMerged(
      modelOf('list.llama'),
      adapterOf('list.llama'),
      out,
      'BF16',
    )
    expect(
      new Set(inspectSafetensors(path.join(out, 'model.safetensors')).map(({ dtype }) => dtype)),
    ).toEqual(new Set(['BF16']))
    const config = JSON.parse(readFileSync(path.join(out, 'config.json'), 'utf8')) as Record<string, unknown>
    expect(config.dtype ?? config.torch_dtype).toBe('bfloat16')
    expect(rounding!.relative_loss).toBeGreaterThan(0)
    expect(rounding!.relative_loss).toBeLessThan(0.05)
    expect(verified.max_difference).toBeGreaterThan(0)
  })

  it('a change below half a step of bf16 is counted as swallowed', async () => {
    const faint = path.join(scratch, 'faint')
    const model = await Model.open(modelOf('list.llama'))
    const adapter = await Adapter.load(model, adapterOf('list.llama'))
    adapter.setValues(adapter.values().map((value) => value * 2e-3))
    await adapter.save(faint, { baseModel: 'tiny' })
    const bf16Base = path.join(scratch, 'bf16-base')
    await exportMerged(modelOf('list.llama'), faint, bf16Base, 'BF16')
    const { rounding } = await exportMerged(bf16Base, faint, path.join(scratch, 'swallowed'), null)
    expect(rounding!.unchanged_share).toBeGreaterThan(0.9)
    expect(rounding!.relative_loss).toBeGreaterThan(0.5)
  })

  it('copies the tokenizer and keeps shards, biases and norms of a sharded folder', async () => {
    const base = path.join(scratch, 'base')
    cpSync(modelOf('list.llama'), base, { recursive: true })
    for (const name of ['tokenizer.json', 'generation_config.json', 'chat_template.jinja', 'README.md'])
      writeFileSync(path.join(base, name), '{}')
    const out = path.join(scratch, 'companions')
    await exportMerged(base, adapterOf('list.llama'), out, null)
    expect(readdirSync(out).sort()).toEqual([
      'chat_template.jinja',
      'config.json',
      'generation_config.json',
      'model.safetensors',
      'tokenizer.json',
    ])
  })

  it('an existing folder is not touched', async () => {
    const out = path.join(scratch, 'taken')
    mkdirSync(out)
    writeFileSync(path.join(out, 'mine.txt'), 'mine')
    const error = await refusal(() => exportMerged(modelOf('list.llama'), adapterOf('list.llama'), out, null))
    expect(error.code).toBe('RR_OUTPUT_EXISTS')
    expect(readdirSync(out)).toEqual(['mine.txt'])
  })

  it('a GGUF base is refused with a way out', async () => {
    const error = await refusal(() => exportMerged('base.gguf', adapterOf('list.llama'), 'never', null))
    expect(error.code).toBe('RR_EXPORT_BASE')
    expect(error.toLine()).toContain('gguf-lora')
  })

  it('a weight too large for f16 is refused and leaves nothing', async () => {
    const large = path.join(scratch, 'large')
    const model = await Model.open(modelOf('list.llama'))
    const adapter = await Adapter.load(model, adapterOf('list.llama'))
    adapter.setValues(adapter.values().map((value) => value * 1e4))
    await adapter.save(large, { baseModel: 'tiny' })
    const out = path.join(scratch, 'too-large')
    const error = await refusal(() => exportMerged(modelOf('list.llama'), large, out, 'F16'))
    expect(error.code).toBe('RR_NON_FINITE_WEIGHTS')
    expect(readdirSync(scratch).filter((name) => name.startsWith('too-large'))).toEqual([])
  })
})

describe('export peft', () => {
  it('gives the same bits in fp32', async () => {
    const out = path.join(scratch, 'peft')
    const name = 'rank-pattern.llama'
    const { verified } = await exportPeft(modelOf(name), adapterOf(name), out, 'F32', 'org/base')
    expect(verified.max_difference).toBe(0)
    const model = await Model.open(modelOf(name))
    const [before, after] = await Promise.all([adapterOf(name), out].map((dir) => Adapter.load(model, dir)))
    expect(after!.values()).toEqual(before!.values())
    expect(JSON.parse(readFileSync(path.join(out, 'adapter_config.json'), 'utf8'))).toMatchObject({
      base_model_name_or_path: 'org/base',
    })
  })

  it.each(['BF16', 'F16'] as const)('stores %s', async (type) => {
    const out = path.join(scratch, `peft-${type}`)
    const name = 'all-linear.qwen2'
    const { verified } = await exportPeft(modelOf(name), adapterOf(name), out, type, 'org/base')
    expect(inspectSafetensors(path.join(out, 'adapter_model.safetensors'))[0]?.dtype).toBe(type)
    expect(verified.max_difference).toBeLessThan(verified.adapter_effect / 10)
  })
})

describe('an export that is another model', () => {
  it('is refused with one error', async () => {
    const model = await Model.open(modelOf('list.llama'))
    const adapter = await Adapter.load(model, adapterOf('list.llama'))
    const stronger = await adapter.clone()
    stronger.setValues(adapter.values().map((value) => value * 1.001))
    const error = await refusal(() =>
      verifyExport({ model, adapter: stronger }, { model, adapter }, 'F32', 'adapter'),
    )
    expect(error.code).toBe('RR_EXPORT_MISMATCH')
    expect(existsSync(path.join(scratch, 'never'))).toBe(false)
  })
})

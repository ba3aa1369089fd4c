/**
 * GGUF files as models: weights of every type against another program's numbers, the same model in a folder and
 * in a GGUF file to the bit, metadata against @huggingface/gguf, and what is refused.
 */

import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { gguf } from '@huggingface/gguf'
import { afterAll, describe, expect, it } from 'vitest'
import {
  Adapter,
  heldWeights,
  inspectSafetensors,
  Model,
  modelTensors,
  ReasonrecError,
  readGguf,
  readModelConfig,
  sequenceLogprobs,
  weightFiles,
} from '../../../src/engine/index.js'
import { exportMerged } from '../../../src/export/merged.js'
import { checkModel } from '../../../src/hub/check.js'
import { ggufBytes, type Metadata, type TensorToWrite } from '../../fixtures/gguf-writer.js'
import { someIds, tinyConfig, tinyModel } from './tiny-model.js'

const fixtures = fileURLToPath(new URL('../../fixtures', import.meta.url))
const mixed = path.join(fixtures, 'gguf', 'mixed.gguf')
const folder = mkdtempSync(path.join(os.tmpdir(), 'reasonrec-gguf-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A safetensors file's tensors as they lie. */
function storedTensors(file: string): { name: string; dtype: string; shape: number[]; bytes: Buffer }[] {
  const all = readFileSync(file)
  const begin = 8 + Number(all.readBigUInt64LE())
  const header = JSON.parse(all.toString('utf8', 8, begin)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >
  return Object.entries(header)
    .filter(([name]) => name !== '__metadata__')
    .map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [from, to],
        },
      ]) => ({
        name,
        dtype,
        shape,
        bytes: all.subarray(begin + from, begin + to),
      }),
    )
}

const renamed: readonly (readonly [RegExp, string])[] = [
  [/^model\.embed_tokens/, 'token_embd'],
  [/^model\.norm/, 'output_norm'],
  [/^lm_head/, 'output'],
  [/^model\.layers\.(\d+)\./, 'blk.$1.'],
  [/input_layernorm/, 'attn_norm'],
  [/post_attention_layernorm/, 'ffn_norm'],
  [/self_attn\.o_proj/, 'attn_output'],
  [/self_attn\.([qk])_norm/, 'attn_$1_norm'],
  [/self_attn\.([qkv])_proj/, 'attn_$1'],
  [/mlp\.(\w+)_proj/, 'ffn_$1'],
]

/** The halves of a head take turns: the order of rows of q and k in files of the llama architecture. */
function interleaved(bytes: Buffer, rows: number, headDim: number): Buffer {
  const size = bytes.length / rows
  const half = headDim / 2
  return Buffer.concat(
    Array.from({ length: rows }, (_, row) => {
      const within = row % headDim
      const from = row - within + Math.floor(within / 2) + (within % 2) * half
      return bytes.subarray(from * size, (from + 1) * size)
    }),
  )
}

/** A folder's model as a GGUF file with the same stored bits. */
function converted(name: string, extra: Metadata = {}, also: readonly TensorToWrite[] = []): string {
  const file = path.join(folder, `${name}-${Object.keys(extra).length}.gguf`)
  const { facts, tensors } = described(name)
  writeFileSync(file, ggufBytes({ ...facts, ...extra }, [...tensors, ...also]))
  return file
}

/** The same file, and behind it three parts: the metadata with `cuts[0]` tensors, `cuts[1]` tensors, the rest. */
function inParts(name: string, cuts: readonly [number, number]): string[] {
  const { facts, tensors } = described(name)
  const lists = [
    tensors.slice(0, cuts[0]),
    tensors.slice(cuts[0], cuts[0] + cuts[1]),
    tensors.slice(cuts[0] + cuts[1]),
  ]
  const parts = lists.map((list, index) => {
    const place = { 'split.no': index, 'split.count': 3, 'split.tensors.count': tensors.length }
    const part = path.join(folder, `${name}-0000${index + 1}-of-00003.gguf`)
    writeFileSync(part, ggufBytes(index === 0 ? { ...facts, ...place } : place, list))
    return part
  })
  return [converted(name), ...parts]
}

function described(name: string): { readonly facts: Metadata; readonly tensors: readonly TensorToWrite[] } {
  const dir = path.join(fixtures, 'parity', 'models', name)
  const config = readModelConfig(dir)
  const architecture = config.family === 'mistral' ? 'llama' : config.family
  const tensors = storedTensors(path.join(dir, 'model.safetensors')).map((tensor): TensorToWrite => {
    const turned = architecture === 'llama' && /[qk]_proj/.test(tensor.name)
    return {
      name: renamed.reduce((text, [from, to]) => text.replace(from, to), tensor.name),
      shape: tensor.shape,
      type: tensor.dtype as TensorToWrite['type'],
      bytes: turned ? interleaved(tensor.bytes, tensor.shape[0]!, config.headDim) : tensor.bytes,
    }
  })
  const facts: Metadata = {
    'general.architecture': architecture,
    [`${architecture}.context_length`]: config.maxPosition,
    [`${architecture}.embedding_length`]: config.hidden,
    [`${architecture}.block_count`]: config.layers,
    [`${architecture}.feed_forward_length`]: config.intermediate,
    [`${architecture}.attention.head_count`]: config.heads,
    [`${architecture}.attention.head_count_kv`]: config.kvHeads,
    [`${architecture}.attention.key_length`]: config.headDim,
    [`${architecture}.attention.layer_norm_rms_epsilon`]: config.rmsEps,
    [`${architecture}.rope.freq_base`]: config.ropeTheta,
  }
  return { facts, tensors }
}

async function refusal(open: () => unknown): Promise<ReasonrecError> {
  try {
    await open()
  } catch (error) {
    if (error instanceof ReasonrecError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

async function logprobs(model: Model): Promise<Float32Array> {
  return (await sequenceLogprobs(model, {}, [someIds(40, model.vocab)])).logprobs[0]!
}

describe('a GGUF file', () => {
  it('of 13 types gives the fp32 values that the gguf package gives, rows of q and k in order', async () => {
    const { sha256, kinds } = JSON.parse(readFileSync(mixed.replace('.gguf', '.json'), 'utf8'))
    expect(new Set(Object.values(kinds)).size).toBe(12) // and F32, of the norms
    const model = await Model.open(mixed)
    expect(model).toMatchObject({ dtype: 'fp32', config: { family: 'llama', tiedHead: true } })
    const saved = path.join(folder, 'mixed.safetensors')
    await model.save(saved)
    const hashes = storedTensors(saved).map(({ name, bytes }) => [
      name,
      createHash('sha256').update(bytes).digest('hex'),
    ])
    expect(Object.fromEntries(hashes)).toEqual(sha256)
  })

  it.each([
    ['tiny-qwen2', {}],
    ['llama-nine-heads', {}],
    ['mistral-wide-heads', {}],
    ['llama-linear-biased', { 'llama.rope.scaling.type': 'linear', 'llama.rope.scaling.factor': 2 }],
    [
      'qwen2-yarn',
      {
        'qwen2.rope.scaling.type': 'yarn',
        'qwen2.rope.scaling.factor': 4,
        'qwen2.rope.scaling.original_context_length': 16,
      },
    ],
  ] as const)('gives the bits of the folder %s', async (name, extra) => {
    const fromFolder = await Model.open(path.join(fixtures, 'parity', 'models', name))
    const fromFile = await Model.open(converted(name, extra))
    expect(fromFile.dtype).toBe(fromFolder.dtype)
    expect({ ...fromFile.config, family: '', rmsEps: 0 }).toEqual({
      ...fromFolder.config,
      family: '',
      rmsEps: 0,
    })
    expect(await logprobs(fromFile)).toEqual(await logprobs(fromFolder))
  })

  it('in parts is the model in one file, and parts that do not belong together are refused', async () => {
    const [whole, ...parts] = inParts('tiny-qwen2', [0, 5])
    const first = parts[0]!
    expect(weightFiles(first)).toEqual(parts)
    const byName = (file: string) => modelTensors(file).sort((a, b) => (a.name < b.name ? -1 : 1))
    expect(byName(first)).toEqual(byName(whole!))
    expect(readModelConfig(first)).toEqual(readModelConfig(whole!))
    expect(await logprobs(await Model.open(first))).toEqual(await logprobs(await Model.open(whole!)))

    const [, ...others] = inParts('llama-nine-heads', [3, 2]) // rows of q and k in turns in every part
    const llama = path.join(fixtures, 'parity', 'models', 'llama-nine-heads')
    expect(await logprobs(await Model.open(others[0]!))).toEqual(await logprobs(await Model.open(llama)))

    expect((await refusal(() => Model.open(parts[1]!))).toLine()).toMatch(/expected the first part/)
    const renamed = path.join(folder, 'renamed.gguf')
    copyFileSync(first, renamed)
    expect((await refusal(() => weightFiles(renamed))).toLine()).toMatch(/00001-of-00003/)
    copyFileSync(others[1]!, parts[1]!)
    expect((await refusal(() => weightFiles(first))).toLine()).toMatch(/split.tensors.count/)
    copyFileSync(parts[2]!, parts[1]!)
    expect((await refusal(() => weightFiles(first))).toLine()).toMatch(/got 2 of 3/)
    rmSync(parts[1]!)
    expect((await refusal(() => Model.open(first))).code).toBe('RR_MODEL_NOT_FOUND')
  })

  it('of Llama 3 carries the divisors of its rotary frequencies', async () => {
    const name = 'llama-nine-heads'
    const scaling = {
      rope_type: 'llama3',
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 32,
    }
    const source = path.join(fixtures, 'parity', 'models', name)
    const dir = path.join(folder, 'llama3')
    mkdirSync(dir)
    const json = JSON.parse(readFileSync(path.join(source, 'config.json'), 'utf8'))
    writeFileSync(path.join(dir, 'config.json'), JSON.stringify({ ...json, rope_scaling: scaling }))
    copyFileSync(path.join(source, 'model.safetensors'), path.join(dir, 'model.safetensors'))
    const { headDim, ropeTheta } = readModelConfig(source)
    const divisors = Float32Array.from({ length: headDim / 2 }, (_, j) => {
      const wavelength = 2 * Math.PI * ropeTheta ** ((2 * j) / headDim)
      const { factor, low_freq_factor: low, high_freq_factor: high } = scaling
      const turns = scaling.original_max_position_embeddings / wavelength
      if (turns > high) return 1
      if (turns < low) return factor
      const keep = (turns - low) / (high - low)
      return 1 / ((1 - keep) / factor + keep)
    })
    const tensor: TensorToWrite = {
      name: 'rope_freqs.weight',
      shape: [divisors.length],
      type: 'F32',
      bytes: new Uint8Array(divisors.buffer),
    }
    const want = await logprobs(await Model.open(dir))
    const got = await logprobs(await Model.open(converted(name, { 'general.name': 'divided' }, [tensor])))
    const plain = await logprobs(await Model.open(source))
    const farthest = (a: Float32Array, b: Float32Array) =>
      a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), 0)
    // The divisors are rounded to fp32: a relative 6e-8 of angles up to 40.
    expect(farthest(got, want)).toBeLessThan(2e-5)
    expect(farthest(plain, want)).toBeGreaterThan(1e-3)
  })

  it('has the metadata that @huggingface/gguf reads', async () => {
    const { metadata, tensors } = readGguf(mixed, true)
    const other = await gguf(mixed, { allowLocalFile: true })
    for (const [name, value] of Object.entries(metadata)) {
      const wanted = other.metadata[name as keyof typeof other.metadata] as unknown
      expect(value instanceof Float64Array ? [...value] : value, name).toEqual(
        typeof wanted === 'bigint' ? Number(wanted) : wanted,
      )
    }
    expect(Object.keys(metadata)).toHaveLength(Object.keys(other.metadata).length - 3) // version and counts
    expect(tensors.map(({ name }) => name).sort()).toEqual(other.tensorInfos.map(({ name }) => name).sort())
    for (const { name, shape } of other.tensorInfos)
      expect(tensors.find((tensor) => tensor.name === name)?.shape).toEqual(shape.map(Number).reverse())
  })

  it.each([
    ['RR_UNKNOWN_ARCHITECTURE', { 'general.architecture': 'gemma3' }, 'gemma3'],
    ['RR_BAD_MODEL_CONFIG', { 'qwen2.embedding_length': 0 }, '0'],
    ['RR_BAD_MODEL_CONFIG', { 'qwen2.attention.head_count': 'four' }, 'string'],
    ['RR_BAD_MODEL_CONFIG', { 'qwen2.expert_count': 8 }, '8'],
    ['RR_BAD_MODEL_CONFIG', { 'qwen2.rope.dimension_count': 2 }, '2'],
    ['RR_BAD_MODEL_CONFIG', { 'qwen2.attention.head_count_kv': 3 }, '3 shared'],
    [
      'RR_UNSUPPORTED_ROPE',
      { 'qwen2.rope.scaling.type': 'longrope', 'qwen2.rope.scaling.factor': 2 },
      'longrope',
    ],
    ['RR_BAD_MODEL_CONFIG', { 'qwen2.rope.scaling.type': 'linear' }, 'none'],
    ['RR_MISSING_TENSOR', { 'qwen2.block_count': 9 }, 'nothing'],
    ['RR_UNEXPECTED_TENSOR', { 'qwen2.block_count': 1 }, ''],
    ['RR_SHAPE_MISMATCH', { 'qwen2.feed_forward_length': 7 }, '['],
  ] as const)('is refused with %s: %j', async (code, changes, got) => {
    const error = await refusal(() => Model.open(converted('tiny-qwen2', changes as Metadata)))
    expect(error.code).toBe(code)
    expect(error.details.got ?? '').toContain(got)
    expect(error.toLine()).not.toContain('\n')
  })

  it('that is not there, or lies in the folder that was given, is named', async () => {
    expect((await refusal(() => Model.open(path.join(folder, 'none.gguf')))).code).toBe('RR_MODEL_NOT_FOUND')
    const dir = path.join(folder, 'holds-gguf')
    mkdirSync(dir)
    copyFileSync(mixed, path.join(dir, 'mixed.gguf'))
    expect((await refusal(() => Model.open(dir))).details.remedy).toContain('mixed.gguf')
  })

  it('is named where only a folder will do', async () => {
    const adapter = path.join(fixtures, 'parity', 'lora', 'tiny-qwen2.r4-all')
    const merged = refusal(() => exportMerged(mixed, adapter, path.join(folder, 'merged'), null))
    expect((await merged).code).toBe('RR_EXPORT_BASE')
    expect((await refusal(() => checkModel(mixed, () => {}))).toLine()).toContain('model check works on')
  })

  it('holds names that JavaScript gives a meaning to', () => {
    const file = path.join(folder, 'names.gguf')
    writeFileSync(file, ggufBytes({ ['__proto__' as string]: 'x', constructor: 'y' }, []))
    const { metadata } = readGguf(file)
    expect(Object.getPrototypeOf(metadata)).toBe(Object.prototype)
    expect(Object.hasOwn(metadata, 'constructor')).toBe(true)
  })
})

describe('storage of weights', () => {
  it('of stored bf16 is bf16 by default, with the bits of fp32', async () => {
    const dir = path.join(fixtures, 'parity', 'models', 'qwen3-yarn')
    const [auto, full] = [await Model.open(dir), await Model.open(dir, { dtype: 'fp32' })]
    expect([auto.dtype, full.dtype]).toEqual(['bf16', 'fp32'])
    expect(await logprobs(auto)).toEqual(await logprobs(full))
    expect(auto.native.bytes).toBeLessThan(full.native.bytes)
  })

  it('of fp32 as bf16 rounds weights, and an adapter trains on it', async () => {
    const model = await Model.random(tinyConfig, 1n, 0.05, 'bf16')
    const adapter = await Adapter.create(model, { rank: 2, alpha: 4, targets: ['q_proj'] }, 1n)
    const [with_adapter, without, exact] = [
      (await sequenceLogprobs(model, { trained: adapter }, [someIds(40)])).logprobs[0],
      await logprobs(model),
      await logprobs(await tinyModel()),
    ]
    expect(with_adapter).toEqual(without) // B is zero
    const farthest = without.reduce((most, x, i) => Math.max(most, Math.abs(x - exact[i]!)), 0)
    // bf16 keeps 8 bits: weights are off by at most 2^-9 of themselves, log-probs of this model by about 1e-3.
    expect(farthest).toBeGreaterThan(0)
    expect(farthest).toBeLessThan(0.02)
  })

  it('takes what heldWeights says', async () => {
    for (const changes of [{}, { tiedHead: false, qkvBias: true }, { hidden: 96, intermediate: 33 }])
      for (const dtype of ['fp32', 'bf16'] as const) {
        const config = { ...tinyConfig, ...changes }
        const model = await Model.random(config, 1n, 0.05, dtype)
        const held = heldWeights(config, dtype)
        expect(Math.abs(held.weights + held.rotary - model.native.bytes)).toBeLessThan(64)
      }
  })

  it('lists the tensors of either kind of file', () => {
    const dir = path.join(fixtures, 'parity', 'models', 'tiny-qwen2')
    expect(modelTensors(dir)).toEqual(inspectSafetensors(path.join(dir, 'model.safetensors')))
    expect(modelTensors(mixed).find(({ name }) => name === 'blk.0.attn_q.weight')).toEqual({
      name: 'blk.0.attn_q.weight',
      dtype: 'Q2_K',
      shape: [32, 256],
    })
  })
})

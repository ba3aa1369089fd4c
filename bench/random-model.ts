/**
 * A model folder of a known model's shape with random weights: config.json and model.safetensors in bf16. Matrices
 * are normal with deviation 0.02, drawn from a table by a linear congruential generator, norms are 1, biases 0. A pure
 * function of the shape: what start-up and memory cost does not depend on what the weights say.
 */

import { closeSync, existsSync, mkdirSync, openSync, renameSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { expectedTensors, type NativeModelConfig, parseModelConfig, philox } from '../src/engine/index.js'

/** config.json, as transformers reads it too. */
export type ModelShape = Readonly<Record<string, unknown>>

export const qwenHalfBillion: ModelShape = {
  architectures: ['Qwen2ForCausalLM'],
  model_type: 'qwen2',
  hidden_size: 896,
  intermediate_size: 4864,
  num_hidden_layers: 24,
  num_attention_heads: 14,
  num_key_value_heads: 2,
  vocab_size: 151_936,
  max_position_embeddings: 32_768,
  rms_norm_eps: 1e-6,
  hidden_act: 'silu',
  tie_word_embeddings: true,
  rope_theta: 1e6,
  use_sliding_window: false,
  torch_dtype: 'bfloat16',
}

/** The same family, a few hundred kilobytes. */
export const tinyQwen: ModelShape = {
  ...qwenHalfBillion,
  hidden_size: 64,
  intermediate_size: 128,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 512,
  max_position_embeddings: 2048,
}

/** Writes the folder where it is not there yet. */
export function writeRandomModel(dir: string, shape: ModelShape): NativeModelConfig {
  const config = parseModelConfig(shape, join(dir, 'config.json'))
  const file = join(dir, 'model.safetensors')
  if (existsSync(file)) return config
  mkdirSync(dir, { recursive: true })
  writeFileSync(join(dir, 'config.json'), `${JSON.stringify(shape, null, 2)}\n`)
  const tensors = expectedTensors(config)
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } }
  let end = 0
  for (const { name, shape: extents } of tensors) {
    const begin = end
    end += 2 * sizeOf(extents)
    header[name] = { dtype: 'BF16', shape: extents, data_offsets: [begin, end] }
  }
  const json = JSON.stringify(header)
  const text = Buffer.from(json.padEnd(Math.ceil(json.length / 8) * 8)) // values begin at a multiple of eight
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  const draft = `${file}.draft`
  const target = openSync(draft, 'w')
  writeSync(target, length)
  writeSync(target, text)
  const values = generator()
  for (const { name, shape: extents } of tensors)
    for (let left = sizeOf(extents); left > 0; left -= pieceValues)
      writeSync(target, values(name, Math.min(left, pieceValues)))
  closeSync(target)
  renameSync(draft, file)
  return config
}

const pieceValues = 1 << 22
const tableBits = 16

function sizeOf(extents: readonly number[]): number {
  return extents.reduce((size, extent) => size * extent, 1)
}

/** bf16 values of a tensor, piece by piece. */
function generator(): (name: string, count: number) => Uint16Array {
  const table = normals(1 << tableBits)
  let state = 1
  return (name, count) => {
    const out = new Uint16Array(count)
    if (name.endsWith('norm.weight')) return out.fill(0x3f80)
    if (name.endsWith('.bias')) return out
    for (let i = 0; i < count; i++) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0
      out[i] = table[state >>> (32 - tableBits)]!
    }
    return out
  }
}

/** Box-Muller; cut to bf16. */
function normals(count: number): Uint16Array {
  const uniform = philox(1n, 0n, 0n, count)
  const values = Float32Array.from({ length: count }, (_, i) => {
    const [radius, angle] = [uniform[i & ~1]!, 2 * Math.PI * uniform[i | 1]!]
    return 0.02 * Math.sqrt(-2 * Math.log(radius)) * ((i & 1) === 0 ? Math.cos(angle) : Math.sin(angle))
  })
  return Uint16Array.from(new Uint32Array(values.buffer), (bits) => bits >>> 16)
}

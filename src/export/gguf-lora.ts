/**
 * An adapter as a GGUF file for llama.cpp and what is built on it (`--lora FILE`). Tensors are
 * `blk.L.<linear>.weight.lora_a` (r, in) and `.lora_b` (out, r); llama.cpp scales by adapter.lora.alpha / r.
 *
 * The file belongs to a base converted to GGUF, and that conversion reorders the rows of q and k of the llama
 * architecture (Llama, Mistral): per head, the two halves of a rotary pair become neighbours. lora_b's rows go the
 * same way. Qwen2 and Qwen3 keep their order. Where rank or alpha differ between linears, the scales are folded
 * into lora_b and alpha is 0, which llama.cpp takes as scale 1.
 */

import { closeSync, openSync, readSync } from 'node:fs'
import path from 'node:path'
import { GGUFValueType, gguf, serializeGgufMetadata } from '@huggingface/gguf'
import {
  Adapter,
  Model,
  type NativeLoraModule,
  type NativeModelConfig,
  ReasonrecError,
} from '../engine/index.js'
import type { Exported } from './exported.js'
import { type FloatType, fromFloat32, toFloat32 } from './floats.js'
import { updatesOf } from './merged.js'
import { intoFolder } from './staging.js'
import { writeReplacing } from './tensor-file.js'
import { verifyExport } from './verify.js'
import type { Update } from './verify-merged.js'

export const ggufFile = 'adapter.gguf'
type GgufType = 'F32' | 'F16'

const typeCodes: Readonly<Record<GgufType, number>> = { F32: 0, F16: 1 }
const alignment = 32 // bytes between tensors
const architectures = { llama: 'llama', mistral: 'llama', qwen2: 'qwen2', qwen3: 'qwen3' } as const
const linearOf: Readonly<Record<string, NativeLoraModule['linear']>> = {
  attn_q: 'q_proj',
  attn_k: 'k_proj',
  attn_v: 'v_proj',
  attn_output: 'o_proj',
  ffn_gate: 'gate_proj',
  ffn_up: 'up_proj',
  ffn_down: 'down_proj',
}
const blockOf = Object.fromEntries(Object.entries(linearOf).map(([block, linear]) => [linear, block]))

interface GgufTensor {
  readonly name: string
  readonly rows: number
  readonly cols: number
  readonly values: Float32Array
}

/** @throws RR_OUTPUT_EXISTS, RR_WRITE_FAILED, RR_EXPORT_MISMATCH, and what opening throws */
export async function exportGgufLora(
  modelDir: string,
  adapterDir: string,
  out: string,
  dtype: GgufType,
): Promise<Exported> {
  const model = await Model.open(modelDir)
  const adapter = await Adapter.load(model, adapterDir)
  return intoFolder(out, async (folder) => {
    const file = path.join(folder, ggufFile)
    const written = await writeGguf(file, model.config, adapter, dtype)
    const exported = { model, adapter: await readGgufLora(file, model) }
    const verified = await verifyExport(exported, { model, adapter }, dtype, 'adapter')
    return { kind: 'gguf-lora', dtype, files: [{ ...written, name: ggufFile }], verified, rounding: null }
  })
}

async function writeGguf(file: string, config: NativeModelConfig, adapter: Adapter, dtype: GgufType) {
  const updates = [...updatesOf(adapter)]
  const uniform = adapter.config.modules.length === 0
  const tensors = updates.flatMap(([weight, update]) => tensorsOf(weight, update, uniform, config))
  const alpha = uniform ? updates[0]![1].scale * updates[0]![1].rank : 0
  const metadata = serializeGgufMetadata(
    {
      version: { value: 3, type: GGUFValueType.UINT32 },
      tensor_count: { value: BigInt(tensors.length), type: GGUFValueType.UINT64 },
      kv_count: { value: 0n, type: GGUFValueType.UINT64 }, // counted by the writer
      'general.architecture': { value: architectures[config.family], type: GGUFValueType.STRING },
      'general.type': { value: 'adapter', type: GGUFValueType.STRING },
      'general.file_type': { value: typeCodes[dtype], type: GGUFValueType.UINT32 },
      'adapter.type': { value: 'lora', type: GGUFValueType.STRING },
      'adapter.lora.alpha': { value: alpha, type: GGUFValueType.FLOAT32 },
    } as Parameters<typeof serializeGgufMetadata>[0],
    { alignment: 1 }, // tensor infos follow directly; padding comes after them
  )
  const stored = tensors.map(({ name, values }) => fromFloat32(values, dtype, name))
  const infos = tensorInfos(tensors, stored, dtype)
  return writeReplacing(file, async (write) => {
    write(metadata)
    write(infos)
    write(padding(metadata.length + infos.length))
    for (const bytes of stored) {
      write(bytes)
      write(padding(bytes.length))
    }
  })
}

function tensorsOf(
  weight: string,
  update: Update,
  uniform: boolean,
  config: NativeModelConfig,
): GgufTensor[] {
  const [, layer, linear] = /layers\.(\d+)\.\w+\.(\w+)\.weight$/.exec(weight)!
  const { a, rank, scale } = update
  const b = uniform ? update.b : update.b.map((value) => scale * value)
  const heads = headsToReorder(linear as NativeLoraModule['linear'], config)
  const name = `blk.${layer}.${blockOf[linear!]}.weight`
  return [
    { name: `${name}.lora_a`, rows: rank, cols: a.length / rank, values: a.slice() },
    {
      name: `${name}.lora_b`,
      rows: b.length / rank,
      cols: rank,
      values: reordered(b, heads, rank, 'interleave'),
    },
  ]
}

/** Heads whose rows the conversion reorders; 0: it leaves them alone. */
function headsToReorder(linear: NativeLoraModule['linear'], config: NativeModelConfig): number {
  if (architectures[config.family] !== 'llama') return 0
  return linear === 'q_proj' ? config.heads : linear === 'k_proj' ? config.kvHeads : 0
}

/** Rows (heads, 2, d/2) <-> (heads, d/2, 2). */
function reordered(
  b: Float32Array,
  heads: number,
  cols: number,
  way: 'interleave' | 'restore',
): Float32Array {
  if (heads === 0) return b.slice()
  const result = new Float32Array(b.length)
  const half = b.length / cols / heads / 2
  for (let head = 0; head < heads; head++)
    for (let part = 0; part < 2; part++)
      for (let i = 0; i < half; i++) {
        const split = (head * 2 + part) * half + i
        const mixed = (head * half + i) * 2 + part
        const [to, from] = way === 'interleave' ? [mixed, split] : [split, mixed]
        result.set(b.subarray(from * cols, (from + 1) * cols), to * cols)
      }
  return result
}

/** Name, number of dimensions, dimensions from the innermost, type, offset, for every tensor. */
function tensorInfos(tensors: readonly GgufTensor[], stored: readonly Uint8Array[], dtype: GgufType): Buffer {
  let offset = 0
  const infos = tensors.map(({ name, rows, cols }, index) => {
    const text = Buffer.from(name)
    const info = Buffer.alloc(8 + text.length + 4 + 16 + 4 + 8)
    info.writeBigUInt64LE(BigInt(text.length), 0)
    text.copy(info, 8)
    const at = 8 + text.length
    info.writeUInt32LE(2, at)
    info.writeBigUInt64LE(BigInt(cols), at + 4)
    info.writeBigUInt64LE(BigInt(rows), at + 12)
    info.writeUInt32LE(typeCodes[dtype], at + 20)
    info.writeBigUInt64LE(BigInt(offset), at + 24)
    const bytes = stored[index]!.length
    offset += bytes + padding(bytes).length
    return info
  })
  return Buffer.concat(infos)
}

function padding(length: number): Buffer {
  return Buffer.alloc((alignment - (length % alignment)) % alignment)
}

/** The adapter in such a file, for the model it was made for. @throws RR_EXPORT_MISMATCH */
export async function readGgufLora(file: string, model: Model): Promise<Adapter> {
  const { metadata, tensorInfos: infos, tensorDataOffset } = await gguf(file, { allowLocalFile: true })
  const alpha = Number((metadata as Record<string, unknown>)['adapter.lora.alpha'])
  const values = new Map<string, Float32Array>()
  const modules: NativeLoraModule[] = []
  const descriptor = openSync(file, 'r')
  try {
    for (const { name, shape, dtype, offset } of infos) {
      const type: FloatType = dtype === typeCodes.F16 ? 'F16' : 'F32'
      const [cols, rows] = shape.map(Number) as [number, number]
      const bytes = Buffer.alloc(rows * cols * (type === 'F16' ? 2 : 4))
      const count = readSync(descriptor, bytes, 0, bytes.length, Number(tensorDataOffset) + Number(offset))
      const [, layer, block, which] = /^blk\.(\d+)\.(\w+)\.weight\.lora_([ab])$/.exec(name) ?? []
      const linear = linearOf[block ?? '']
      if (count !== bytes.length || !linear) throw unreadable(name)
      const stored = toFloat32(bytes, type)
      if (which === 'a')
        modules.push({ layer: Number(layer), linear, rank: rows, alpha: alpha === 0 ? rows : alpha })
      const heads = which === 'b' ? headsToReorder(linear, model.config) : 0
      values.set(`${layer}.${linear}.${which}`, reordered(stored, heads, cols, 'restore'))
    }
  } finally {
    closeSync(descriptor)
  }
  const first = modules[0] ?? { rank: 1, alpha: 1 }
  const targets = [...new Set(modules.map(({ linear }) => linear))]
  const adapter = await Adapter.create(model, { rank: first.rank, alpha: first.alpha, targets, modules }, 0n)
  const flat = new Float32Array(adapter.values().length)
  for (const { name, offset, rows, cols } of adapter.layout()) {
    const [, layer, linear, which] = /layers\.(\d+)\.\w+\.(\w+)\.lora_([AB])\.weight$/.exec(name)!
    const found = values.get(`${layer}.${linear}.${which!.toLowerCase()}`)
    if (found?.length !== rows * cols) throw unreadable(name)
    flat.set(found, offset)
  }
  adapter.setValues(flat)
  return adapter
}

function unreadable(name: string): ReasonrecError {
  return new ReasonrecError('RR_EXPORT_MISMATCH', 'the GGUF file, opened again, is not what was written', {
    got: name,
    remedy: 'nothing was kept; check memory and disk, and report this',
  })
}

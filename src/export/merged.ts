/**
 * Base and adapter as one ordinary model folder: W' = W + s B A in float32, then cast once. Tensors are read from
 * the base's files and written one at a time; config.json names the stored type, tokenizer and generation files
 * are copied.
 *
 * Casting loses part of what the adapter learned: changes smaller than half a step of the stored type vanish. How
 * much is measured while merging, over all adapted weights: |cast(W + D) - (W + D)| / |D| (Frobenius norms), and
 * the share of changed weights that end up at the stored base value. What was written is read again and every value
 * compared with the merge (verify-merged.ts), then logits with those of base and adapter (verify.ts).
 */

import { copyFileSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { Adapter, isGgufPath, Model, ReasonrecError, weightFiles } from '../engine/index.js'
import type { Exported } from './exported.js'
import { bytesPerElement, type FloatType, fromFloat32, toFloat32 } from './floats.js'
import { intoFolder } from './staging.js'
import {
  readTensor,
  type StoredTensor,
  sizeOf,
  storedTensors,
  type WrittenFile,
  writeTensors,
} from './tensor-file.js'
import { verifyExport } from './verify.js'
import { type Update, verifyMerged } from './verify-merged.js'

export interface Rounding {
  /** |lost| / |D|. */
  readonly relative_loss: number
  /** Share of the weights with D != 0 that are stored as if there were no adapter. */
  readonly unchanged_share: number
}

const largestShard = 5e9 // bytes, the usual bound of published folders
const torchNames: Readonly<Record<FloatType, string>> = { F32: 'float32', BF16: 'bfloat16', F16: 'float16' }
const copied =
  /^(generation_config\.json|tokenizer.*|special_tokens_map\.json|added_tokens\.json|chat_template\.(jinja|json)|vocab\.json|merges\.txt|licen[cs]e.*|notice.*)$/i

/**
 * `type` null: the type most of the base's bytes have.
 * @throws RR_OUTPUT_EXISTS, RR_WRITE_FAILED, RR_NON_FINITE_WEIGHTS, RR_EXPORT_MISMATCH, and what opening throws
 */
export async function exportMerged(
  modelDir: string,
  adapterDir: string,
  out: string,
  type: FloatType | null,
): Promise<Exported> {
  if (isGgufPath(modelDir)) {
    throw new ReasonrecError('RR_EXPORT_BASE', 'a GGUF base cannot be merged into a model folder', {
      expected: 'a folder with config.json and safetensors weights',
      got: modelDir,
      remedy: 'give --model the safetensors folder of the same model, or export gguf-lora',
    })
  }
  const model = await Model.open(modelDir)
  const adapter = await Adapter.load(model, adapterDir)
  const stored = storedTensors(weightFiles(modelDir)).filter(
    ({ name }) => !name.includes('rotary_emb.inv_freq'),
  )
  const dtype = type ?? commonType(stored)
  return intoFolder(out, async (folder) => {
    const tally = new RoundingTally()
    const updates = updatesOf(adapter)
    const files = await writeShards(folder, stored, dtype, updates, tally)
    writeConfig(modelDir, folder, dtype)
    copyCompanions(modelDir, folder)
    verifyMerged(stored, storedTensors(weightFiles(folder)), updates, floatsOf)
    const exported = { model: await Model.open(folder), adapter: null }
    const verified = await verifyExport(exported, { model, adapter }, dtype, 'weights')
    return { kind: 'merged', dtype, files, verified, rounding: tally.result() }
  })
}

/** The adapter's pairs by the name of the weight they change. */
export function updatesOf(adapter: Adapter): ReadonlyMap<string, Update> {
  const values = adapter.values()
  const layout = new Map(adapter.layout().map((parameter) => [parameter.name, parameter]))
  const { config } = adapter
  const alphas = new Map(config.modules.map(({ layer, linear, alpha }) => [`${layer}.${linear}`, alpha]))
  const updates = new Map<string, Update>()
  for (const [name, first] of layout) {
    if (!name.endsWith('.lora_A.weight')) continue
    const second = layout.get(name.replace(/lora_A\.weight$/, 'lora_B.weight'))!
    const weight = name.replace(/^base_model\.model\./, '').replace(/\.lora_A\.weight$/, '.weight')
    const [, layer, linear] = /layers\.(\d+)\.\w+\.(\w+)\.weight$/.exec(weight)!
    const rank = first.rows
    const alpha = alphas.get(`${layer}.${linear}`) ?? config.alpha
    updates.set(weight, {
      a: values.subarray(first.offset, first.offset + first.rows * first.cols),
      b: values.subarray(second.offset, second.offset + second.rows * second.cols),
      rank,
      scale: alpha / (config.rslora ? Math.sqrt(rank) : rank),
    })
  }
  return updates
}

/** W + s B A, rounded to float32 once per weight. `weight` (out, in) is changed in place. */
export function addUpdate(weight: Float32Array, { a, b, rank, scale }: Update): void {
  const columns = a.length / rank
  const row = new Float64Array(columns)
  for (let o = 0; o * columns < weight.length; o++) {
    row.fill(0)
    for (let k = 0; k < rank; k++) {
      const factor = scale * b[o * rank + k]!
      if (factor === 0) continue
      const from = k * columns
      for (let i = 0; i < columns; i++) row[i]! += factor * a[from + i]!
    }
    const to = o * columns
    for (let i = 0; i < columns; i++) weight[to + i]! += row[i]!
  }
}

class RoundingTally {
  private lost = 0
  private changed = 0
  private moved = 0
  private swallowed = 0

  add(base: Float32Array, merged: Float32Array, stored: Float32Array): void {
    for (let i = 0; i < base.length; i++) {
      const change = merged[i]! - base[i]!
      this.lost += (stored[i]! - merged[i]!) ** 2
      this.changed += change ** 2
      if (change === 0) continue
      this.moved++
      if (Math.abs(stored[i]! - base[i]!) < Math.abs(change) / 2) this.swallowed++
    }
  }

  result(): Rounding | null {
    if (this.moved === 0) return null
    return {
      relative_loss: Math.sqrt(this.lost / this.changed),
      unchanged_share: this.swallowed / this.moved,
    }
  }
}

function commonType(stored: readonly StoredTensor[]): FloatType {
  const totals = { F32: 0, BF16: 0, F16: 0 }
  for (const { dtype, begin, end } of stored) if (dtype in totals) totals[dtype as FloatType] += end - begin
  const [first = ['F32']] = Object.entries(totals).sort((x, y) => y[1] - x[1])
  return first[0] as FloatType
}

async function writeShards(
  folder: string,
  stored: readonly StoredTensor[],
  dtype: FloatType,
  updates: ReadonlyMap<string, Update>,
  tally: RoundingTally,
): Promise<WrittenFile[]> {
  const shards = partition(
    stored.map((tensor) => ({ ...tensor, dtype: isFloat(tensor.dtype) ? dtype : tensor.dtype })),
  )
  const sources = new Map(stored.map((tensor) => [tensor.name, tensor]))
  const files: WrittenFile[] = []
  const map: Record<string, string> = {}
  for (const [index, shard] of shards.entries()) {
    const number = (n: number): string => String(n).padStart(5, '0')
    const name =
      shards.length === 1
        ? 'model.safetensors'
        : `model-${number(index + 1)}-of-${number(shards.length)}.safetensors`
    for (const tensor of shard) map[tensor.name] = name
    const written = await writeTensors(path.join(folder, name), shard, (tensor) =>
      mergedBytes(sources.get(tensor.name)!, dtype, updates.get(tensor.name), tally),
    )
    files.push({ ...written, name })
  }
  if (shards.length > 1) {
    const total_size = files.reduce((sum, { bytes }) => sum + bytes, 0)
    const index = { metadata: { total_size }, weight_map: map }
    writeFileSync(path.join(folder, 'model.safetensors.index.json'), `${JSON.stringify(index, null, 2)}\n`)
  }
  return files
}

function mergedBytes(
  source: StoredTensor,
  dtype: FloatType,
  update: Update | undefined,
  tally: RoundingTally,
): Uint8Array {
  const bytes = readTensor(source)
  if (!isFloat(source.dtype) || (source.dtype === dtype && !update)) return bytes
  const values = floatsOf(source, bytes)
  if (!update) return fromFloat32(values, dtype, source.name)
  const base = values.slice()
  addUpdate(values, update)
  const stored = fromFloat32(values, dtype, source.name)
  if (dtype !== 'F32') tally.add(base, values, toFloat32(stored, dtype))
  return stored
}

function isFloat(dtype: string): boolean {
  return dtype in bytesPerElement || dtype === 'F64'
}

function floatsOf({ dtype }: StoredTensor, bytes: Uint8Array): Float32Array {
  if (dtype !== 'F64') return toFloat32(bytes, dtype as FloatType)
  return Float32Array.from(new Float64Array(new Uint8Array(bytes).buffer))
}

/** In order, each shard at most largestShard bytes unless one tensor alone is larger. */
function partition<T extends { readonly dtype: string; readonly shape: readonly number[] }>(
  tensors: readonly T[],
): T[][] {
  const shards: T[][] = [[]]
  let total = 0
  for (const tensor of tensors) {
    const bytes = sizeOf(tensor.dtype, tensor.shape)
    if (total + bytes > largestShard && total > 0) {
      shards.push([])
      total = 0
    }
    shards.at(-1)!.push(tensor)
    total += bytes
  }
  return shards
}

function writeConfig(from: string, to: string, dtype: FloatType): void {
  const config = JSON.parse(readFileSync(path.join(from, 'config.json'), 'utf8')) as Record<string, unknown>
  if ('dtype' in config) config.dtype = torchNames[dtype]
  if ('torch_dtype' in config || !('dtype' in config)) config.torch_dtype = torchNames[dtype]
  writeFileSync(path.join(to, 'config.json'), `${JSON.stringify(config, null, 2)}\n`)
}

function copyCompanions(from: string, to: string): void {
  for (const name of readdirSync(from))
    if (copied.test(name) && statSync(path.join(from, name)).isFile())
      copyFileSync(path.join(from, name), path.join(to, name))
}

/**
 * The model that cases measure with: random weights in the shape of Qwen2.5-0.5B (or a tiny one), as a folder that peers
 * open too, token ids that both sides make the same way, and a LoRA adapter whose B is not zero.
 */

import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Adapter, Model, type NativeModelConfig, philox } from '../src/engine/index.js'
import type { Size } from './contract.js'
import { type ModelShape, qwenHalfBillion, tinyQwen, writeRandomModel } from './random-model.js'

export type Stored = 'fp32' | 'bf16'

export interface Subject {
  readonly dir: string
  readonly config: NativeModelConfig
  /** Opened once per type and process. */
  model(dtype: Stored): Promise<Model>
  /** Rank 16 on every linear; each call a fresh copy of the same values. */
  adapter(model: Model): Promise<Adapter>
  /** Its PEFT folder. */
  adapterFolder(): Promise<string>
  /** `count` ids, others for another `text`. */
  ids(count: number, text?: number): number[]
}

const shapes: Readonly<Record<Size, readonly [string, ModelShape]>> = {
  tiny: ['reasonrec-tiny-qwen2-random', tinyQwen],
  quick: ['reasonrec-qwen2.5-0.5b-random', qwenHalfBillion],
  full: ['reasonrec-qwen2.5-0.5b-random', qwenHalfBillion],
}

export const loraConfig = {
  rank: 16,
  alpha: 32,
  targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
} as const

let bf16Products: Stored = 'bf16'

/** How products with bf16 weights are computed: in bf16 as peers do (model.compute: bf16), or in fp32 as the engine does by default. */
export function setProducts(type: Stored): void {
  bf16Products = type
}

export function computeOf(dtype: Stored): Stored {
  return dtype === 'bf16' ? bf16Products : 'fp32'
}

const opened = new Map<string, Promise<Model>>()

export function subjectOf(size: Size): Subject {
  const [name, shape] = shapes[size]
  const dir = join(tmpdir(), name)
  const config = writeRandomModel(dir, shape)
  const model = (dtype: Stored): Promise<Model> => {
    const key = `${dir} ${dtype}`
    const found = opened.get(key) ?? Model.open(dir, { dtype, compute: computeOf(dtype) })
    opened.set(key, found)
    return found
  }
  return {
    dir,
    config,
    model,
    adapter: adapterOf,
    adapterFolder: async () => {
      const folder = `${dir}-lora`
      if (!existsSync(join(folder, 'adapter_config.json')))
        await (await adapterOf(await model('bf16'))).save(folder, { baseModel: dir })
      return folder
    },
    ids: (count, text = 0) =>
      Array.from({ length: count }, (_, i) => ((i + 1000 * text) * 7919 + 13 + 31 * text) % config.vocab),
  }
}

/** B is a tenth of what would double the weights' deviation: small, but its gradient and A's are both there. */
const deviationOfB = 0.002

async function adapterOf(model: Model): Promise<Adapter> {
  const adapter = await Adapter.create(model, loraConfig, 1n)
  const values = adapter.values()
  for (const { name, offset, rows, cols } of adapter.layout())
    if (name.includes('lora_B')) {
      const draws = philox(2n, BigInt(offset), 0n, rows * cols)
      for (let i = 0; i < rows * cols; i++)
        values[offset + i] = deviationOfB * Math.sqrt(12) * (draws[i]! - 0.5)
    }
  adapter.setValues(values)
  return adapter
}

/** Sum of squares of all gradients, its root. */
export function normOf(values: Float32Array): number {
  let sum = 0
  for (const value of values) sum += value * value
  return Math.sqrt(sum)
}

/**
 * How much memory a model takes, told from its configuration before anything is loaded. Exact for what
 * native/model holds: panels are padded to whole panels of columns, an untied embedding is held as rows beside
 * the head, vectors and rotary tables are fp32. Activations of training and scratch memory are not in it.
 */

import { engineInfo } from './load.js'
import { expectedTensors } from './model-tensors.js'
import type { NativeModelConfig } from './native.js'

export interface MemoryQuestion {
  readonly config: NativeModelConfig
  readonly dtype: 'fp32' | 'bf16'
  /** Transposed panels are held too, as any training needs them. */
  readonly training: boolean
  /** A low-rank adapter on all seven linears that is being trained; 0: none. */
  readonly rank: number
  /** Sequences decoded together. */
  readonly rows: number
  /** Keys in all of one sequence; the part before `shared` is held once for all rows. */
  readonly tokens: number
  readonly shared: number
}

/** Bytes. */
export interface MemoryPlan {
  readonly weights: number
  /** Transposed weights for the backward pass. */
  readonly transposed: number
  readonly rotary: number
  /** Adapter: values, gradients, two moments, and its panels in both directions. */
  readonly adapter: number
  readonly cache_per_token: number
  readonly cache: number
  readonly total: number
}

const mostRotaryPositions = 131_072
const float = 4

export function planMemory(question: MemoryQuestion): MemoryPlan {
  const { config, dtype, training, rank, rows, tokens, shared } = question
  const { panel } = engineInfo()
  const size = dtype === 'bf16' ? 2 : float
  const whole = (n: number, step: number) => Math.ceil(n / step) * step
  /** Values of a matrix (k, n) in panels; each begins at a whole 32 values. */
  const packed = (k: number, n: number) => whole(whole(n, panel) * k, 32)
  const tensors = expectedTensors(config)
  const vectors = tensors.reduce((sum, { shape }) => sum + (shape.length === 1 ? (shape[0] as number) : 0), 0)
  const linears = tensors.flatMap(({ name, shape: [out, inputs] }) =>
    inputs !== undefined && name.startsWith('model.layers.') ? [{ out: out as number, inputs }] : [],
  )
  const matrices = [...linears, { out: config.vocab, inputs: config.hidden }]
  const table = config.tiedHead ? 0 : config.vocab * config.hidden * size
  const forward = matrices.reduce((sum, { out, inputs }) => sum + packed(inputs, out), 0)
  const backward = matrices.reduce((sum, { out, inputs }) => sum + packed(out, inputs), 0)
  const weights = forward * size + table + vectors * float
  const transposed = training ? backward * size : 0
  const rotary = Math.min(config.maxPosition, mostRotaryPositions) * config.headDim * float
  const adapter =
    rank === 0
      ? 0
      : linears.reduce((sum, { out, inputs }) => sum + adapterFloats(out, inputs, rank, panel), 0)
  const keys = config.layers * config.kvHeads * (config.headDim + whole(config.headDim, panel)) * float
  const own = Math.max(0, tokens - shared)
  const cache = keys * ((shared > 0 ? whole(shared, panel) : 0) + rows * whole(own, panel))
  return {
    weights,
    transposed,
    rotary,
    adapter: adapter * float,
    cache_per_token: keys,
    cache,
    total: weights + transposed + rotary + adapter * float + cache,
  }
}

/** Values, gradient and two moments; A and B packed for both directions. */
function adapterFloats(out: number, inputs: number, rank: number, panel: number): number {
  const whole = (n: number) => Math.ceil(n / panel) * panel
  const panels = whole(rank) * inputs + whole(inputs) * rank + whole(out) * rank + whole(rank) * out
  return 4 * rank * (inputs + out) + panels
}

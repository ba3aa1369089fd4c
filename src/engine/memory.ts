/**
 * What a model and its adapters hold for as long as they are open, told from the configuration before anything is
 * loaded. Exact for native/model: panels are padded to whole panels of columns, an untied embedding is held as rows
 * beside the head, vectors and rotary tables are fp32. Numbers of values or bytes; memory-plan.ts adds what a step
 * takes on top.
 */

import { engineInfo } from './load.js'
import { expectedTensors } from './model-tensors.js'
import type { NativeModelConfig } from './native.js'

export const float = 4
const mostRotaryPositions = 131_072

export function whole(n: number, step: number): number {
  return Math.ceil(n / step) * step
}

interface Matrix {
  readonly out: number
  readonly inputs: number
}

/** The linears of all layers that an adapter may be on, (out, in). */
export function linearsOf(config: NativeModelConfig): Matrix[] {
  return expectedTensors(config).flatMap(({ name, shape: [out, inputs] }) =>
    inputs !== undefined && name.startsWith('model.layers.') ? [{ out: out as number, inputs }] : [],
  )
}

/** Bytes. */
export interface HeldWeights {
  /** Matrices in panels, an untied table as rows, vectors. */
  readonly weights: number
  /** The matrices once more, transposed for the backward pass. */
  readonly transposed: number
  readonly rotary: number
}

export function heldWeights(config: NativeModelConfig, dtype: 'fp32' | 'bf16'): HeldWeights {
  const { panel } = engineInfo()
  const half = dtype === 'bf16'
  const size = half ? 2 : float
  /** Values of a matrix (k, n) in panels, rows of bf16 in pairs; each begins at a whole 32 values. */
  const packed = (k: number, n: number) => whole(whole(n, panel) * whole(k, half ? 2 : 1), 32)
  const matrices = [...linearsOf(config), { out: config.vocab, inputs: config.hidden }]
  const table = config.tiedHead ? 0 : config.vocab * config.hidden * size
  const forward = matrices.reduce((sum, { out, inputs }) => sum + packed(inputs, out), 0)
  const backward = matrices.reduce((sum, { out, inputs }) => sum + packed(out, inputs), 0)
  return {
    weights: forward * size + table + vectorValues(config) * float,
    transposed: backward * size,
    rotary: Math.min(config.maxPosition, mostRotaryPositions) * config.headDim * float,
  }
}

function vectorValues(config: NativeModelConfig): number {
  return expectedTensors(config).reduce(
    (sum, { shape }) => sum + (shape.length === 1 ? (shape[0] as number) : 0),
    0,
  )
}

/** Weights of the model: what a full-parameter master holds. */
export function parameterCount(config: NativeModelConfig): number {
  return expectedTensors(config).reduce(
    (sum, { shape }) => sum + shape.reduce((size, extent) => size * extent, 1),
    0,
  )
}

/** The matrix with most values: what packing the transposed panels widens at a time. */
export function largestMatrix(config: NativeModelConfig): number {
  return expectedTensors(config).reduce(
    (most, { shape }) => Math.max(most, shape.length === 2 ? (shape[0] as number) * (shape[1] as number) : 0),
    0,
  )
}

/** Bytes of an adapter of one rank on all linears: its values, and A and B in panels for both directions. */
export function heldAdapter(
  config: NativeModelConfig,
  rank: number,
): { readonly values: number; readonly panels: number } {
  const { panel } = engineInfo()
  const half = config.compute === 'bf16'
  const packed = (k: number, n: number) => whole(n, panel) * whole(k, half ? 2 : 1)
  let [values, panels] = [0, 0]
  for (const { out, inputs } of linearsOf(config)) {
    values += rank * (inputs + out)
    panels += packed(inputs, rank) + packed(rank, inputs) + packed(rank, out) + packed(out, rank)
  }
  return rank === 0
    ? { values: 0, panels: 0 }
    : { values: values * float, panels: panels * (half ? 2 : float) }
}

/** Bytes that the keys and values of one token take in one layer. */
export function cachePerToken({ kvHeads, headDim }: NativeModelConfig): number {
  return kvHeads * (headDim + whole(headDim, engineInfo().panel)) * float
}

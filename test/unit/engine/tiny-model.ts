/** A decoder of a few hundred kB with random weights, for tests of the machinery round it. */

import { Model, type NativeModelConfig } from '../../../src/engine/index.js'

export const tinyConfig: NativeModelConfig = {
  family: 'qwen3',
  hidden: 64,
  intermediate: 96,
  layers: 2,
  vocab: 300,
  maxPosition: 2048,
  heads: 4,
  kvHeads: 2,
  headDim: 16,
  rmsEps: 1e-6,
  ropeTheta: 10000,
  ropeScaling: { kind: 'none' },
  tiedHead: true,
  qkvBias: false,
  oBias: false,
  mlpBias: false,
  qkNorm: true,
}

export function tinyModel(changes: Partial<NativeModelConfig> = {}): Promise<Model> {
  return Model.random({ ...tinyConfig, ...changes }, 1n, 0.05)
}

/** Token ids that repeat no pattern. */
export function someIds(count: number, vocab = tinyConfig.vocab): Int32Array {
  return Int32Array.from({ length: count }, (_, i) => (i * 7919 + 13) % vocab)
}

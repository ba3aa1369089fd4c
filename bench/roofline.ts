/**
 * What a piece of work takes at least, from its shapes and the machine's ceilings. N: weights of the decoder layers and
 * of the head that a token is multiplied by; a multiply-add is two operations.
 *
 *   forward of a token        2 N_body, and 2 N_head where its logits are wanted
 *   causal attention          2 n_h d L per pair of a token and a key it sees, twice (scores and values)
 *   LoRA training of a token  4 N_body (forward, and the gradient of the input; no gradient of the frozen weights)
 *                             and 6 N_head on tokens that carry loss (forward, once more, and the gradient)
 *   a decoding step           the weights are read once (2 bytes each in bf16), keys and values of every row, a shared
 *                             prompt once
 *
 * Rates of products are those of bf16 pairs where the machine has them and the weights are bf16, else of fp32.
 */

import type { NativeModelConfig } from '../src/engine/index.js'
import type { Ceilings } from './contract.js'

export interface Counts {
  /** Weights of the layers' matrices, and of the head. */
  readonly body: number
  readonly head: number
  /** Bytes of keys and values of a token, in bf16. */
  readonly cache: number
}

export function countsOf(config: NativeModelConfig): Counts {
  const { hidden, intermediate, layers, vocab, heads, kvHeads, headDim } = config
  const attention = 2 * hidden * heads * headDim + 2 * hidden * kvHeads * headDim
  return {
    body: layers * (attention + 3 * hidden * intermediate),
    head: hidden * vocab,
    cache: 2 * layers * kvHeads * headDim * 2,
  }
}

/** Operations of the attention of `rows` tokens that see `before` keys each and one another causally. */
export function attentionOperations(config: NativeModelConfig, rows: number, before: number): number {
  const pairs = rows * before + (rows * (rows + 1)) / 2
  return 4 * pairs * config.heads * config.headDim * config.layers
}

export function operationsPerSecond(ceilings: Ceilings, dtype: 'fp32' | 'bf16'): number {
  return dtype === 'bf16' && ceilings.bf16 > 0 ? ceilings.bf16 : ceilings.fp32
}

/** Seconds of a forward over `rows` tokens after `before`, `logits` of them with logits. */
export function prefillOperations(config: NativeModelConfig, rows: number, before: number, logits: number) {
  const { body, head } = countsOf(config)
  return {
    layers: 2 * body * rows,
    attention: attentionOperations(config, rows, before),
    head: 2 * head * logits,
  }
}

/** A LoRA training pass over sequences or a shared tree: `rows` tokens, `trained` of them with loss. */
export function trainingOperations(
  config: NativeModelConfig,
  rows: number,
  trained: number,
  attention: number,
) {
  const { body, head } = countsOf(config)
  // Attention: forward, and a backward of 2.5 times that.
  return { layers: 4 * body * rows, attention: 3.5 * attention, head: 6 * head * trained }
}

export function sumOf(parts: Readonly<Record<string, number>>): number {
  return Object.values(parts).reduce((sum, value) => sum + value, 0)
}

/** Seconds of one decoding step of `rows` rows, `prompts` different prompts of `prompt` tokens, `own` tokens each so far. */
export function decodeSeconds(
  config: NativeModelConfig,
  ceilings: Ceilings,
  {
    rows,
    prompts,
    prompt,
    own,
    dtype = 'bf16',
  }: {
    readonly rows: number
    readonly prompts: number
    readonly prompt: number
    readonly own: number
    readonly dtype?: 'fp32' | 'bf16'
  },
): number {
  const { body, head, cache } = countsOf(config)
  const bytes = (dtype === 'bf16' ? 2 : 4) * (body + head) + (prompts * prompt + rows * own) * cache
  const attention = 4 * rows * (prompt + own) * config.heads * config.headDim * config.layers
  const operations = 2 * (body + head) * rows + attention
  return Math.max(bytes / ceilings.read, operations / operationsPerSecond(ceilings, dtype))
}

/** Names and shapes of a decoder's weights, as native/model/weights.cpp lays them out: what a model folder must hold. */

import { linearNames } from './module-patterns.js'
import type { LinearName, NativeModelConfig } from './native.js'

export interface ExpectedTensor {
  readonly name: string
  readonly shape: readonly number[]
}

/** In checkpoint order. A tied head has no tensor of its own. */
export function expectedTensors(config: NativeModelConfig): ExpectedTensor[] {
  const { hidden, vocab, layers, headDim } = config
  const tensors: ExpectedTensor[] = [{ name: 'model.embed_tokens.weight', shape: [vocab, hidden] }]
  for (let layer = 0; layer < layers; layer++) {
    const prefix = `model.layers.${layer}.`
    for (const linear of linearNames) {
      const name = `${prefix}${isAttention(linear) ? 'self_attn' : 'mlp'}.${linear}`
      const [out, inputs] = linearShape(linear, config)
      tensors.push({ name: `${name}.weight`, shape: [out, inputs] })
      if (hasBias(linear, config)) tensors.push({ name: `${name}.bias`, shape: [out] })
    }
    if (config.qkNorm)
      for (const norm of ['q_norm', 'k_norm'])
        tensors.push({ name: `${prefix}self_attn.${norm}.weight`, shape: [headDim] })
    for (const norm of ['input_layernorm', 'post_attention_layernorm'])
      tensors.push({ name: `${prefix}${norm}.weight`, shape: [hidden] })
  }
  tensors.push({ name: 'model.norm.weight', shape: [hidden] })
  if (!config.tiedHead) tensors.push({ name: 'lm_head.weight', shape: [vocab, hidden] })
  return tensors
}

/** Tensors that some folders hold beside these and that nothing reads. */
export function isHarmless(name: string, config: NativeModelConfig): boolean {
  return name.includes('rotary_emb.inv_freq') || (config.tiedHead && name === 'lm_head.weight')
}

/** (out, in). */
export function linearShape(linear: LinearName, config: NativeModelConfig): readonly [number, number] {
  const { hidden, intermediate, heads, kvHeads, headDim } = config
  switch (linear) {
    case 'q_proj':
      return [heads * headDim, hidden]
    case 'k_proj':
    case 'v_proj':
      return [kvHeads * headDim, hidden]
    case 'o_proj':
      return [hidden, heads * headDim]
    case 'down_proj':
      return [hidden, intermediate]
    default:
      return [intermediate, hidden]
  }
}

function hasBias(linear: LinearName, config: NativeModelConfig): boolean {
  if (linear === 'o_proj') return config.oBias
  return isAttention(linear) ? config.qkvBias : config.mlpBias
}

function isAttention(linear: LinearName): boolean {
  return linear === 'q_proj' || linear === 'k_proj' || linear === 'v_proj' || linear === 'o_proj'
}

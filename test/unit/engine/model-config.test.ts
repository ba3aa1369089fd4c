import { describe, expect, it } from 'vitest'
import { parseModelConfig, ReasonrecError } from '../../../src/engine/index.js'

const llama = {
  model_type: 'llama',
  architectures: ['LlamaForCausalLM'],
  hidden_size: 64,
  intermediate_size: 172,
  num_hidden_layers: 5,
  num_attention_heads: 8,
  num_key_value_heads: 4,
  vocab_size: 512,
  max_position_embeddings: 512,
  rms_norm_eps: 1e-5,
  hidden_act: 'silu',
  tie_word_embeddings: true,
}

const parse = (changes: Record<string, unknown>) => parseModelConfig({ ...llama, ...changes }, 'config.json')

function refusal(changes: Record<string, unknown>): ReasonrecError {
  try {
    parse(changes)
  } catch (error) {
    if (error instanceof ReasonrecError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

describe('parseModelConfig', () => {
  it('reads a Llama with the library defaults filled in', () => {
    expect(parse({})).toEqual({
      family: 'llama',
      hidden: 64,
      intermediate: 172,
      layers: 5,
      vocab: 512,
      maxPosition: 512,
      heads: 8,
      kvHeads: 4,
      headDim: 8,
      rmsEps: 1e-5,
      ropeTheta: 10000,
      ropeScaling: { kind: 'none' },
      tiedHead: true,
      qkvBias: false,
      oBias: false,
      mlpBias: false,
      qkNorm: false,
    })
  })

  it.each([
    ['rope_theta', { rope_theta: 5e5 }],
    ['rope_parameters', { rope_parameters: { rope_type: 'default', rope_theta: 5e5 } }],
  ])('reads the rotary base from %s', (_, changes) => {
    expect(parse(changes).ropeTheta).toBe(5e5)
  })

  it('reads both spellings of llama3 scaling alike', () => {
    const scaling = {
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 32,
    }
    const old = parse({ rope_theta: 5e5, rope_scaling: { rope_type: 'llama3', ...scaling } })
    expect(old.ropeScaling).toEqual({
      kind: 'llama3',
      factor: 8,
      lowFreqFactor: 1,
      highFreqFactor: 4,
      originalMaxPosition: 32,
    })
    expect(parse({ rope_parameters: { rope_type: 'llama3', rope_theta: 5e5, ...scaling } })).toEqual(old)
    expect(parse({ rope_scaling: { type: 'linear', factor: 2 } }).ropeScaling).toEqual({
      kind: 'linear',
      factor: 2,
    })
  })

  it('gives each family its own biases and norms', () => {
    expect(parse({ model_type: 'qwen2' })).toMatchObject({ qkvBias: true, oBias: false, qkNorm: false })
    expect(parse({ model_type: 'qwen3', head_dim: 16 })).toMatchObject({
      qkvBias: false,
      qkNorm: true,
      headDim: 16,
    })
    expect(parse({ model_type: 'qwen3', attention_bias: true })).toMatchObject({ qkvBias: true, oBias: true })
    expect(parse({ attention_bias: true, mlp_bias: true })).toMatchObject({
      qkvBias: true,
      oBias: true,
      mlpBias: true,
    })
    expect(parse({ model_type: 'mistral', attention_bias: true })).toMatchObject({
      qkvBias: false,
      oBias: false,
    })
  })

  it('offers a Mistral with a window as many positions as the window has', () => {
    expect(parse({ model_type: 'mistral', sliding_window: 128 }).maxPosition).toBe(128)
    expect(parse({ model_type: 'mistral', sliding_window: null }).maxPosition).toBe(512)
    expect(parse({ model_type: 'qwen2', sliding_window: 128, use_sliding_window: false }).maxPosition).toBe(
      512,
    )
  })

  it('reads yarn with the defaults of its paper, or what is written', () => {
    const plain = { kind: 'yarn', factor: 4, betaFast: 32, betaSlow: 1, truncate: true }
    const attentionFactor = 0.1 * Math.log(4) + 1
    expect(parse({ rope_scaling: { type: 'yarn', factor: 4 } }).ropeScaling).toEqual({
      ...plain,
      originalMaxPosition: 512,
      attentionFactor,
    })
    const written = {
      rope_type: 'yarn',
      factor: 4,
      original_max_position_embeddings: 128,
      beta_fast: 16,
      beta_slow: 2,
      truncate: false,
    }
    const scaling = { ...plain, originalMaxPosition: 128, betaFast: 16, betaSlow: 2, truncate: false }
    expect(parse({ rope_parameters: { ...written, rope_theta: 1e6 } }).ropeScaling).toEqual({
      ...scaling,
      attentionFactor,
    })
    expect(parse({ rope_scaling: { ...written, attention_factor: 1.5 } }).ropeScaling).toEqual({
      ...scaling,
      attentionFactor: 1.5,
    })
    expect(parse({ rope_scaling: { ...written, mscale: 2, mscale_all_dim: 1 } }).ropeScaling).toEqual({
      ...scaling,
      attentionFactor: (0.2 * Math.log(4) + 1) / attentionFactor,
    })
  })

  it.each([
    ['RR_UNKNOWN_ARCHITECTURE', { model_type: 'gemma2', architectures: ['Gemma2ForCausalLM'] }, 'gemma2'],
    ['RR_UNKNOWN_ARCHITECTURE', { model_type: undefined }, 'no model_type'],
    ['RR_UNSUPPORTED_ROPE', { rope_scaling: { rope_type: 'dynamic', factor: 4 } }, 'dynamic'],
    ['RR_BAD_MODEL_CONFIG', { rope_scaling: { rope_type: 'yarn' } }, 'nothing'],
    ['RR_UNSUPPORTED_ROPE', { partial_rotary_factor: 0.5 }, '0.5'],
    ['RR_BAD_MODEL_CONFIG', { rope_scaling: { rope_type: 'linear' } }, 'nothing'],
    ['RR_QUANTISED_MODEL', { quantization_config: { quant_method: 'gptq' } }, 'gptq'],
    ['RR_UNSUPPORTED_ACTIVATION', { hidden_act: 'gelu' }, 'gelu'],
    ['RR_SLIDING_WINDOW', { model_type: 'qwen2', use_sliding_window: true, sliding_window: 128 }, '128'],
    ['RR_BAD_MODEL_CONFIG', { num_attention_heads: 7 }, 'heads 7'],
    ['RR_BAD_MODEL_CONFIG', { hidden_size: -64 }, 'hidden_size'],
    ['RR_BAD_MODEL_CONFIG', { vocab_size: '512' }, 'vocab_size'],
  ])('refuses with %s: %j', (code, changes, named) => {
    const error = refusal(changes)
    expect(error.code).toBe(code)
    expect(error.details.got).toContain(named)
    expect(error.toLine()).not.toContain('\n')
  })

  it('names what is supported', () => {
    expect(refusal({ model_type: 'phi3' }).toLine()).toMatch(/llama, mistral, qwen2, qwen3/)
  })
})

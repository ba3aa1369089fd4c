/**
 * config.json of a Hugging Face folder -> NativeModelConfig. Families: Llama, Mistral, Qwen2/2.5, Qwen3.
 * Both ways of writing RoPE are read: `rope_parameters` (transformers 5) and `rope_theta` + `rope_scaling`.
 * What the engine would compute wrongly is refused by name, never ignored: other RoPE types, quantised
 * weights, other activations, sliding windows of some layers only.
 */

import { z } from 'zod'
import { ReasonrecError } from './errors.js'
import type { NativeModelConfig } from './native.js'

export const supportedFamilies = ['llama', 'mistral', 'qwen2', 'qwen3'] as const
type Family = (typeof supportedFamilies)[number]

const count = z
  .number()
  .int()
  .positive()
  .max(2 ** 31 - 1)
const positive = z.number().positive()

const ropeSchema = z.looseObject({
  rope_type: z.string().nullish(),
  type: z.string().nullish(),
  rope_theta: positive.nullish(),
  factor: positive.nullish(),
  low_freq_factor: positive.nullish(),
  high_freq_factor: positive.nullish(),
  original_max_position_embeddings: count.nullish(),
  beta_fast: positive.nullish(),
  beta_slow: positive.nullish(),
  attention_factor: positive.nullish(),
  mscale: positive.nullish(),
  mscale_all_dim: positive.nullish(),
  truncate: z.boolean().nullish(),
  partial_rotary_factor: z.number().nullish(),
})

const configSchema = z.looseObject({
  hidden_size: count,
  intermediate_size: count,
  num_hidden_layers: count,
  num_attention_heads: count,
  num_key_value_heads: count.nullish(),
  head_dim: count.nullish(),
  vocab_size: count,
  max_position_embeddings: count,
  rms_norm_eps: positive.default(1e-6),
  hidden_act: z.string().default('silu'),
  tie_word_embeddings: z.boolean().default(false),
  attention_bias: z.boolean().nullish(),
  mlp_bias: z.boolean().nullish(),
  rope_theta: positive.nullish(),
  rope_scaling: ropeSchema.nullish(),
  rope_parameters: ropeSchema.nullish(),
  partial_rotary_factor: z.number().nullish(),
  sliding_window: z.number().int().nullish(),
  use_sliding_window: z.boolean().nullish(),
  layer_types: z.array(z.string()).nullish(),
  quantization_config: z.unknown().optional(),
})
type Config = z.infer<typeof configSchema>
type Rope = z.infer<typeof ropeSchema>

/**
 * @param json parsed config.json
 * @param source named in errors, usually the file's path
 * @throws RR_UNKNOWN_ARCHITECTURE, RR_BAD_MODEL_CONFIG, RR_QUANTISED_MODEL, RR_UNSUPPORTED_ACTIVATION,
 *   RR_UNSUPPORTED_ROPE, RR_SLIDING_WINDOW
 */
export function parseModelConfig(json: unknown, source: string): NativeModelConfig {
  const family = readFamily(json, source)
  const parsed = configSchema.safeParse(json)
  if (!parsed.success) {
    throw new ReasonrecError('RR_BAD_MODEL_CONFIG', `${source} is not a usable model configuration`, {
      got: z.prettifyError(parsed.error).replaceAll('\n', ' '),
      remedy: 'download config.json of the model again',
    })
  }
  const config = parsed.data
  refuseUnsupported(config, source)

  const heads = config.num_attention_heads
  const kvHeads = config.num_key_value_heads ?? heads
  const headDim = config.head_dim ?? config.hidden_size / heads
  if (!Number.isInteger(headDim) || headDim % 2 !== 0 || heads % kvHeads !== 0) {
    throw new ReasonrecError('RR_BAD_MODEL_CONFIG', `${source} has head counts that do not fit together`, {
      expected: 'an even whole head_dim and num_attention_heads divisible by num_key_value_heads',
      got: `hidden_size ${config.hidden_size}, heads ${heads}, key-value heads ${kvHeads}, head_dim ${headDim}`,
    })
  }
  const attentionBias = config.attention_bias ?? false
  const { theta, scaling } = readRope(config, source)
  return {
    family,
    hidden: config.hidden_size,
    intermediate: config.intermediate_size,
    layers: config.num_hidden_layers,
    vocab: config.vocab_size,
    maxPosition: usablePositions(family, config),
    heads,
    kvHeads,
    headDim,
    rmsEps: config.rms_norm_eps,
    ropeTheta: theta,
    ropeScaling: scaling,
    tiedHead: config.tie_word_embeddings,
    qkvBias: family === 'qwen2' || (family !== 'mistral' && attentionBias),
    oBias: (family === 'llama' || family === 'qwen3') && attentionBias,
    mlpBias: family === 'llama' && (config.mlp_bias ?? false),
    qkNorm: family === 'qwen3',
  }
}

function readFamily(json: unknown, source: string): Family {
  const { model_type: type, architectures } = (json ?? {}) as {
    model_type?: unknown
    architectures?: unknown
  }
  const family = supportedFamilies.find((name) => name === type)
  if (family) return family
  const named =
    Array.isArray(architectures) && typeof architectures[0] === 'string' ? ` (${architectures[0]})` : ''
  throw new ReasonrecError(
    'RR_UNKNOWN_ARCHITECTURE',
    `${source} describes a model that the engine cannot run`,
    {
      expected: `model_type ${supportedFamilies.join(', ')} (qwen2 includes Qwen2.5)`,
      got: typeof type === 'string' ? `${type}${named}` : 'no model_type',
      remedy: 'choose a Llama, Mistral, Qwen2, Qwen2.5 or Qwen3 model',
    },
  )
}

function refuseUnsupported(config: Config, source: string): void {
  if (config.quantization_config != null) {
    const method = (config.quantization_config as { quant_method?: unknown }).quant_method
    throw new ReasonrecError('RR_QUANTISED_MODEL', `${source} describes quantised weights`, {
      expected: 'weights stored as fp32, bf16 or fp16',
      got:
        typeof method === 'string'
          ? `quantization_config with quant_method ${method}`
          : 'quantization_config',
      remedy: 'use the unquantised model of the same name',
    })
  }
  if (config.hidden_act !== 'silu') {
    throw new ReasonrecError(
      'RR_UNSUPPORTED_ACTIVATION',
      `${source} uses an activation that the engine does not have`,
      {
        expected: 'hidden_act silu',
        got: config.hidden_act,
      },
    )
  }
  if (config.use_sliding_window) {
    throw new ReasonrecError('RR_SLIDING_WINDOW', `${source} turns on sliding-window attention`, {
      expected: 'use_sliding_window false',
      got: `use_sliding_window true, sliding_window ${config.sliding_window}`,
      remedy: 'choose a model with full attention',
    })
  }
}

/** A window changes nothing up to its own length, so Mistral is offered with that many positions. */
function usablePositions(family: Family, config: Config): number {
  const window = family === 'mistral' ? config.sliding_window : null
  return window != null && window > 0
    ? Math.min(config.max_position_embeddings, window)
    : config.max_position_embeddings
}

function readRope(
  config: Config,
  source: string,
): { theta: number; scaling: NativeModelConfig['ropeScaling'] } {
  const rope: Rope = config.rope_parameters ?? config.rope_scaling ?? {}
  const theta = rope.rope_theta ?? config.rope_theta ?? 10000
  const kind = rope.rope_type ?? rope.type ?? 'default'
  const partial = rope.partial_rotary_factor ?? config.partial_rotary_factor ?? 1
  if (partial !== 1) {
    throw new ReasonrecError('RR_UNSUPPORTED_ROPE', `${source} rotates only a part of each head`, {
      expected: 'partial_rotary_factor 1',
      got: String(partial),
    })
  }
  const required = <K extends keyof Rope & string>(key: K): number => {
    const value = rope[key]
    if (typeof value === 'number') return value
    throw new ReasonrecError('RR_BAD_MODEL_CONFIG', `${source}: rope type ${kind} lacks a value`, {
      expected: key,
      got: 'nothing',
    })
  }
  switch (kind) {
    case 'default':
      return { theta, scaling: { kind: 'none' } }
    case 'linear':
      return { theta, scaling: { kind: 'linear', factor: required('factor') } }
    case 'llama3':
      return {
        theta,
        scaling: {
          kind: 'llama3',
          factor: required('factor'),
          lowFreqFactor: required('low_freq_factor'),
          highFreqFactor: required('high_freq_factor'),
          originalMaxPosition: required('original_max_position_embeddings'),
        },
      }
    case 'yarn': {
      const factor = required('factor')
      return {
        theta,
        scaling: {
          kind: 'yarn',
          factor,
          originalMaxPosition: rope.original_max_position_embeddings ?? config.max_position_embeddings,
          betaFast: rope.beta_fast ?? 32,
          betaSlow: rope.beta_slow ?? 1,
          truncate: rope.truncate ?? true,
          attentionFactor: rope.attention_factor ?? yarnAttentionFactor(factor, rope),
        },
      }
    }
    default:
      throw new ReasonrecError(
        'RR_UNSUPPORTED_ROPE',
        `${source} scales rotary positions in a way the engine does not have`,
        {
          expected: 'rope type default, linear, llama3 or yarn',
          got: kind,
          remedy: 'choose a model without it, or remove the scaling if you stay within the original context',
        },
      )
  }
}

/** 0.1 m ln(factor) + 1 (Peng et al. 2023); with both mscale values the ratio of the two. */
export function yarnAttentionFactor(
  factor: number,
  scale: {
    readonly mscale?: number | null | undefined
    readonly mscale_all_dim?: number | null | undefined
  } = {},
): number {
  const of = (mscale: number) => (factor <= 1 ? 1 : 0.1 * mscale * Math.log(factor) + 1)
  return scale.mscale && scale.mscale_all_dim ? of(scale.mscale) / of(scale.mscale_all_dim) : of(1)
}

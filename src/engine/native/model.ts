/** Loading, inspecting and adapting a model: native/binding/model.h. */

export type LinearName = 'q_proj' | 'k_proj' | 'v_proj' | 'o_proj' | 'gate_proj' | 'up_proj' | 'down_proj'

export interface NativeModelConfig {
  readonly family: 'llama' | 'mistral' | 'qwen2' | 'qwen3'
  readonly hidden: number
  readonly intermediate: number
  readonly layers: number
  readonly vocab: number
  readonly maxPosition: number
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly rmsEps: number
  readonly ropeTheta: number
  readonly ropeScaling:
    | { readonly kind: 'none' }
    | { readonly kind: 'linear'; readonly factor: number }
    | {
        readonly kind: 'llama3'
        readonly factor: number
        readonly lowFreqFactor: number
        readonly highFreqFactor: number
        readonly originalMaxPosition: number
      }
    | {
        readonly kind: 'yarn'
        readonly factor: number
        readonly originalMaxPosition: number
        readonly betaFast: number
        readonly betaSlow: number
        /** The ramp's ends are rounded to whole pairs. */
        readonly truncate: boolean
        /** cos and sin are multiplied by it. */
        readonly attentionFactor: number
      }
  readonly tiedHead: boolean
  readonly qkvBias: boolean
  readonly oBias: boolean
  readonly mlpBias: boolean
  readonly qkNorm: boolean
  /** How products with the weights and the adapters are computed; not config.json's, fp32 where it is not said. */
  readonly compute?: NativeCompute | undefined
}

/** One adapted linear with a rank and alpha of its own. */
export interface NativeLoraModule {
  readonly layer: number
  readonly linear: LinearName
  readonly rank: number
  readonly alpha: number
}

export interface NativeLoraConfig {
  readonly rank: number
  readonly alpha: number
  readonly rslora: boolean
  readonly targets: readonly LinearName[]
  readonly dropout: number
  /** Empty: every layer's targets with rank and alpha; otherwise exactly these. */
  readonly modules: readonly NativeLoraModule[]
}

/** A named tensor of a flat fp32 buffer; `offset` in floats. */
export interface NativeParameter {
  readonly name: string
  readonly offset: number
  readonly rows: number
  readonly cols: number
  readonly decay: boolean
}

/** fp32: both sides in fp32; bf16: both sides rounded to bf16, sums in fp32, weights held in bf16. */
export type NativeCompute = 'fp32' | 'bf16'

/** How weight matrices are held; auto: bf16 where the files store every matrix so or products are in bf16, else fp32. */
export type NativeWeightType = 'auto' | 'fp32' | 'bf16'

/** A tensor of a file; shape slowest first. */
export interface NativeTensorFacts {
  readonly name: string
  /** F32, F16, BF16, F64, I64, I32, U8, or a block format of GGUF such as Q4_K. */
  readonly dtype: string
  readonly shape: number[]
}

export interface NativeGguf {
  /** Texts, numbers and bools; arrays of texts; arrays of numbers as Float64Array. */
  readonly metadata: Readonly<Record<string, string | number | boolean | string[] | Float64Array>>
  readonly tensors: NativeTensorFacts[]
}

export interface NativeModel {
  readonly vocab: number
  readonly dtype: 'fp32' | 'bf16'
  /** Held for weights and rotary tables. */
  readonly bytes: number
  readonly parameters: number
  save(file: string): Promise<void>
}

export interface NativeAdapter {
  readonly config: NativeLoraConfig
  layout(): NativeParameter[]
  /** Copy of the flat fp32 values, (layout total). */
  values(): Float32Array
  setValues(values: Float32Array): void
  save(file: string, metadata: Readonly<Record<string, string>>): Promise<void>
}

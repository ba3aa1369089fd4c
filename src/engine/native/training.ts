/** Gradients and optimiser steps: native/train. */

import type { Control } from './control.js'
import type { NativeAdapters } from './decode.js'
import type { NativeParameter } from './model.js'
import type { NativePolicyGroup, NativePolicyLossConfig, NativePolicyResult } from './policy.js'

export interface NativeOptimiserStep {
  readonly learningRate: number
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
  readonly weightDecay: number
  /** 0: no clipping. */
  readonly clipNorm: number
}

export interface NativeSftResult {
  readonly loss: number
  readonly tokens: number
  readonly rows: number
}

export interface NativeTrainer {
  accumulateSft(
    sequences: readonly { readonly ids: Int32Array; readonly weights: Float32Array }[],
    normaliser: number,
    dropout: { readonly p: number; readonly seed: bigint },
    control: Control,
  ): Promise<NativeSftResult>
  accumulatePolicy(
    groups: readonly NativePolicyGroup[],
    loss: NativePolicyLossConfig,
    weights: Float64Array,
    temperature: number,
    reference: NativeAdapters,
    gradients: boolean,
    control: Control,
  ): Promise<NativePolicyResult>
  /** Gradient norm before clipping; not finite: nothing was changed. */
  apply(step: NativeOptimiserStep): Promise<number>
  dropGradients(): void
  layout(): NativeParameter[]
  values(): Float32Array
  setValues(values: Float32Array): void
  gradients(): Float32Array
  /** Writes moments (and, in full-parameter mode, the weights) as safetensors. */
  saveState(file: string): Promise<void>
  /** Restores what saveState wrote; throws RR_CHECKPOINT_MISMATCH for another layout. */
  loadState(file: string): Promise<void>
  readonly steps: number
}

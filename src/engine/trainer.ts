/**
 * Training of one adapter (alone, or stacked on a frozen one) or of every weight. A step is one or more
 * accumulate calls and one apply; normalisers are those of the whole step, so 1 x 8 equals 8 x 1.
 */

import type { Adapter } from './adapter.js'
import { type TokenIds, toIds, toNative } from './decoder.js'
import { callNative, type JobOptions, runJob } from './job.js'
import { loadAddon } from './load.js'
import type { Model } from './model.js'
import type { NativeOptimiserStep, NativeParameter, NativeSftResult, NativeTrainer } from './native.js'
import {
  type PolicyGroup,
  type PolicyLossConfig,
  type PolicyOptions,
  type PolicyResult,
  toPolicyGroup,
  toPolicyLoss,
} from './policy-trainer.js'

export type OptimiserStep = NativeOptimiserStep
export type SftResult = NativeSftResult

export interface TrainerOptions {
  /** Rows (tokens) of a micro-batch; a longer sequence or group goes alone. Bounds memory. */
  readonly tokenBudget: number
  /** True keeps only layer inputs and computes the rest again in the backward pass. */
  readonly recompute?: boolean
  /** False computes every completion's prompt on its own: the check of sharing. */
  readonly sharePrefix?: boolean
}

export interface AdapterTrainerOptions extends TrainerOptions {
  readonly adapter: Adapter
  readonly frozen?: Adapter | null | undefined
}

/** loss = sum_t weights[t] * NLL(ids[t] | ids[0..t-1]) / normaliser; weights[0] is 0. */
export interface SftSequence {
  readonly ids: TokenIds
  readonly weights: Float32Array
}

export interface SftOptions extends JobOptions {
  readonly dropout?: { readonly p: number; readonly seed: bigint } | undefined
}

export class Trainer {
  readonly native: NativeTrainer

  private constructor(native: NativeTrainer) {
    this.native = native
  }

  /** @throws RR_OUT_OF_MEMORY */
  static forAdapter(model: Model, options: AdapterTrainerOptions): Promise<Trainer> {
    return Trainer.start(model, options.frozen ?? null, options.adapter, options)
  }

  /** Trains every weight of the model itself. @throws RR_OUT_OF_MEMORY */
  static forFullParameters(model: Model, options: TrainerOptions): Promise<Trainer> {
    return Trainer.start(model, null, null, options)
  }

  private static async start(
    model: Model,
    frozen: Adapter | null,
    adapter: Adapter | null,
    options: TrainerOptions,
  ): Promise<Trainer> {
    const { tokenBudget, recompute = false, sharePrefix = true } = options
    const native = await runJob(undefined, () =>
      loadAddon().createTrainer(model.native, frozen?.native ?? null, adapter?.native ?? null, {
        tokenBudget,
        recompute,
        sharePrefix,
      }),
    )
    return new Trainer(native)
  }

  /**
   * Adds the gradients of the supervised loss. `normaliser`: of the whole step. Progress counts sequences.
   * @throws RR_SHAPE_MISMATCH, RR_TOKEN_OUT_OF_RANGE, RR_PROMPT_TOO_LONG, RR_OUT_OF_MEMORY, RR_CANCELLED
   *   (then dropGradients before going on)
   */
  accumulateSft(
    sequences: readonly SftSequence[],
    normaliser: number,
    options?: SftOptions,
  ): Promise<SftResult> {
    const native = sequences.map(({ ids, weights }) => ({ ids: toIds(ids), weights }))
    const dropout = options?.dropout ?? { p: 0, seed: 0n }
    return runJob(options, (control) => this.native.accumulateSft(native, normaliser, dropout, control))
  }

  /**
   * Adds the gradients of the policy loss (or only scores). `weights`: one per completion, from
   * aggregationWeights over the whole step. Progress counts completions. Errors as accumulateSft.
   */
  accumulatePolicy(
    groups: readonly PolicyGroup[],
    loss: PolicyLossConfig,
    weights: Float64Array,
    options: PolicyOptions,
  ): Promise<PolicyResult> {
    return runJob(options, (control) =>
      this.native.accumulatePolicy(
        groups.map(toPolicyGroup),
        toPolicyLoss(loss),
        weights,
        options.temperature,
        toNative(options.reference),
        options.gradients ?? true,
        control,
      ),
    )
  }

  /** One AdamW update. Returns the gradient norm before clipping; not finite: nothing was changed. Gradients are zero afterwards. */
  apply(step: OptimiserStep): Promise<number> {
    return runJob(undefined, () => this.native.apply(step))
  }

  /** @throws RR_BUSY while a job of this trainer runs */
  dropGradients(): void {
    callNative(() => this.native.dropGradients())
  }

  /** Names, offsets and shapes in `values()` and `gradients()`. */
  layout(): NativeParameter[] {
    return callNative(() => this.native.layout())
  }

  /** Copy of the trained values, flat fp32. @throws RR_BUSY while a job of this trainer runs */
  values(): Float32Array {
    return callNative(() => this.native.values())
  }

  /** @throws RR_SHAPE_MISMATCH, RR_BUSY */
  setValues(values: Float32Array): void {
    callNative(() => this.native.setValues(values))
  }

  /** Copy of the accumulated gradients, flat fp32. @throws RR_BUSY */
  gradients(): Float32Array {
    return callNative(() => this.native.gradients())
  }

  /** Updates done. */
  get steps(): number {
    return this.native.steps
  }

  /** Moments and step count (in full-parameter mode also the weights) as safetensors. @throws RR_WRITE_FAILED */
  saveState(file: string): Promise<void> {
    return runJob(undefined, () => this.native.saveState(file))
  }

  /** @throws RR_FILE_NOT_FOUND, RR_BAD_SAFETENSORS, RR_CHECKPOINT_MISMATCH */
  loadState(file: string): Promise<void> {
    return runJob(undefined, () => this.native.loadState(file))
  }
}

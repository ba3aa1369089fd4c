/**
 * SASRec, a small self-attentive recommender over item numbers, trained here as a baseline
 * (native/sasrec). A step is one or more accumulate calls and one apply.
 */

import { callNative, type JobOptions, runJob } from './job.js'
import { loadAddon } from './load.js'
import type {
  NativeOptimiserStep,
  NativeParameter,
  NativeSasrec,
  NativeSasrecShape,
  NativeSasrecStep,
  NativeSequences,
} from './native.js'

export type SasrecShape = NativeSasrecShape
export type SasrecStep = NativeSasrecStep

/** Lists of item numbers, one per user. */
export type ItemLists = readonly (readonly number[])[]

export class Sasrec {
  private constructor(readonly native: NativeSasrec) {}

  /** @throws RR_BAD_MODEL, RR_OUT_OF_MEMORY */
  static async create(shape: SasrecShape, seed: bigint): Promise<Sasrec> {
    return new Sasrec(await runJob(undefined, () => loadAddon().createSasrec(shape, seed)))
  }

  /**
   * Adds the gradients of predicting every item of a sequence but the first from those before it; of a longer
   * sequence the last `positions` + 1 items count. Progress counts sequences.
   * @throws RR_ITEM_OUT_OF_RANGE, RR_OUT_OF_MEMORY, RR_CANCELLED (then the step's gradients are dropped)
   */
  accumulate(
    sequences: ItemLists,
    step: SasrecStep,
    options?: JobOptions,
  ): Promise<{ readonly loss: number; readonly rows: number }> {
    return runJob(options, (control) => this.native.accumulate(columns(sequences), step, control))
  }

  /** One AdamW update. Returns the gradient norm before clipping; not finite: nothing was changed. Gradients are zero afterwards. */
  apply(step: NativeOptimiserStep): Promise<number> {
    return runJob(undefined, () => this.native.apply(step))
  }

  /** @throws RR_BUSY while a job of this model runs */
  dropGradients(): void {
    callNative(() => this.native.dropGradients())
  }

  /**
   * Logits of the next item after each history: of its candidates, or of the whole catalogue without. No history
   * scores 0 for all. @throws RR_ITEM_OUT_OF_RANGE, RR_CANCELLED
   */
  async scores(
    histories: ItemLists,
    candidates: ItemLists | null,
    rowBudget: number,
    options?: JobOptions,
  ): Promise<Float32Array[]> {
    const flat = await runJob(options, (control) =>
      this.native.scores(columns(histories), columns(candidates ?? []), { rowBudget }, control),
    )
    let at = 0
    return histories.map((_, index) => {
      const length = candidates ? (candidates[index]?.length ?? 0) : flat.length / histories.length
      at += length
      return flat.slice(at - length, at)
    })
  }

  /** Names, offsets and shapes in `values()` and `gradients()`. */
  layout(): NativeParameter[] {
    return callNative(() => this.native.layout())
  }

  /** Copy of the weights, flat fp32. @throws RR_BUSY */
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

  /** Weights, moments and step count as safetensors. @throws RR_WRITE_FAILED */
  saveState(file: string): Promise<void> {
    return runJob(undefined, () => this.native.saveState(file))
  }

  /** @throws RR_FILE_NOT_FOUND, RR_BAD_SAFETENSORS, RR_CHECKPOINT_MISMATCH */
  loadState(file: string): Promise<void> {
    return runJob(undefined, () => this.native.loadState(file))
  }
}

function columns(lists: ItemLists): NativeSequences {
  const offsets = new Int32Array(lists.length + 1)
  lists.forEach((list, index) => {
    offsets[index + 1] = offsets[index]! + list.length
  })
  const items = new Int32Array(offsets.at(-1)!)
  lists.forEach((list, index) => {
    items.set(list, offsets[index])
  })
  return { items, offsets }
}

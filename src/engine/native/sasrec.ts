/** The sequential recommender: native/sasrec. */

import type { Control } from './control.js'
import type { NativeParameter } from './model.js'
import type { NativeOptimiserStep } from './training.js'

/** Lists of item numbers one after another; offsets has one entry more than there are lists. */
export interface NativeSequences {
  readonly items: Int32Array
  readonly offsets: Int32Array
}

/** native/sasrec/sasrec_model.h */
export interface NativeSasrecShape {
  /** Size of the catalogue. */
  readonly items: number
  /** Longest sequence that is read. */
  readonly positions: number
  readonly width: number
  readonly blocks: number
  readonly heads: number
  readonly normEpsilon: number
}

/** native/sasrec/sasrec_trainer.h */
export interface NativeSasrecStep {
  /** The loss is a sum over predictions divided by this, of the whole step. */
  readonly normaliser: number
  readonly dropout: number
  /** Of dropout masks and negatives: another one each step. */
  readonly seed: bigint
  /** Per prediction, drawn uniformly; 0: softmax over the whole catalogue. */
  readonly negatives: number
  /** Weight of the positive's term where negatives are drawn. */
  readonly positiveWeight: number
  /** Draws no items of the sequence itself. */
  readonly spareSequence: boolean
  /** Rows of a micro-batch; changes memory, not bits. */
  readonly rowBudget: number
}

export interface NativeSasrec {
  accumulate(
    sequences: NativeSequences,
    step: NativeSasrecStep,
    control: Control,
  ): Promise<{ readonly loss: number; readonly rows: number }>
  /** Gradient norm before clipping; not finite: nothing was changed. */
  apply(step: NativeOptimiserStep): Promise<number>
  dropGradients(): void
  /** candidates without lists: the whole catalogue. Flat. */
  scores(
    histories: NativeSequences,
    candidates: NativeSequences,
    options: { readonly rowBudget: number },
    control: Control,
  ): Promise<Float32Array>
  layout(): NativeParameter[]
  values(): Float32Array
  setValues(values: Float32Array): void
  gradients(): Float32Array
  saveState(file: string): Promise<void>
  loadState(file: string): Promise<void>
}

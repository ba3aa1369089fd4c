/**
 * What every export must pass before it gets its name: it is opened again, and its logits on a few sequences are
 * compared with those of base and adapter. The sequences are ids of Philox, so the check needs no text.
 */

import { type Adapter, type Model, philox, ReasonrecError, sequenceLogprobs } from '../engine/index.js'
import type { FloatType } from './floats.js'

export interface Verification {
  readonly sequences: number
  readonly tokens: number
  /** Largest absolute difference of a logit, export against base and adapter. */
  readonly max_difference: number
  readonly tolerance: number
  /** Largest absolute change of a logit that the adapter makes: what the difference has to be seen against. */
  readonly adapter_effect: number
}

interface Policy {
  readonly model: Model
  readonly adapter: Adapter | null
}

const sequenceCount = 3
const sequenceLength = 32

/** Per unit of the largest logit: two orders of the same fp32 sums, 2^-24 grown through some dozens of layers. */
const orderTolerance = 5e-5
/** Deviation of one value's relative error when rounded to nearest: a uniform error of at most half a spacing. */
const roundingError: Readonly<Record<FloatType, number>> = {
  F32: 0,
  F16: 2 ** -12 / Math.sqrt(3),
  BF16: 2 ** -9 / Math.sqrt(3),
}
/** Deviations: errors of single values are independent, so sums of thousands are normal; layers may amplify them. */
const deviations = 4

/**
 * What rounding stored values once may do to a logit. Each of the 7 L + 1 products on the way is off by the relative
 * error of one value, at random, and they add as squares: sqrt(7 L + 1) errors of the logits' size where the weights
 * were rounded; of the size of the adapter's effect, from two factors each, where the adapter alone was.
 */
export function logitTolerance(
  type: FloatType,
  rounded: 'weights' | 'adapter',
  { layers, largest, effect }: { readonly layers: number; readonly largest: number; readonly effect: number },
): number {
  const products = rounded === 'weights' ? 7 * layers + 1 : 14 * layers
  const error = deviations * roundingError[type] * Math.sqrt(products)
  return orderTolerance * largest + error * (rounded === 'weights' ? largest : effect)
}

/** `rounded`: what was cast to `type`. @throws RR_EXPORT_MISMATCH */
export async function verifyExport(
  exported: Policy,
  original: Policy,
  type: FloatType,
  rounded: 'weights' | 'adapter',
): Promise<Verification> {
  const { vocab, config } = original.model
  const length = Math.min(sequenceLength, config.maxPosition)
  const sequences = Array.from({ length: sequenceCount }, (_, row) =>
    Int32Array.from(philox(1n, BigInt(row), 0n, length), (u) => Math.floor(u * vocab)),
  )
  const logitsOf = async ({ model, adapter }: Policy): Promise<Float32Array> => {
    const { logits } = await sequenceLogprobs(model, { trained: adapter }, sequences, { logits: true })
    const rows = logits ?? []
    const all = new Float32Array(rows.reduce((sum, row) => sum + row.length, 0))
    let end = 0
    for (const row of rows) {
      all.set(row, end)
      end += row.length
    }
    return all
  }
  const expected = await logitsOf(original)
  const got = await logitsOf(exported)
  const base = await logitsOf({ model: original.model, adapter: null })
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1)
  const effect = largestDifference(expected, base)
  const tolerance = logitTolerance(type, rounded, { layers: config.layers, largest, effect })
  const difference = largestDifference(got, expected)
  if (!(difference <= tolerance) || got.length !== expected.length) {
    throw new ReasonrecError(
      'RR_EXPORT_MISMATCH',
      'the export, opened again, is not the model it was made from',
      {
        expected: `logits within ${tolerance.toPrecision(3)}`,
        got: `a difference of ${difference.toPrecision(3)}`,
        remedy:
          type === 'F32'
            ? 'nothing was kept; check memory and disk, and report this'
            : 'export with --dtype f32',
      },
    )
  }
  return {
    sequences: sequences.length,
    tokens: sequences.length * length,
    max_difference: difference,
    tolerance,
    adapter_effect: effect,
  }
}

/** NaN where one is NaN. */
function largestDifference(a: Float32Array, b: Float32Array): number {
  let largest = 0
  for (let i = 0; i < b.length; i++) {
    const difference = Math.abs(a[i]! - b[i]!)
    if (!(difference <= largest)) largest = difference
    if (Number.isNaN(largest)) break
  }
  return largest
}

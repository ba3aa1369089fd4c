/**
 * Are the weights that a merged export stored the merge, rounded once? Every value is computed again in doubles, as a
 * dot product,
 *   w = W[o][i] + s sum_k B[o][k] A[k][i]
 * and what the written file holds may be off by half a spacing of the stored type at w, and by what rounding to float32
 * before that adds (2^-24 of w and of the sum of its parts). An error in names, order, scale, a lost or doubled adapter
 * or one wrong element shows here, which logits of a rounded model could not tell from rounding.
 */

import { ReasonrecError } from '../engine/index.js'
import { type FloatType, toFloat32 } from './floats.js'
import { readTensor, type StoredTensor } from './tensor-file.js'

/** An adapter's part of one weight: s B A, A (rank, in), B (out, rank), row by row. */
export interface Update {
  readonly a: Float32Array
  readonly b: Float32Array
  readonly rank: number
  readonly scale: number
}

/** Bits of the significand, and the exponent below which the spacing stays. */
const shape: Readonly<Record<FloatType, { readonly bits: number; readonly lowest: number }>> = {
  F32: { bits: 24, lowest: -126 },
  BF16: { bits: 8, lowest: -126 },
  F16: { bits: 11, lowest: -14 },
}

/** How far rounding to nearest may take a value of this size. */
export function halfSpacing(value: number, type: FloatType): number {
  const { bits, lowest } = shape[type]
  const size = Math.abs(value)
  let exponent = size === 0 ? lowest : Math.floor(Math.log2(size))
  if (size < 2 ** exponent) exponent-- // log2 rounds up just below a power of two
  return 2 ** (Math.max(exponent, lowest) - bits)
}

const single = 2 ** -24

/** One tensor; `update` null: stored as it was, cast. @throws RR_EXPORT_MISMATCH naming the first wrong element */
export function verifyWeight(
  name: string,
  base: Float32Array,
  stored: Float32Array,
  type: FloatType,
  update: Update | null,
): void {
  if (base.length !== stored.length) throw mismatch(name, `${base.length} values`, `${stored.length}`)
  const columns = update ? update.a.length / update.rank : base.length
  for (let at = 0; at < base.length; at++) {
    let [sum, parts] = [base[at]!, Math.abs(base[at]!)]
    if (update) {
      const { a, b, rank, scale } = update
      const [row, column] = [Math.floor(at / columns), at % columns]
      for (let k = 0; k < rank; k++) {
        const part = scale * b[row * rank + k]! * a[k * columns + column]!
        sum += part
        parts += Math.abs(part)
      }
    }
    const off = Math.abs(stored[at]! - sum)
    // Most values are within the least half spacing of their size; the exact one is dearer to tell.
    if (off <= Math.abs(sum) * 2 ** -(shape[type].bits + 1)) continue
    if (!(off <= halfSpacing(sum, type) + single * parts))
      throw mismatch(`${name}, element ${at}`, `${sum} rounded to ${type}`, String(stored[at]))
  }
}

/** All tensors of an export against what it was made from. Returns how many values were compared. */
export function verifyMerged(
  sources: readonly StoredTensor[],
  written: readonly StoredTensor[],
  updates: ReadonlyMap<string, Update>,
  valuesOf: (tensor: StoredTensor, bytes: Uint8Array) => Float32Array,
): number {
  const found = new Map(written.map((tensor) => [tensor.name, tensor]))
  if (found.size !== sources.length) throw mismatch('tensors', String(sources.length), String(found.size))
  for (const name of updates.keys())
    if (!found.has(name)) throw mismatch(`an adapted weight`, name, 'no such tensor')
  let values = 0
  for (const source of sources) {
    const copy = found.get(source.name)
    if (!copy || String(copy.shape) !== String(source.shape))
      throw mismatch(source.name, `[${source.shape}]`, copy ? `[${copy.shape}]` : 'no such tensor')
    if (!(copy.dtype in shape)) {
      if (!readTensor(copy).equals(readTensor(source))) throw mismatch(source.name, 'its bytes', 'others')
      continue
    }
    const type = copy.dtype as FloatType
    const stored = toFloat32(readTensor(copy), type)
    verifyWeight(
      source.name,
      valuesOf(source, readTensor(source)),
      stored,
      type,
      updates.get(source.name) ?? null,
    )
    values += stored.length
  }
  return values
}

function mismatch(what: string, expected: string, got: string): ReasonrecError {
  return new ReasonrecError('RR_EXPORT_MISMATCH', `the export does not hold the merge: ${what}`, {
    expected,
    got,
    remedy: 'nothing was kept; check memory and disk, and report this',
  })
}

/** The check of merged weights: takes every correct rounding, and sees one element, one step of bf16, one lost rank. */

import { describe, expect, it } from 'vitest'
import { philox } from '../../../src/engine/index.js'
import { type FloatType, fromFloat32, toFloat32 } from '../../../src/export/floats.js'
import { addUpdate } from '../../../src/export/merged.js'
import { logitTolerance } from '../../../src/export/verify.js'
import { halfSpacing, type Update, verifyWeight } from '../../../src/export/verify-merged.js'

const [rows, columns, rank] = [24, 40, 4]
const types = ['F32', 'BF16', 'F16'] as const

function drawn(stream: bigint, count: number, size: number): Float32Array {
  return Float32Array.from(philox(3n, stream, 0n, count), (u) => size * (u - 0.5))
}
const base = drawn(1n, rows * columns, 0.1)
// Some thousandths of the weights: most changes are below half a step of bf16.
const update: Update = { a: drawn(2n, rank * columns, 0.05), b: drawn(3n, rows * rank, 0.02), rank, scale: 2 }

function mergedAs(type: FloatType, by: Update | null = update): Float32Array {
  const values = base.slice()
  if (by) addUpdate(values, by)
  return toFloat32(fromFloat32(values, type, 'w'), type)
}

describe('the check of merged weights', () => {
  it.each(types)('takes the merge and the cast in %s', (type) => {
    verifyWeight('w', base, mergedAs(type), type, update)
    verifyWeight('w', base, mergedAs(type, null), type, null)
  })

  it.each(types)(
    'refuses one wrong element, a lost rank, another scale and a forgotten adapter in %s',
    (type) => {
      const off = mergedAs(type)
      off[100]! += 3 * halfSpacing(off[100]!, type)
      expect(() => verifyWeight('w', base, off, type, update)).toThrow(/w, element 100/)
      const lost = { ...update, b: update.b.map((value, at) => (at % rank === 0 ? 0 : value)) }
      for (const other of [lost, { ...update, scale: 2.2 }, null])
        expect(() => verifyWeight('w', base, mergedAs(type, other), type, update)).toThrow(/element/)
      expect(() => verifyWeight('w', base, off.subarray(1), type, update)).toThrow(/the merge: w/)
    },
  )

  it('knows the spacing of stored types, at powers of two and among the smallest', () => {
    for (const value of [1, 1.5, 0.9999999, 2 ** -20, 3e-5, 6e-8, 0]) {
      expect(halfSpacing(value, 'F16')).toBe(2 ** (Math.max(-14, exponentOf(value)) - 11))
      expect(halfSpacing(-value, 'BF16')).toBe(2 ** (Math.max(-126, exponentOf(value)) - 8))
    }
  })

  it('allows a logit what rounding explains, and little more', () => {
    const facts = { layers: 24, largest: 20, effect: 0.5 }
    expect(logitTolerance('F32', 'weights', facts)).toBeCloseTo(1e-3, 10)
    // 4 deviations of 2^-9 / sqrt(3), over sqrt(169) products: 5.9 % of the largest logit.
    expect(logitTolerance('BF16', 'weights', facts) / 20).toBeCloseTo(0.0587, 3)
    expect(logitTolerance('F16', 'weights', facts) / 20).toBeCloseTo(0.0074, 3)
    // Where the adapter alone was rounded: a share of what it does.
    expect(logitTolerance('BF16', 'adapter', facts)).toBeLessThan(0.1 * facts.effect)
  })
})

function exponentOf(value: number): number {
  let exponent = -200
  while (2 ** (exponent + 1) <= value) exponent++
  return exponent
}

/** Stored floats: every 16-bit pattern survives, and rounding is to nearest, ties to even. */

import { describe, expect, it } from 'vitest'
import { fromFloat32, toFloat32 } from '../../../src/export/floats.js'

const words = (bytes: Uint8Array) => new Uint16Array(new Uint8Array(bytes).buffer)
const everyPattern = new Uint8Array(Uint16Array.from({ length: 65536 }, (_, i) => i).buffer)

describe('bf16 and f16', () => {
  it.each([
    ['BF16', 0x7f80],
    ['F16', 0x7c00],
  ] as const)('%s: every finite pattern comes back', (type, infinity) => {
    const finite = words(everyPattern).filter((pattern) => (pattern & infinity) !== infinity)
    const values = toFloat32(new Uint8Array(finite.buffer), type)
    expect(words(fromFloat32(values, type, 'x'))).toEqual(finite)
  })

  it.each([
    [1, 0x3c00],
    [65504, 0x7bff],
    [65519.99, 0x7bff],
    [1 + 2 ** -11, 0x3c00], // a tie: to even
    [1 + 3 * 2 ** -11, 0x3c02],
    [2 ** -14, 0x0400],
    [2 ** -24, 1],
    [2 ** -25, 0], // a tie: to even
    [1.5 * 2 ** -24, 2],
    [2 ** -14 - 2 ** -26, 0x0400], // rounds up into the normal numbers
    [-(2 ** -24), 0x8001],
  ])('f16 of %d', (value, pattern) => {
    expect(words(fromFloat32(Float32Array.of(value), 'F16', 'x'))[0]).toBe(pattern)
  })

  it('what does not fit is refused', () => {
    expect(() => fromFloat32(Float32Array.of(65520), 'F16', 'w')).toThrow('w cannot be stored as F16')
    expect(() => fromFloat32(Float32Array.of(Number.NaN), 'BF16', 'w')).toThrow('w cannot be stored as BF16')
    expect(() => fromFloat32(Float32Array.of(3.4e38), 'BF16', 'w')).toThrow('w cannot be stored as BF16')
  })

  it('a view into other memory is read where it stands', () => {
    const backing = Buffer.from([9, 9, 0x80, 0x3f, 9, 9])
    expect([...toFloat32(backing.subarray(2, 4), 'BF16')]).toEqual([1])
  })
})

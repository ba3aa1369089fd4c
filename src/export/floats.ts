/**
 * Stored floats <-> float32: F32, BF16 (the upper half of a float32) and F16 (5 bits of exponent, 10 of fraction).
 * Rounding is to nearest, ties to even, as in torch and in llama.cpp. Little endian, as all these files are.
 */

import { ReasonrecError } from '../engine/index.js'

export type FloatType = 'F32' | 'BF16' | 'F16'

export const bytesPerElement: Readonly<Record<FloatType, number>> = { F32: 4, BF16: 2, F16: 2 }

const word = new Uint32Array(1)
const asFloat = new Float32Array(word.buffer)

/** `bytes` may begin anywhere; the values are a copy. */
export function toFloat32(bytes: Uint8Array, type: FloatType): Float32Array {
  const copy = new Uint8Array(bytes).buffer // Buffer.slice would share the memory
  if (type === 'F32') return new Float32Array(copy)
  const stored = new Uint16Array(copy)
  const values = new Float32Array(stored.length)
  if (type === 'F16') {
    for (let i = 0; i < stored.length; i++) values[i] = halfToFloat(stored[i]!)
    return values
  }
  const bits = new Uint32Array(values.buffer)
  for (let i = 0; i < stored.length; i++) bits[i] = stored[i]! << 16
  return values
}

/** @throws RR_NON_FINITE_WEIGHTS where a value does not fit; `name` is the tensor's */
export function fromFloat32(values: Float32Array, type: FloatType, name: string): Uint8Array {
  if (type === 'F32') return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const stored = new Uint16Array(values.length)
  const infinity = type === 'F16' ? 0x7c00 : 0x7f80
  for (let i = 0; i < stored.length; i++) {
    const rounded =
      type === 'F16' ? bitsToHalf(bits[i]!) : (bits[i]! + 0x7fff + ((bits[i]! >>> 16) & 1)) >>> 16
    if ((rounded & infinity) === infinity) throw tooLarge(values[i]!, type, name)
    stored[i] = rounded
  }
  return new Uint8Array(stored.buffer)
}

function halfToFloat(half: number): number {
  const exponent = (half >>> 10) & 31
  const fraction = half & 0x3ff
  const sign = half & 0x8000 ? -1 : 1
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY
  word[0] = ((half & 0x8000) << 16) | ((exponent + 112) << 23) | (fraction << 13)
  return asFloat[0]!
}

/** Of a float32's bits. */
function bitsToHalf(bits: number): number {
  const sign = (bits >>> 16) & 0x8000
  const magnitude = bits & 0x7fffffff
  if (magnitude >= 0x7f800000) return sign | 0x7c00 | (magnitude > 0x7f800000 ? 1 : 0)
  if (magnitude < 0x38800000) {
    // Below 2^-14 a half counts in steps of 2^-24.
    word[0] = magnitude
    const steps = asFloat[0]! * 2 ** 24
    const floor = Math.floor(steps)
    const rest = steps - floor
    return sign | (floor + (rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? 1 : 0))
  }
  const rounded = (magnitude + 0xfff + ((magnitude >>> 13) & 1)) >>> 13
  return sign | Math.min(rounded - (112 << 10), 0x7c00)
}

function tooLarge(value: number, type: FloatType, name: string): ReasonrecError {
  return new ReasonrecError('RR_NON_FINITE_WEIGHTS', `${name} cannot be stored as ${type}`, {
    expected: type === 'F16' ? 'values up to 65504' : 'finite values',
    got: String(value),
    remedy: type === 'F16' ? 'export with --dtype bf16 or f32' : 'check the weights',
  })
}

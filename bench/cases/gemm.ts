/**
 * gemm: products of the 0.5B shape's linears with M rows, weights packed beforehand as a model holds them. C1: bf16
 * weights against torch's bf16 (which rounds the rows to bf16 as well), C2: fp32. Both sides read the same arrays, whose
 * values lie on the grid of bf16, and their results are compared.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { engineInfo, runKernel } from '../../src/engine/index.js'
import type { BenchCase, Ceilings, Measure, Prepared, Size, Timing } from '../contract.js'
import { operationsPerSecond } from '../roofline.js'
import { computeOf, type Stored } from '../subject.js'

interface Product {
  readonly m: number
  readonly n: number
  readonly k: number
}

const products: Readonly<Record<Size, readonly Product[]>> = {
  tiny: [{ m: 16, n: 96, k: 64 }],
  quick: [
    { m: 256, n: 4864, k: 896 },
    { m: 1024, n: 4864, k: 896 },
    { m: 1024, n: 896, k: 4864 },
  ],
  full: [
    { m: 256, n: 4864, k: 896 },
    { m: 256, n: 896, k: 4864 },
    { m: 1024, n: 4864, k: 896 },
    { m: 1024, n: 896, k: 4864 },
    { m: 1024, n: 896, k: 896 },
    { m: 4096, n: 4864, k: 896 },
  ],
}

/** Operations of one run: a fifth of a second or so. */
const perRun: Readonly<Record<Size, number>> = { tiny: 1e6, quick: 4e10, full: 1e11 }

export const gemm: BenchCase = {
  name: 'gemm',
  what: "products of the 0.5B shape's linears",
  peers: ['torch_ops', 'onnxruntime-node'],
  goals: ['C1', 'C2'],
  minutes: { tiny: 0.2, quick: 1.5, full: 5 },
  prepare: async (size, ceilings): Promise<Prepared> => {
    const folder = mkdtempSync(join(tmpdir(), 'reasonrec-bench-gemm-'))
    const measures = products[size].flatMap((product, index) => {
      const arrays = arraysOf(folder, product, index)
      return (['bf16', 'fp32'] as const).map((dtype) => measureOf(dtype, arrays, size, ceilings))
    })
    return { input: { folder }, measures, dispose: () => rmSync(folder, { recursive: true, force: true }) }
  },
}

interface Arrays extends Product {
  readonly folder: string
  /** Names of files. */
  readonly a: string
  readonly w: string
  readonly rows: Float32Array
  readonly weights: Float32Array
}

/** Uniform in (-1, 1): a linear congruential generator. */
export function uniforms(stream: bigint, count: number): Float32Array {
  const values = new Float32Array(count)
  let state = Number(stream) * 7919 + 1
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0
    values[i] = state / 2 ** 31
  }
  return values
}

/** The same, cut to bf16. */
export function bf16Uniforms(stream: bigint, count: number): Float32Array {
  const values = uniforms(stream, count)
  const bits = new Uint32Array(values.buffer)
  for (let i = 0; i < count; i++) bits[i] = bits[i]! & 0xffff0000
  return values
}

function arraysOf(folder: string, product: Product, index: number): Arrays {
  const { m, n, k } = product
  const [a, w] = [`a${index}`, `w${index}`]
  const [rows, weights] = [bf16Uniforms(BigInt(2 * index), m * k), bf16Uniforms(BigInt(2 * index + 1), n * k)]
  writeFileSync(join(folder, `${a}.f32`), new Uint8Array(rows.buffer))
  writeFileSync(join(folder, `${w}.f32`), new Uint8Array(weights.buffer))
  return { ...product, folder, a, w, rows, weights }
}

function measureOf(dtype: Stored, arrays: Arrays, size: Size, ceilings: Ceilings): Measure {
  const { m, n, k, a, w, folder } = arrays
  const operations = 2 * m * n * k
  const run = async (repeats: number) => {
    const done = await runKernel({
      isa: engineInfo().isa,
      kernel: 'gemm',
      storage: dtype,
      compute: computeOf(dtype),
      sizes: { m, n, k },
      inputs: [arrays.rows, arrays.weights],
      repeats,
    })
    return done!
  }
  const repeats = Math.max(1, Math.round(perRun[size] / operations))
  const request = { dtype, m, n, k, a, w }
  return {
    id: `${dtype === 'bf16' ? 'C1' : 'C2'} ${m}x${k}x${n}`,
    what: `${dtype} product, ${m} rows, ${k} to ${n}`,
    unit: 'GFLOP/s',
    roofline: operationsPerSecond(ceilings, dtype) / 1e9,
    ...(dtype === 'bf16' && { peers: ['torch_ops'] }),
    run: async (): Promise<Timing> => {
      const { seconds, cpuSeconds } = await run(repeats)
      return { units: (repeats * operations) / 1e9, seconds, cpuSeconds }
    },
    request: () => ({ op: 'gemm', units: operations / 1e9, ...request }),
    disagreement: async (peer) => {
      const ours = (await run(1)).outputs[0]!
      await peer({ check: 'gemm', ...request })
      const bytes = readFileSync(join(folder, 'product.f32'))
      return unlike(ours, new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4), dtype)
    },
  }
}

/** A sum of K products has a size of about sqrt(K) / 3; torch rounds a bf16 result to 8 bits, an fp32 sum errs by far less. */
function unlike(ours: Float32Array, theirs: Float32Array, dtype: Stored): string | null {
  if (ours.length !== theirs.length) return `${ours.length} values, the peer's ${theirs.length}`
  let [gap, largest] = [0, 0]
  for (const [i, value] of ours.entries()) {
    gap = Math.max(gap, Math.abs(value - theirs[i]!))
    largest = Math.max(largest, Math.abs(value))
  }
  const accepted = (dtype === 'bf16' ? 2 ** -8 : 1e-5) * largest
  return gap <= accepted
    ? null
    : `products differ by ${gap.toPrecision(2)}, accepted ${accepted.toPrecision(2)}`
}

/**
 * kernels: every way of every kernel on one input, its error beside its speed: instruction set by instruction set,
 * weights in fp32 and in bf16, products in either, fused and composed, with a shared prefix and without. The first way of a kernel is what
 * the others are held against. Errors are those of the fp64 reference of native/ops where there is one, else of the
 * difference to the first way. A kernel joins by a line in native/binding/kernel_calls.cpp and one here.
 */

import { engineInfo, type NativeKernelRun, runKernel } from '../../src/engine/index.js'
import type { BenchCase, Ceilings, Comparison, Deviation, Prepared, Size, Variant } from '../contract.js'
import { operationsPerSecond } from '../roofline.js'
import type { Stored } from '../subject.js'
import { uniforms } from './gemm.js'

type Sizes = Readonly<Record<string, number>>

interface Way {
  readonly name: string
  readonly isa: string
  readonly kernel: string
  readonly storage: Stored
  readonly compute: Stored
}

interface KernelCase {
  readonly id: string
  readonly what: string
  /** As in kernel_calls.h; those after the first are other compositions of the same result. */
  readonly kernels: readonly string[]
  readonly sizes: Sizes
  readonly inputs: readonly Float32Array[]
  /** Also with weights in bf16. */
  readonly weights?: boolean
  /** Of one call: floating-point operations, or bytes read and written. */
  readonly operations?: number
  readonly bytes?: number
}

export const kernels: BenchCase = {
  name: 'kernels',
  what: 'every way of every kernel on one input',
  peers: [],
  minutes: { tiny: 0.2, quick: 3, full: 6 },
  prepare: async (size, ceilings): Promise<Prepared> => ({
    input: {},
    measures: [],
    comparisons: kernelCases(size).map((one) => comparisonOf(one, size, ceilings)),
    dispose: () => {},
  }),
}

function kernelCases(size: Size): readonly KernelCase[] {
  const small = size === 'tiny'
  const [k, n, r] = small ? [32, 64, 4] : [896, 4864, 16]
  return [
    ...(small ? [1, 5] : [1, 8, 64, 256]).map((m) => product(m, n, k)),
    adapted(small ? 5 : 64, n, k, r),
    ...packings(n, k),
    ...attentions(size),
    ...heads(size),
    ...rowKernels(small ? 6 : 512, small ? 32 : 896, small ? 64 : 4864, small ? 100 : 8192),
  ]
}

const values = (stream: number, count: number): Float32Array => uniforms(BigInt(1000 + stream), count)

function product(m: number, n: number, k: number): KernelCase {
  return {
    id: `gemm ${m}x${k}x${n}`,
    what: `product of ${m} rows, ${k} to ${n}`,
    kernels: ['gemm'],
    sizes: { m, n, k },
    inputs: [values(1, m * k), values(2, n * k)],
    weights: true,
    operations: 2 * m * n * k,
  }
}

function adapted(m: number, n: number, k: number, r: number): KernelCase {
  return {
    id: `gemm_lora ${m}x${k}+${r}x${n}`,
    what: 'a product with its adapter, as further terms of it or as a product of its own',
    kernels: ['gemm_lora', 'gemm_lora_composed'],
    sizes: { m, n, k, r },
    inputs: [values(1, m * k), values(2, n * k), values(3, m * r), values(4, n * r)],
    weights: true,
    operations: 2 * m * n * (k + r),
  }
}

function packings(n: number, k: number): KernelCase[] {
  return [
    {
      id: `pack ${k}x${n}`,
      what: 'a matrix into panels',
      kernels: ['pack'],
      sizes: { n, k },
      inputs: [values(2, n * k)],
      weights: true,
      bytes: 8 * n * k,
    },
  ]
}

function attentions(size: Size): KernelCase[] {
  const [prompt, group, rows] = size === 'tiny' ? [12, 2, 3] : [512, 8, 32]
  const [heads, kvHeads, d] = size === 'tiny' ? [4, 2, 8] : [14, 2, 64]
  const total = prompt + group * rows
  const sizes = { prompt, group, rows, heads, kvHeads, d }
  const q = values(5, total * heads * d)
  const [key, value] = [values(6, total * kvHeads * d), values(7, total * kvHeads * d)]
  const pairs = (prompt * (prompt + 1)) / 2 + group * (rows * prompt + (rows * (rows + 1)) / 2)
  const forward = 4 * pairs * heads * d
  const shape = `${group} times ${rows} rows after ${prompt}`
  return [
    {
      id: 'attention',
      what: `attention, ${shape}; operations of the shared prefix`,
      kernels: ['attention', 'attention_unshared'],
      sizes,
      inputs: [q, key, value],
      operations: forward,
    },
    {
      id: 'attention_backward',
      what: `its backward, ${shape}; operations of the shared prefix`,
      kernels: ['attention_backward', 'attention_backward_unshared'],
      sizes,
      inputs: [q, key, value, values(8, total * heads * d)],
      operations: 2.5 * forward,
    },
  ]
}

function heads(size: Size): KernelCase[] {
  const [t, h, v] = size === 'tiny' ? [3, 32, 200] : [8, 896, 32_768]
  const targets = Float32Array.from({ length: t }, (_, i) => (i * 7919 + 13) % v)
  const inputs = [values(9, t * h), values(10, v * h).map((value) => value / 16), targets]
  const sizes = { t, h, v }
  const shape = `${t} tokens over ${v} words`
  return [
    {
      id: 'head',
      what: `log-probs of targets, ${shape}, in tiles or with every logit written`,
      kernels: ['head', 'head_logits'],
      sizes,
      inputs,
      weights: true,
      operations: 2 * t * h * v,
    },
    {
      id: 'head_backward',
      what: `gradient of the hidden states, ${shape}`,
      kernels: ['head_backward'],
      sizes,
      inputs: [...inputs, new Float32Array(t).fill(-1 / t)],
      weights: true,
      operations: 4 * t * h * v,
    },
  ]
}

/** Kernels that go over rows once: bytes of what they read and write. */
function rowKernels(t: number, h: number, wide: number, v: number): KernelCase[] {
  const x = (stream: number, width = h): Float32Array => values(20 + stream, t * width)
  const once = (id: string, arrays: number, inputs: readonly Float32Array[], width = h): KernelCase => ({
    id,
    what: `${id.replace('_', ', ')}, ${t} rows of ${width}`,
    kernels: [id],
    sizes: { t, h: width },
    inputs,
    bytes: 4 * arrays * t * width,
  })
  const weight = values(30, h)
  const ids = Float32Array.from({ length: t }, (_, i) => (i * 7919 + 13) % v)
  const d = h % 64 === 0 ? 64 : 8
  return [
    once('rmsnorm', 2, [x(0), weight]),
    once('rmsnorm_backward', 3, [x(1), x(0), weight]),
    once('layernorm', 2, [x(0), weight, values(31, h)]),
    once('relu', 2, [x(0)]),
    { ...once('rope', 2, [x(0)]), sizes: { t, heads: h / d, d } },
    once('swiglu', 3, [x(2, wide), x(3, wide)], wide),
    once('swiglu_backward', 5, [x(4, wide), x(2, wide), x(3, wide)], wide),
    once('add', 3, [x(0), x(1)]),
    { ...once('embedding', 2, [values(32, v * h), ids]), sizes: { t, h, v } },
    once('sum_of_squares', 1, [x(2, wide)], wide),
    once('adamw', 7, [x(0), x(1)]),
  ]
}

/** Every instruction set for the first composition; the others, and bf16 weights, where the machine is best. */
function waysOf({ kernels: compositions, weights }: KernelCase): Way[] {
  const { isas } = engineInfo()
  const best = isas.at(-1)!
  const kernel = compositions[0]!
  return [
    ...isas.flatMap((isa): Way[] => [
      { name: isa, isa, kernel, storage: 'fp32', compute: 'fp32' },
      ...(weights ? bf16Ways(isa, kernel) : []),
    ]),
    ...compositions.slice(1).map(
      (other): Way => ({
        name: `${best}, ${other}`,
        isa: best,
        kernel: other,
        storage: 'fp32',
        compute: 'fp32',
      }),
    ),
  ]
}

function bf16Ways(isa: string, kernel: string): Way[] {
  const common = { isa, kernel, storage: 'bf16' } as const
  return [
    { ...common, name: `${isa}, bf16 weights`, compute: 'fp32' },
    { ...common, name: `${isa}, bf16 products`, compute: 'bf16' },
  ]
}

/** Seconds of one run: long against the clock, short against a case. */
const aim: Readonly<Record<Size, number>> = { tiny: 1e-4, quick: 0.03, full: 0.1 }

function comparisonOf(one: KernelCase, size: Size, ceilings: Ceilings): Comparison {
  const ways = waysOf(one)
  const call = (way: Omit<Way, 'name'>, repeats: number) =>
    runKernel({
      isa: way.isa,
      kernel: way.kernel,
      storage: way.storage,
      compute: way.compute,
      sizes: one.sizes,
      inputs: one.inputs,
      repeats,
    })
  let exact: Promise<NativeKernelRun | null> | null = null
  const reference = (): Promise<NativeKernelRun | null> => {
    exact ??= call({ isa: 'reference', kernel: one.kernels[0]!, storage: 'fp32', compute: 'fp32' }, 1)
    return exact
  }
  const giga = (one.operations ?? one.bytes ?? 0) / 1e9
  // Arrays of row kernels fit in the caches: memory's ceiling says nothing of them.
  const ceiling = (way: Way): number | null =>
    one.operations ? operationsPerSecond(ceilings, way.compute) / 1e9 : null
  return {
    id: one.id,
    what: one.what,
    unit: one.operations ? 'GFLOP/s' : 'GB/s',
    variants: ways.map((way): Variant => {
      let repeats = 0
      return {
        name: way.name,
        roofline: ceiling(way),
        run: async () => {
          if (repeats === 0)
            repeats = Math.max(1, Math.min(2000, Math.round(aim[size] / (await call(way, 1))!.seconds)))
          const { seconds, cpuSeconds } = (await call(way, repeats))!
          return { units: repeats * giga, seconds, cpuSeconds }
        },
        deviation: async () => {
          const first = ways[0]!
          const truth = (await reference()) ?? (way === first ? null : await call(first, 1))
          const against = (await reference()) ? 'fp64' : first.name
          return truth && deviationOf((await call(way, 1))!.outputs, truth.outputs, against)
        },
      }
    }),
  }
}

function deviationOf(
  found: readonly Float32Array[],
  exact: readonly Float32Array[],
  against: string,
): Deviation | null {
  let [max, sum, count] = [0, 0, 0]
  for (const [index, output] of exact.entries()) {
    const largest = output.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-30)
    for (const [i, value] of output.entries()) {
      const gap = Math.abs(found[index]![i]! - value) / largest
      max = Math.max(max, gap)
      sum += gap
    }
    count += output.length
  }
  return count > 0 ? { max, mean: sum / count, against } : null
}

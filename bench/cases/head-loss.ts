/**
 * head-loss: log-probs of targets over the whole vocabulary and the gradient of the hidden states, the head frozen. Ours
 * keeps tiles; torch computes all logits at once, or in chunks of 128 tokens. Both read the same arrays; loss and
 * gradient are compared.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { engineInfo, runKernel } from '../../src/engine/index.js'
import { closeTo } from '../agreement.js'
import type { BenchCase, Ceilings, Measure, Prepared, Size, Timing } from '../contract.js'
import { operationsPerSecond } from '../roofline.js'
import { computeOf } from '../subject.js'
import { bf16Uniforms } from './gemm.js'

interface Shape {
  readonly t: number
  readonly h: number
  readonly v: number
}

const shapes: Readonly<Record<Size, Shape>> = {
  tiny: { t: 12, h: 64, v: 700 },
  quick: { t: 256, h: 896, v: 151_936 },
  full: { t: 1024, h: 896, v: 151_936 },
}

export const headLoss: BenchCase = {
  name: 'head-loss',
  what: 'loss and gradient of the vocabulary head',
  peers: ['torch_ops'],
  minutes: { tiny: 0.2, quick: 1.5, full: 4 },
  prepare: async (size, ceilings): Promise<Prepared> => {
    const shape = shapes[size]
    const { t, h, v } = shape
    const folder = mkdtempSync(join(tmpdir(), 'reasonrec-bench-head-'))
    const arrays = {
      hidden: bf16Uniforms(101n, t * h),
      // Logits of deviation about 1/3, so that the softmax is neither flat nor a single token.
      head: bf16Uniforms(102n, v * h).map((value) => value / 16),
      targets: Float32Array.from({ length: t }, (_, i) => (i * 7919 + 13) % v),
    }
    for (const [name, values] of Object.entries(arrays))
      writeFileSync(join(folder, `${name}.f32`), new Uint8Array(values.buffer))
    const measures = [0, 128].map((chunk) => measureOf(chunk, shape, arrays, folder, ceilings))
    return { input: { folder }, measures, dispose: () => rmSync(folder, { recursive: true, force: true }) }
  },
}

interface Arrays {
  readonly hidden: Float32Array
  readonly head: Float32Array
  readonly targets: Float32Array
}

function measureOf(
  chunk: number,
  { t, h, v }: Shape,
  { hidden, head, targets }: Arrays,
  folder: string,
  ceilings: Ceilings,
): Measure {
  const common = {
    isa: engineInfo().isa,
    storage: 'bf16',
    compute: computeOf('bf16'),
    sizes: { t, h, v },
    repeats: 1,
  } as const
  const inputs = [hidden, head, targets]
  // The loss is a mean: every target's log-prob has the gradient -1 / t.
  const gradients = new Float32Array(t).fill(-1 / t)
  const forward = async () => (await runKernel({ ...common, kernel: 'head', inputs }))!
  const backward = async () =>
    (await runKernel({ ...common, kernel: 'head_backward', inputs: [...inputs, gradients] }))!
  const request = { t, h, v, dtype: 'bf16', chunk }
  return {
    id: chunk ? 'head-loss chunked' : 'head-loss',
    what: `loss and gradient of ${t} tokens over ${v} words, bf16; the peer ${chunk ? `in chunks of ${chunk}` : 'at once'}`,
    unit: 'tok/s',
    // Logits forward, once more, and the gradient.
    roofline: operationsPerSecond(ceilings, 'bf16') / (6 * h * v),
    run: async (): Promise<Timing> => {
      const [first, second] = [await forward(), await backward()]
      return {
        units: t,
        seconds: first.seconds + second.seconds,
        cpuSeconds: first.cpuSeconds + second.cpuSeconds,
      }
    },
    request: () => ({ op: 'head', units: t, ...request }),
    disagreement: async (peer) => {
      const logprobs = (await forward()).outputs[0]!
      const gradient = (await backward()).outputs[0]!
      const { loss } = (await peer({ check: 'head', ...request })) as { loss: number }
      const ours = -logprobs.reduce((sum, value) => sum + value, 0) / t
      const bytes = readFileSync(join(folder, 'gradient.f32'))
      const theirs = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
      // The peer's logits are rounded to 8 bits, and so is its gradient.
      return closeTo('loss', ours, loss, 2e-3) ?? unlike(gradient, theirs)
    },
  }
}

/** By the norm of the difference: single values near zero have no digits in bf16. */
function unlike(ours: Float32Array, theirs: Float32Array): string | null {
  let [gap, size] = [0, 0]
  for (const [i, value] of ours.entries()) {
    gap += (value - theirs[i]!) ** 2
    size += value ** 2
  }
  const relative = Math.sqrt(gap / size)
  return relative <= 0.02
    ? null
    : `gradients differ by ${relative.toPrecision(2)} of their norm, accepted 0.02`
}

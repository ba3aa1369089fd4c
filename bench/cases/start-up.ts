/**
 * start-up: from the start of a process to the first token of a model of Qwen2.5-0.5B's shape, random weights stored in
 * bf16, a prompt of 32 ids, greedy. Ours is a Node that imports the built engine (dist/); the peer is a Python that
 * imports transformers. Both are new processes each time and read the same folder, which the system has in memory
 * after the first run. Both tell the processor time they took so far with the token.
 */

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ReasonrecError } from '../../src/engine/index.js'
import type { AskPeer, BenchCase, Measure, Prepared, Size, Timing } from '../contract.js'
import { type ModelShape, qwenHalfBillion, tinyQwen, writeRandomModel } from '../random-model.js'

const shapes: Readonly<Record<Size, readonly [string, ModelShape]>> = {
  tiny: ['reasonrec-tiny-qwen2-random', tinyQwen],
  quick: ['reasonrec-qwen2.5-0.5b-random', qwenHalfBillion],
  full: ['reasonrec-qwen2.5-0.5b-random', qwenHalfBillion],
}
const promptLength = 32

const program = fileURLToPath(new URL('../first-token.mjs', import.meta.url))
const built = fileURLToPath(new URL('../../dist/engine/index.js', import.meta.url))

export const startUp: BenchCase = {
  name: 'start-up',
  what: 'from process start to the first token of a model of half a billion weights',
  peers: ['hf_generate'],
  goals: ['C15'],
  minutes: { tiny: 0.1, quick: 1, full: 2 },
  prepare: async (size): Promise<Prepared> => {
    if (!existsSync(built))
      throw new ReasonrecError('RR_BENCH_BUILD', 'the library is not built', { remedy: 'npm run build:ts' })
    const [name, shape] = shapes[size]
    const dir = join(tmpdir(), name)
    const { vocab } = writeRandomModel(dir, shape)
    const ids = Array.from({ length: promptLength }, (_, i) => (i * 7919 + 13) % vocab)
    return {
      input: { dir, ids },
      measures: [measureOf('C15 bf16', 'bf16', dir, ids), measureOf('C15 fp32', 'fp32', dir, ids)],
      dispose: () => {}, // the folder stays: it takes longer to write than to measure
    }
  },
}

function measureOf(id: string, dtype: 'bf16' | 'fp32', dir: string, ids: readonly number[]): Measure {
  const run = () => firstToken([program, built, dir, dtype, ids.join(',')])
  return {
    id,
    what: `process start to first token, weights held in ${dtype}`,
    unit: 'starts/s',
    roofline: null,
    run: async () => (await run()).timing,
    request: () => ({ op: 'start', dtype }),
    // In bf16 the peer rounds every sum, and near ties of random weights fall either way.
    ...(dtype === 'fp32' && {
      disagreement: async (peer: AskPeer) => {
        const ours = (await run()).token
        const { token } = (await peer({ check: 'start', dtype })) as { token: number }
        return ours === token ? null : `first token ${ours}, the peer's ${token}`
      },
    }),
  }
}

/** The line a program writes with its first token: {"token": id, "cpuSeconds": so far}. */
async function firstToken(args: readonly string[]): Promise<{ token: number; timing: Timing }> {
  const start = performance.now()
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const closed = new Promise<number | null>((resolve) => child.once('close', resolve))
  let [text, seconds] = ['', 0]
  child.stdout.on('data', (piece: Buffer) => {
    text += piece.toString()
    if (text.includes('\n') && seconds === 0) seconds = (performance.now() - start) / 1000
  })
  const status = await closed
  if (status !== 0)
    throw new ReasonrecError('RR_BENCH_RUN', 'the program ended without a token', { got: `status ${status}` })
  const { token, cpuSeconds } = JSON.parse(text) as { token: number; cpuSeconds: number }
  return { token, timing: { units: 1, seconds, cpuSeconds } }
}

/** Long jobs: cancellation, progress, a free event loop, errors with codes, environments that end early. */

import { spawnSync } from 'node:child_process'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { beforeAll, describe, expect, it } from 'vitest'
import { addonPath } from '../../../src/engine/build-addon.mjs'
import {
  Adapter,
  generate,
  type JobProgress,
  loadAddon,
  type Model,
  ReasonrecError,
  sequenceLogprobs,
  Trainer,
} from '../../../src/engine/index.js'
import { someIds, tinyConfig, tinyModel } from './tiny-model.js'

let model: Model
beforeAll(async () => {
  model = await tinyModel()
})

/** Far more work than any test waits for: minutes of tokens. */
function longDecode(job: { signal?: AbortSignal; onProgress?: (p: JobProgress) => void }) {
  const samples = Array.from({ length: 4 }, (_, i) => ({ stream: BigInt(i) }))
  const groups = Array.from({ length: 500 }, () => ({ prompt: someIds(20), samples }))
  return generate(
    model,
    {},
    groups,
    [{ kind: 'free', maxNew: 1800, sampling: { temperature: 1 } }],
    { seed: 1n, maxRows: 8 },
    job,
  )
}

function longTraining(
  trainer: Trainer,
  job: { signal?: AbortSignal; onProgress?: (p: JobProgress) => void },
) {
  const sequences = Array.from({ length: 3000 }, () => ({
    ids: someIds(500),
    weights: new Float32Array(500).fill(1, 1),
  }))
  return trainer.accumulateSft(sequences, 1, job)
}

async function refusal(call: () => unknown): Promise<ReasonrecError> {
  try {
    await call()
  } catch (error) {
    if (error instanceof ReasonrecError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

// Retried where a deadline is tested: other test files and programs share the cores.
describe('cancellation', { retry: 2 }, () => {
  it.each([1, 2, 3, 4, 5])('ends decoding within 100 ms (%i)', async () => {
    const controller = new AbortController()
    const job = longDecode({ signal: controller.signal })
    await sleep(60)
    const start = performance.now()
    controller.abort(new Error('enough'))
    const error = await refusal(() => job)
    expect(performance.now() - start).toBeLessThan(100)
    expect(error.code).toBe('RR_CANCELLED')
    expect((error.cause as Error).message).toBe('enough')
  })

  it('ends training within 100 ms and leaves the trainer usable', async () => {
    const adapter = await Adapter.create(model, { rank: 4, alpha: 8, targets: ['q_proj', 'up_proj'] }, 1n)
    const trainer = await Trainer.forAdapter(model, { adapter, tokenBudget: 512 })
    const controller = new AbortController()
    const job = longTraining(trainer, { signal: controller.signal })
    await sleep(60)
    const start = performance.now()
    controller.abort()
    expect((await refusal(() => job)).code).toBe('RR_CANCELLED')
    expect(performance.now() - start).toBeLessThan(100)
    trainer.dropGradients()
    expect(trainer.gradients().every((g) => g === 0)).toBe(true)
    const one = { ids: someIds(8), weights: new Float32Array(8).fill(1, 1) }
    expect((await trainer.accumulateSft([one], 7)).tokens).toBe(7)
  })

  it('refuses at once when already aborted, and drops a job that still waits', async () => {
    const aborted = AbortSignal.abort()
    expect((await refusal(() => longDecode({ signal: aborted }))).code).toBe('RR_CANCELLED')
    const controller = new AbortController()
    const [running, waiting] = [
      longDecode({ signal: controller.signal }),
      longDecode({ signal: controller.signal }),
    ]
    await sleep(30)
    controller.abort()
    expect((await refusal(() => running)).code).toBe('RR_CANCELLED')
    expect((await refusal(() => waiting)).code).toBe('RR_CANCELLED')
  })
})

describe('progress', () => {
  it('rises to the end and is reported there', async () => {
    const seen: JobProgress[] = []
    const groups = Array.from({ length: 40 }, (_, g) => ({
      prompt: someIds(8),
      samples: [{ stream: BigInt(g) }, { stream: BigInt(g + 100) }],
    }))
    await generate(
      model,
      {},
      groups,
      [{ kind: 'free', maxNew: 50, sampling: { temperature: 1 } }],
      { seed: 1n, maxRows: 16 },
      {
        onProgress: (progress) => seen.push(progress),
      },
    )
    const last = seen.at(-1)!
    expect(last.done).toBe(last.total)
    expect(last.total).toBe(80)
    expect(last.tokens).toBeGreaterThanOrEqual(80 * 50)
    for (let i = 1; i < seen.length; i++) expect(seen[i]!.done).toBeGreaterThanOrEqual(seen[i - 1]!.done)
  })
})

/** p99 of the event loop's delay over 1.5 s, ms. The histogram holds whole intervals: the timer's own 5 ms are in it. */
async function eventLoopDelay(): Promise<number> {
  const delay = monitorEventLoopDelay({ resolution: 5 })
  delay.enable()
  await sleep(1500)
  delay.disable()
  return delay.percentile(99) / 1e6
}

/** Threads that do nothing but compute, as many as the engine has: what any busy program does to the loop. */
async function underPureCompute<T>(measure: () => Promise<T>): Promise<T> {
  const spin = 'for (;;) Math.sqrt(Math.random())'
  const workers = Array.from({ length: loadAddon().info().threads }, () => new Worker(spin, { eval: true }))
  try {
    await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('online', resolve))))
    return await measure()
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()))
  }
}

describe('the event loop', { retry: 2 }, () => {
  it('stays free while a job runs: p99 delay at most 20 ms above that beside threads that only compute', async () => {
    const computing = await underPureCompute(eventLoopDelay)
    const controller = new AbortController()
    const job = longDecode({ signal: controller.signal, onProgress: () => {} })
    await sleep(50)
    const decoding = await eventLoopDelay()
    controller.abort()
    await refusal(() => job)
    expect(decoding - computing).toBeLessThan(20)
  })
})

describe('errors', () => {
  it('carry code, expected, got and remedy over the border', async () => {
    const error = await refusal(() => sequenceLogprobs(model, {}, [[1, 2, tinyConfig.vocab]]))
    expect(error.code).toBe('RR_TOKEN_OUT_OF_RANGE')
    expect(error.details.got).toContain(String(tinyConfig.vocab))
    expect(
      (await refusal(() => sequenceLogprobs(model, {}, [someIds(tinyConfig.maxPosition + 1)]))).code,
    ).toBe('RR_PROMPT_TOO_LONG')
  })

  it.each<[string, (addon: Record<string, (...args: unknown[]) => unknown>, native: object) => unknown]>([
    ['no arguments', (addon) => addon.generate!()],
    [
      'a model that is none',
      (addon) => addon.sequenceLogprobs!({}, { frozen: null, trained: null }, [], false, new Int32Array(4)),
    ],
    [
      'a trie for a model',
      (addon) => addon.createAdapter!(loadAddon().createTrie([Int32Array.of(1)]), {}, 1n),
    ],
    [
      'an object with a foreign prototype',
      (addon, native) => addon.createAdapter!(Object.create(Object.getPrototypeOf(native)), {}, 1n),
    ],
    [
      'a short control',
      (addon, native) =>
        addon.sequenceLogprobs!(native, { frozen: null, trained: null }, [], false, new Int32Array(2)),
    ],
    ['a negative stream', (addon) => addon.philox!(-1n, 0n, 0n, 1)],
    ['a huge count', (addon) => addon.philox!(1n, 0n, 0n, 2 ** 30)],
    ['ids of the wrong type', (addon) => addon.createTrie!([[1, 2, 3]])],
  ])('refuse %s without harm', async (_, call) => {
    const addon = loadAddon() as unknown as Record<string, (...args: unknown[]) => unknown>
    let thrown: unknown
    try {
      await call(addon, model.native)
    } catch (error) {
      thrown = error
    }
    expect((thrown as { code?: string }).code).toBe('RR_BAD_ARGUMENT')
  })

  it('do not let JS make objects of the addon', () => {
    const Native = model.native.constructor as new (...args: unknown[]) => unknown
    expect(() => new Native()).toThrow(TypeError)
    expect(() => new Native({})).toThrow(TypeError)
    const save = (model.native as { save: unknown }).save as (this: unknown, file: string) => unknown
    expect(() => save.call({}, 'x')).toThrow(TypeError)
  })

  it('say RR_BUSY to a call that would meet a running job', async () => {
    const adapter = await Adapter.create(model, { rank: 2, alpha: 4, targets: ['q_proj'] }, 1n)
    const trainer = await Trainer.forAdapter(model, { adapter, tokenBudget: 512 })
    const controller = new AbortController()
    const job = longTraining(trainer, { signal: controller.signal })
    expect(() => trainer.gradients()).toThrow(expect.objectContaining({ code: 'RR_BUSY' }))
    expect(() => adapter.setValues(adapter.values())).toThrow(expect.objectContaining({ code: 'RR_BUSY' }))
    controller.abort()
    await refusal(() => job)
    adapter.setValues(adapter.values())
  })
})

describe('an environment that ends in mid-job', () => {
  const code = `
    const { workerData, parentPort } = require('node:worker_threads')
    const addon = require(workerData.addonPath)
    addon.randomModel(workerData.config, 1n, 0.05, "fp32").then((model) => {
      const control = new Int32Array(new SharedArrayBuffer(16))
      const groups = Array.from({ length: 500 }, () => ({ prompt: Int32Array.of(1, 2, 3), samples: [{ stream: 1n, given: new Int32Array(0) }], trie: null, candidates: [] }))
      const sampling = { temperature: 1, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1 }
      const script = [{ kind: 'free', maxNew: 1800, sampling, stopTokens: new Int32Array(0), stopTokenEndsSample: true, stopStrings: [] }]
      const options = { seed: 1n, maxRows: 8, sharePrefix: true, vocabularyBytes: null }
      for (let i = 0; i < 3; i++) addon.generate(model, { frozen: null, trained: null }, groups, script, options, control).catch(() => {})
      parentPort?.postMessage('running')
    })`

  it('is joined without a crash, 20 times', async () => {
    loadAddon()
    for (let i = 0; i < 20; i++) {
      const worker = new Worker(code, { eval: true, workerData: { addonPath, config: tinyConfig } })
      await new Promise((resolve) => worker.once('message', resolve))
      await sleep(i * 3)
      const start = performance.now()
      await worker.terminate()
      expect(performance.now() - start).toBeLessThan(1000)
    }
  }, 60_000)

  it.each(['process.exit(7)', 'setTimeout(() => process.exit(7), 50)'])(
    'ends a process by %s with its own status',
    (exit) => {
      const start = performance.now()
      const program = code
        .replace(
          "const { workerData, parentPort } = require('node:worker_threads')",
          `const workerData = ${JSON.stringify({ addonPath, config: tinyConfig })}, parentPort = undefined`,
        )
        .replace(/parentPort\?\.postMessage\('running'\)/, exit)
      const child = spawnSync(process.execPath, ['-e', program], {
        encoding: 'utf8',
        cwd: fileURLToPath(new URL('../../..', import.meta.url)),
      })
      expect(child.status, child.stderr).toBe(7)
      expect(performance.now() - start).toBeLessThan(3000)
    },
  )

  it('does not keep a process alive that has nothing to wait for', () => {
    const child = spawnSync(process.execPath, ['-e', `require(${JSON.stringify(addonPath)}).info()`], {
      timeout: 5000,
    })
    expect(child.status).toBe(0)
  })
})

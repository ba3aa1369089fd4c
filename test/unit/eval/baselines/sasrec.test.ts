import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { configSchema } from '../../../../src/config/schema.js'
import type { Dataset, Instance } from '../../../../src/data/types.js'
import { objectiveOf, type SasrecSettings } from '../../../../src/eval/baselines/sasrec/objective.js'
import { trainingWindows } from '../../../../src/eval/baselines/sasrec/sequences.js'
import {
  bestEpoch,
  type SasrecOptions,
  type SasrecState,
  trainSasrec,
} from '../../../../src/eval/baselines/sasrec/training.js'
import { CheckpointStore } from '../../../../src/phases/run/checkpoint.js'
import { untrusted } from '../../../../src/prompts/untrusted-text.js'

const items = 12
const item = (start: number, step: number): number => (start + 5 * step) % items

/** Everybody walks on by five: what comes next depends on the last item alone. */
function ring(): Dataset {
  const users = Array.from({ length: 2 * items }, (_, user) => ({ name: `u${user}`, start: user % items }))
  const ask = (name: string, start: number, at: number): Instance => ({
    id: `${name}/${at}`,
    user: name,
    history: [0, 1, 2, 3].map((step) => item(start, at - 4 + step)),
    target: item(start, at),
    candidates: Array.from({ length: items }, (_, index) => index),
  })
  return {
    name: 'ring',
    noun: 'item',
    items: Array.from({ length: items }, (_, id) => ({ id: `${id}`, title: untrusted(`Item ${id}`) })),
    trainInteractions: users.flatMap(({ name, start }) =>
      [0, 1, 2, 3, 4, 5, 6].map((at) => ({ user: name, item: item(start, at), rating: null, timestamp: at })),
    ),
    train: [],
    valid: users.slice(0, items).map(({ name, start }) => ask(name, start, 7)),
    test: users.slice(0, items).map(({ name, start }) => ask(name, start, 8)),
    notes: [],
  }
}

function options(changed: Partial<SasrecSettings> = {}, rest: Partial<SasrecOptions> = {}): SasrecOptions {
  const { baselines } = configSchema.parse({
    baselines: { sasrec: { width: 16, blocks: 1, heads: 1, dropout: 0.1, lr: 0.01, epochs: 40, batch: 8 } },
  })
  return {
    settings: { ...baselines.sasrec, ...changed },
    seed: 3,
    maxHistory: 4,
    rowBudget: 16,
    ...rest,
  }
}

describe('training windows', () => {
  const sequence = (length: number) => ({
    trainInteractions: Array.from({ length }, (_, at) => ({
      user: 'u',
      item: at,
      rating: null,
      timestamp: at,
    })),
  })

  it('predict every item but the first once, in windows of n inputs', () => {
    expect(trainingWindows(sequence(8), 3, 'all')).toEqual([
      [0, 1],
      [1, 2, 3, 4],
      [4, 5, 6, 7],
    ])
    for (const length of [2, 3, 4, 9, 31])
      for (const n of [1, 2, 5, 40]) {
        const windows = trainingWindows(sequence(length), n, 'all')
        expect(windows.flatMap((window) => window.slice(1))).toEqual(
          Array.from({ length: length - 1 }, (_, at) => at + 1),
        )
        expect(Math.max(...windows.map((window) => window.length))).toBeLessThanOrEqual(n + 1)
      }
  })

  it('are the end of each sequence as the paper has it', () => {
    expect(trainingWindows(sequence(8), 3, 'last')).toEqual([[4, 5, 6, 7]])
    expect(trainingWindows(sequence(3), 3, 'last')).toEqual([[0, 1, 2]])
    expect(trainingWindows(sequence(1), 3, 'all')).toEqual([])
  })
})

describe('objectives', () => {
  it('draw what the papers draw', () => {
    expect(objectiveOf(options().settings, 100).negatives).toBe(0)
    expect(objectiveOf(options({ loss: 'bce' }).settings, 100)).toEqual({
      negatives: 1,
      positiveWeight: 1,
      spareSequence: true,
      terms: 1,
    })
  })

  it('weigh the positive of gBCE between no correction and the share drawn', () => {
    const weight = (calibration: number) =>
      objectiveOf(options({ loss: 'gbce', negatives: 25, calibration }).settings, 101).positiveWeight
    expect(weight(0)).toBeCloseTo(1, 12)
    expect(weight(1)).toBeCloseTo(0.25, 12)
    expect(weight(0.75)).toBeCloseTo(0.25 * (0.75 * (1 - 4) + 4), 12)
  })
})

describe('SASRec', () => {
  /** Rank of the target of each test, from 1. */
  const ranks = async (dataset: Dataset, changed: Partial<SasrecSettings>): Promise<number[]> => {
    const trained = await trainSasrec(dataset, options({ ...changed, patience: 40 }))
    expect(trained.curve.at(-1)!.loss).toBeLessThan(0.8 * trained.curve[0]!.loss)
    const scores = await trained.scores(dataset.test)
    return dataset.test.map(({ target, candidates }, index) => {
      const own = scores[index]![candidates.indexOf(target)]!
      return 1 + scores[index]!.filter((score) => score > own).length
    })
  }

  it.each(['softmax', 'gbce'] as const)('learns what follows what with %s', async (loss) => {
    const found = await ranks(ring(), { loss, negatives: loss === 'gbce' ? 6 : null })
    expect(found.filter((rank) => rank === 1).length).toBeGreaterThanOrEqual(items - 1)
  })

  it('learns with one negative what belongs together, for items of a sequence are never drawn', async () => {
    const found = await ranks(ring(), { loss: 'bce' })
    expect(Math.max(...found)).toBeLessThanOrEqual(items / 2)
  })

  it('stops when validation gets no better and uses the best epoch', async () => {
    const trained = await trainSasrec(ring(), options({ epochs: 200, patience: 3 }))
    expect(trained.epoch).toBe(bestEpoch(trained.curve))
    expect(trained.curve.length).toBe(trained.epoch + 3)
    expect(bestEpoch([{ loss: 1, ndcg5: null }])).toBe(0)
    expect(bestEpoch([0.1, 0.3, null, 0.3].map((ndcg5) => ({ loss: 1, ndcg5 })))).toBe(2)
  })

  it('trains without validation instances to the last epoch', async () => {
    const trained = await trainSasrec({ ...ring(), valid: [] }, options({ epochs: 3 }))
    expect([trained.epoch, trained.curve.map(({ ndcg5 }) => ndcg5)]).toEqual([3, [null, null, null]])
  })

  it('refuses data without a pair of interactions', async () => {
    await expect(trainSasrec({ ...ring(), trainInteractions: [] }, options())).rejects.toMatchObject({
      code: 'RR_DATA_EMPTY',
    })
  })
})

describe('an interrupted training', () => {
  let folder = ''
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'reasonrec-sasrec-'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  const storeIn = (name: string): CheckpointStore<SasrecState> => {
    mkdirSync(join(folder, name), { recursive: true })
    return new CheckpointStore<SasrecState>(join(folder, name), (text) => expect.fail(text))
  }
  const few = { epochs: 4, valid_every: 2 } as const

  it('goes on with the same bits, wherever it stopped', async () => {
    const straight = await trainSasrec(ring(), options(few))
    const expected = await straight.scores(ring().test)
    // 24 windows of 4 and 24 of 2 inputs in batches of 8: six steps an epoch; 6 and 12 are ends of epochs.
    for (const stops of [[6], [4, 17], [23]]) {
      const name = stops.join('-')
      for (const stop of stops) {
        const controller = new AbortController()
        const onProgress = ({ step }: { readonly step: number }) => {
          if (step === stop) controller.abort(new Error('stop here'))
        }
        const interrupted = trainSasrec(
          ring(),
          options(few, { store: storeIn(name), signal: controller.signal, onProgress }),
        )
        await expect(interrupted).rejects.toThrow()
        expect(storeIn(name).latest()!.state.step).toBe(stop)
      }
      const resumed = await trainSasrec(ring(), options(few, { store: storeIn(name) }))
      expect(resumed.curve).toEqual(straight.curve)
      expect(await resumed.scores(ring().test)).toEqual(expected)
    }
  })

  it('uses the checkpoint of a finished training as it is', async () => {
    const first = await trainSasrec(ring(), options(few, { store: storeIn('done') }))
    let steps = 0
    const again = await trainSasrec(
      ring(),
      options(few, {
        store: storeIn('done'),
        onProgress: ({ rows }) => {
          steps += rows > 0 ? 1 : 0
        },
      }),
    )
    expect(steps).toBe(0)
    expect(await again.scores(ring().test)).toEqual(await first.scores(ring().test))
  })

  it('is not taken for another one', async () => {
    await trainSasrec(ring(), options({ epochs: 1 }, { store: storeIn('one') }))
    const other = trainSasrec(ring(), options({ epochs: 1, lr: 0.02 }, { store: storeIn('one') }))
    await expect(other).rejects.toMatchObject({ code: 'RR_CHECKPOINT_MISMATCH' })
    const seed = trainSasrec(ring(), { ...options({ epochs: 1 }, { store: storeIn('one') }), seed: 4 })
    await expect(seed).rejects.toMatchObject({ code: 'RR_CHECKPOINT_MISMATCH' })
  })
})

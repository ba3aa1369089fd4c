/**
 * Trains SASRec on a dataset's training interactions, keeps the epoch with the best NDCG@5 on its validation
 * instances, and scores candidates. The order of an epoch and the masks of a step are pure functions of (seed,
 * epoch, step), so weights, moments and counts are all that a checkpoint holds, and a resumed training ends with
 * the bits of a straight one.
 */

import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { chosen, seeded } from '../../../data/random.js'
import type { Dataset, Instance } from '../../../data/types.js'
import { type JobOptions, ReasonrecError, Sasrec } from '../../../engine/index.js'
import { readTensor, storedTensors, writeTensors } from '../../../export/tensor-file.js'
import { rankingOutcomes } from '../../protocol.js'
import { basicMetrics, type RankingMetric } from '../../result-row.js'
import { meansOf, type Outcome } from '../../significance.js'
import { objectiveOf, type SasrecSettings } from './objective.js'
import { trainingWindows } from './sequences.js'

/** One finished epoch. */
export interface SasrecEpoch {
  /** Mean loss of its predictions, dropout on. */
  readonly loss: number
  /** Of the validation instances; null where none was asked. */
  readonly ndcg5: number | null
}

export interface SasrecState {
  /** Finished updates. */
  readonly step: number
  /** Of settings, seed and data: another training's checkpoint is refused. */
  readonly identity: string
  readonly curve: readonly SasrecEpoch[]
  /** Of the epoch under way. */
  readonly loss: number
  readonly rows: number
}

/** Where checkpoints go; phases/checkpoint.ts has the one that survives a kill. */
export interface SasrecStore {
  latest(): { readonly path: string; readonly state: SasrecState } | null
  save(state: SasrecState, write: (folder: string) => Promise<void>): Promise<boolean>
}

export interface SasrecOptions {
  readonly settings: SasrecSettings
  readonly seed: number
  /** Longest sequence where settings.max_length is null. */
  readonly maxHistory: number
  /** Rows of a micro-batch: memory, not bits. */
  readonly rowBudget: number
  readonly store?: SasrecStore | undefined
  readonly signal?: AbortSignal | undefined
  /** Told once where it goes on, then after every update. */
  readonly onProgress?: ((progress: SasrecProgress) => void) | undefined
  /** Told after every epoch. */
  readonly onEpoch?: ((epoch: number, result: SasrecEpoch) => void) | undefined
}

export interface SasrecProgress {
  /** Updates so far. */
  readonly step: number
  /** If no epoch ends it early. */
  readonly steps: number
  /** Predictions of this update. */
  readonly rows: number
}

export interface TrainedSasrec {
  readonly curve: readonly SasrecEpoch[]
  /** The epoch whose weights are used, from 1. */
  readonly epoch: number
  /** One score per candidate of each instance, in their order. */
  scores(instances: readonly Instance[], job?: JobOptions): Promise<number[][]>
  /** Its metrics on each instance. */
  outcomes(
    instances: readonly Instance[],
    metrics: readonly RankingMetric[],
    job?: JobOptions,
  ): Promise<Outcome[]>
  /** Its weights as safetensors. */
  save(file: string): Promise<void>
}

const stateFile = 'training.safetensors'
const bestFile = 'best.safetensors'
/** Instances scored at once. */
const piece = 256

/** @throws RR_DATA_EMPTY, RR_NON_FINITE_LOSS, RR_CHECKPOINT_MISMATCH, RR_OUT_OF_MEMORY; the signal's reason or RR_CANCELLED, saved */
export async function trainSasrec(dataset: Dataset, options: SasrecOptions): Promise<TrainedSasrec> {
  const training = await SasrecTraining.start(dataset, options)
  try {
    await training.run()
  } catch (error) {
    if (options.signal?.aborted) await training.saveUnfinished()
    throw error
  }
  return training.result()
}

class SasrecTraining {
  private step = 0
  private savedStep = 0
  private curve: SasrecEpoch[] = []
  private loss = 0
  private rows = 0
  /** Of the epoch under way. */
  private shuffled: { readonly epoch: number; readonly windows: readonly (readonly number[])[] } = {
    epoch: -1,
    windows: [],
  }
  /** Weights of the best epoch so far. */
  private best: Float32Array | null = null
  private readonly stepsPerEpoch: number
  private readonly valid: readonly Instance[]
  private readonly identity: string

  private constructor(
    private readonly dataset: Dataset,
    private readonly options: SasrecOptions,
    private readonly model: Sasrec,
    private readonly windows: readonly (readonly number[])[],
  ) {
    const { settings, seed } = options
    this.stepsPerEpoch = Math.ceil(windows.length / settings.batch)
    const most = settings.valid_instances ?? dataset.valid.length
    this.valid = chosen(dataset.valid, most, ({ id }) => id, seed, 'sasrec validation')
    const { enabled: _, ...learned } = settings
    const hash = createHash('sha256').update(JSON.stringify([learned, seed, dataset.items.length, windows]))
    // Under full ranking all share one list.
    let before: readonly number[] | null = null
    for (const { id, candidates } of this.valid) {
      hash.update(JSON.stringify(candidates === before ? id : [id, candidates]))
      before = candidates
    }
    this.identity = hash.digest('hex')
  }

  static async start(dataset: Dataset, options: SasrecOptions): Promise<SasrecTraining> {
    const { settings, seed } = options
    const positions = settings.max_length ?? options.maxHistory
    const windows = trainingWindows(dataset, positions, settings.long_sequences)
    if (windows.length === 0)
      throw new ReasonrecError('RR_DATA_EMPTY', 'SASRec has nothing to learn from', {
        expected: 'a training user with two interactions',
        got: `${dataset.trainInteractions.length} training interactions`,
      })
    const { width, blocks, heads } = settings
    const shape = { items: dataset.items.length, positions, width, blocks, heads, normEpsilon: 1e-8 }
    const model = await Sasrec.create(shape, word(seed, 'weights'))
    const training = new SasrecTraining(dataset, options, model, windows)
    await training.resume()
    return training
  }

  private get steps(): number {
    return this.stepsPerEpoch * this.options.settings.epochs
  }

  private async resume(): Promise<void> {
    const checkpoint = this.options.store?.latest()
    if (checkpoint) {
      const { path, state } = checkpoint
      if (state.identity !== this.identity)
        throw new ReasonrecError('RR_CHECKPOINT_MISMATCH', `${path} belongs to another training of SASRec`, {
          expected: this.identity,
          got: state.identity,
          remedy: 'restore the configuration and the data as they were, or choose another folder',
        })
      await this.model.loadState(join(path, stateFile))
      const tensors = bestEpoch(state.curve) > 0 ? storedTensors([join(path, bestFile)]) : []
      if (tensors.length > 0) this.best = this.flat(tensors.map((t) => [t.name, readTensor(t)]))
      this.step = state.step
      this.savedStep = state.step
      this.curve = [...state.curve]
      this.loss = state.loss
      this.rows = state.rows
    }
    this.options.onProgress?.({ step: this.step, steps: this.steps, rows: 0 })
  }

  async run(): Promise<void> {
    const { signal } = this.options
    while (!this.finished()) {
      signal?.throwIfAborted()
      if (this.step < this.stepsPerEpoch * (this.curve.length + 1)) await this.update()
      else await this.endEpoch()
    }
  }

  private finished(): boolean {
    const { epochs, patience, valid_every } = this.options.settings
    if (this.curve.length >= epochs) return true
    return this.best !== null && this.curve.length - bestEpoch(this.curve) >= patience * valid_every
  }

  private async update(): Promise<void> {
    const { settings, seed, rowBudget, signal } = this.options
    const epoch = this.curve.length
    if (this.shuffled.epoch !== epoch)
      this.shuffled = { epoch, windows: seeded(seed, 'sasrec order', epoch).shuffled(this.windows) }
    const first = (this.step - epoch * this.stepsPerEpoch) * settings.batch
    const batch = this.shuffled.windows.slice(first, first + settings.batch)
    const { terms, ...drawn } = objectiveOf(settings, this.dataset.items.length)
    const predictions = batch.reduce((sum, window) => sum + window.length - 1, 0)
    const result = await this.model.accumulate(
      batch,
      {
        ...drawn,
        normaliser: predictions * terms,
        dropout: settings.dropout,
        seed: word(seed, 'step', this.step),
        rowBudget,
      },
      { signal },
    )
    const norm = await this.model.apply({
      learningRate: settings.lr,
      weightDecay: settings.weight_decay,
      clipNorm: 0,
      beta1: 0.9,
      beta2: 0.98,
      epsilon: 1e-8,
    })
    if (!Number.isFinite(norm) || !Number.isFinite(result.loss))
      throw new ReasonrecError(
        'RR_NON_FINITE_LOSS',
        `SASRec: loss or gradient of step ${this.step + 1} is not finite`,
        {
          got: `loss ${result.loss}, gradient norm ${norm}`,
          remedy: 'lower baselines.sasrec.lr',
        },
      )
    this.step++
    this.loss += result.loss * result.rows
    this.rows += result.rows
    this.options.onProgress?.({ step: this.step, steps: this.steps, rows: result.rows })
  }

  private async endEpoch(): Promise<void> {
    const { settings, onEpoch } = this.options
    const number = this.curve.length + 1
    const asked = this.valid.length > 0 && (number % settings.valid_every === 0 || number === settings.epochs)
    const epoch: SasrecEpoch = { loss: this.loss / this.rows, ndcg5: asked ? await this.validate() : null }
    this.curve.push(epoch)
    this.loss = 0
    this.rows = 0
    if (bestEpoch(this.curve) === number) this.best = this.model.values()
    onEpoch?.(number, epoch)
    if (number % settings.valid_every === 0 || this.finished()) await this.save()
  }

  private async validate(): Promise<number> {
    const { signal } = this.options
    return meansOf(await this.outcomes(this.valid, basicMetrics, { signal })).ndcg5
  }

  /** In pieces: a list may be a whole catalogue. */
  private async outcomes(
    instances: readonly Instance[],
    metrics: readonly RankingMetric[],
    job?: JobOptions,
  ): Promise<Outcome[]> {
    const outcomes: Outcome[] = []
    for (let first = 0; first < instances.length; first += piece) {
      const some = instances.slice(first, first + piece)
      outcomes.push(...rankingOutcomes(some, { scores: await this.scores(some, job) }, { metrics }))
    }
    return outcomes
  }

  private async scores(instances: readonly Instance[], job?: JobOptions): Promise<number[][]> {
    const histories = instances.map(({ history }) => history)
    const candidates = instances.map((instance) => instance.candidates)
    const scores = await this.model.scores(histories, candidates, this.options.rowBudget, job)
    return scores.map((row) => Array.from(row))
  }

  private async save(): Promise<void> {
    const { store } = this.options
    if (!store) return
    const { step, identity, curve, loss, rows, best } = this
    const written = await store.save({ step, identity, curve, loss, rows }, async (folder) => {
      await this.model.saveState(join(folder, stateFile))
      if (best) await this.write(join(folder, bestFile), best)
    })
    if (written) this.savedStep = step
  }

  /** After an interruption: the finished updates of the epoch under way. */
  async saveUnfinished(): Promise<void> {
    if (this.step > this.savedStep) await this.save()
  }

  result(): TrainedSasrec {
    if (this.best) this.model.setValues(this.best)
    return {
      curve: this.curve,
      epoch: bestEpoch(this.curve) || this.curve.length,
      scores: (instances, job) => this.scores(instances, job),
      outcomes: (instances, metrics, job) => this.outcomes(instances, metrics, job),
      save: (file) => this.write(file, this.model.values()),
    }
  }

  private async write(file: string, values: Float32Array): Promise<void> {
    const layout = this.model.layout()
    const tensors = layout.map(({ name, rows, cols }) => ({ name, dtype: 'F32', shape: [rows, cols] }))
    await writeTensors(file, tensors, (_, index) => {
      const { offset, rows, cols } = layout[index]!
      return new Uint8Array(values.buffer, values.byteOffset + 4 * offset, 4 * rows * cols)
    })
  }

  private flat(tensors: readonly (readonly [string, Buffer])[]): Float32Array {
    const bytes = new Map(tensors)
    const values = this.model.values()
    const target = Buffer.from(values.buffer)
    for (const { name, offset } of this.model.layout()) bytes.get(name)?.copy(target, 4 * offset)
    return values
  }
}

/** The epoch with the highest NDCG@5, from 1, the earliest of equals; 0 where none was validated. */
export function bestEpoch(curve: readonly SasrecEpoch[]): number {
  let best = 0
  curve.forEach(({ ndcg5 }, index) => {
    if (ndcg5 !== null && ndcg5 > (curve[best - 1]?.ndcg5 ?? -1)) best = index + 1
  })
  return best
}

/** 62 bits for one purpose. */
function word(seed: number, ...purpose: readonly (string | number)[]): bigint {
  const random = seeded(seed, 'sasrec', ...purpose)
  return (BigInt(random.below(2 ** 31)) << 31n) | BigInt(random.below(2 ** 31))
}

/**
 * What Imitation and Internalization share: a trainer with its checkpoints. A step is a pure function of
 * (seed, step) and of the values before it, so restoring values, moments and the step count restores the
 * run to the bit. A loss or gradient norm that is not finite drops the update (values unchanged); the
 * tenth ends the run with a saved state.
 */

import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Adapter, engineInfo, type Model, ReasonrecError, Trainer } from '../../engine/index.js'
import { type CheckpointState, CheckpointStore } from '../run/checkpoint.js'
import type { PhaseContext } from '../run/context.js'
import { fsyncPath, isWriteProblem, writeFailure } from '../run/files.js'
import { isInterruption } from '../run/interrupt.js'

const skipLimit = 10
const optimiserFile = 'optimizer.safetensors'

export type TrainedPhase = 'imitate' | 'internalize'

export interface TrainingSetup {
  readonly phase: TrainedPhase
  readonly model: Model
  /** Carried along untrained, below the trained adapter. */
  readonly frozen: Adapter | null
  /** The adapter as training starts; null trains every weight of the model. */
  readonly fresh: (() => Promise<Adapter>) | null
  readonly saveEvery: number
}

export interface UpdateSettings {
  readonly learningRate: number
  readonly weightDecay: number
  readonly clipNorm: number
}

export interface UpdateResult {
  readonly gradNorm: number
  readonly skipped: boolean
}

export class Training {
  /** Finished steps. */
  step: number
  /** Steered weights of the next step; null where they stand still. */
  weights: CheckpointState['weights'] | null
  private skipped: number
  private saved: number
  /** An update of the step under way was applied: the values are those of no finished step. */
  private between = false

  private constructor(
    private readonly context: PhaseContext,
    private readonly setup: TrainingSetup,
    private readonly store: CheckpointStore,
    readonly trainer: Trainer,
    readonly adapter: Adapter | null,
    at: Pick<CheckpointState, 'step' | 'skipped' | 'weights'>,
  ) {
    this.step = at.step
    this.saved = at.step
    this.skipped = at.skipped
    this.weights = at.weights ?? null
  }

  /** Begins the phase, or goes on from its newest sound checkpoint. */
  static async start(context: PhaseContext, setup: TrainingSetup): Promise<Training> {
    const { run, config } = context
    const store = new CheckpointStore(run.file('checkpoints', setup.phase), (text) =>
      context.progress.note(text),
    )
    const checkpoint = run.stage(setup.phase) ? store.latest() : null
    if (checkpoint && checkpoint.state.config_hash !== run.loaded.hash) {
      throw new ReasonrecError(
        'RR_CHECKPOINT_MISMATCH',
        `${checkpoint.path} belongs to another configuration`,
        {
          expected: run.loaded.hash,
          got: checkpoint.state.config_hash,
          remedy: 'restore config.yaml as it was, or start a new run',
        },
      )
    }
    run.begin(setup.phase, checkpoint?.state.offsets ?? run.stage(setup.phase)?.began)
    const adapter =
      setup.fresh && (checkpoint ? await Adapter.load(setup.model, checkpoint.path) : await setup.fresh())
    const options = { tokenBudget: config.model.token_budget, recompute: config.model.recompute }
    const trainer = adapter
      ? await Trainer.forAdapter(setup.model, { ...options, adapter, frozen: setup.frozen })
      : await Trainer.forFullParameters(setup.model, options)
    if (checkpoint) await trainer.loadState(join(checkpoint.path, optimiserFile))
    return new Training(context, setup, store, trainer, adapter, checkpoint?.state ?? { step: 0, skipped: 0 })
  }

  /** One AdamW update of the accumulated gradients, or none where `loss` or the norm is not finite. */
  async update(loss: number, settings: UpdateSettings): Promise<UpdateResult> {
    if (!Number.isFinite(loss)) {
      this.trainer.dropGradients()
      return { gradNorm: Number.NaN, skipped: true }
    }
    const { learningRate, weightDecay, clipNorm } = settings
    this.between = true
    const gradNorm = await this.trainer.apply({
      learningRate,
      weightDecay,
      clipNorm,
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-8,
    })
    return { gradNorm, skipped: !Number.isFinite(gradNorm) }
  }

  /** Counts a finished step (its metrics are written), saves where due, and stops after too many skips. */
  async stepDone(steps: number, skipped: boolean, batch: readonly string[]): Promise<void> {
    this.step++
    this.between = false
    if (skipped) this.skipped++
    const tooMany = this.skipped >= skipLimit
    if (this.step % this.setup.saveEvery === 0 || this.step === steps || tooMany) await this.save()
    if (skipped)
      this.context.progress.note(
        `step ${this.step}: loss or gradient not finite, update dropped (${this.skipped} so far)`,
      )
    if (!tooMany) return
    throw new ReasonrecError(
      'RR_NON_FINITE_LOSS',
      `${this.setup.phase}: ${skipLimit} updates were dropped because loss or gradient was not finite`,
      {
        got: `step ${this.step}, batch ${batch.slice(0, 8).join(' ')}`,
        remedy: 'lower the learning rate or the clip norm and start again',
      },
    )
  }

  /**
   * Runs `loop`; an interruption saves the finished steps and goes up unchanged. Half a step's
   * gradients are dropped; where half its updates were applied, the checkpoint before is where to go on.
   */
  async guarded<T>(loop: () => Promise<T>): Promise<T> {
    try {
      return await loop()
    } catch (error) {
      if (isInterruption(error, this.context.signal)) {
        this.trainer.dropGradients()
        if (this.step > this.saved && !this.between) await this.save()
        this.context.run.pause(this.setup.phase)
      }
      throw error
    }
  }

  private async save(): Promise<void> {
    const { run } = this.context
    const { phase, model } = this.setup
    const state = {
      phase,
      step: this.step,
      config_hash: run.loaded.hash,
      offsets: run.syncedOffsets(),
      skipped: this.skipped,
      ...(this.weights && { weights: this.weights }),
      versions: { reasonrec: engineInfo().version, node: process.version },
    }
    const written = await this.store.save(state, async (folder) => {
      await this.adapter?.save(folder, { baseModel: model.dir ?? '' })
      await this.trainer.saveState(join(folder, optimiserFile))
    })
    if (written) this.saved = this.step
  }
}

/** Fills a folder beside `final` and puts it there in one step, replacing what a killed run left. */
export async function publishFolder(final: string, fill: (folder: string) => Promise<void>): Promise<void> {
  const temporary = `${final}.${process.pid}.tmp`
  rmSync(temporary, { recursive: true, force: true })
  try {
    mkdirSync(temporary, { recursive: true })
    await fill(temporary)
    fsyncPath(temporary)
    if (existsSync(final)) rmSync(final, { recursive: true })
    renameSync(temporary, final)
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true })
    throw isWriteProblem(error) ? writeFailure(final, error) : error
  }
  fsyncPath(join(final, '..'))
}

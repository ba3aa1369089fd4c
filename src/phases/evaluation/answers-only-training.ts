/**
 * A training within an evaluation: an adapter of its own, checkpoints of its own (checkpoints/<name>, gone when it is done), and
 * afterwards the adapter in PEFT's format with curve.json, one number for each step. A step is a pure function of (seed,
 * step) and of the values before it, so an interrupted training ends with the bits of a straight one.
 */

import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Adapter, ReasonrecError, Trainer } from '../../engine/index.js'
import { CheckpointStore, type Stepped } from '../run/checkpoint.js'
import type { PhaseContext } from '../run/context.js'
import { isInterruption } from '../run/interrupt.js'
import { publishFolder, type UpdateSettings } from '../training/training.js'

export interface AnswersOnlyTraining {
  /** What a person calls it. */
  readonly label: string
  readonly steps: number
  readonly saveEvery: number
  readonly fresh: () => Promise<Adapter>
  /** Adds a step's gradients; where it learns nothing, no update is made. `value` goes into the curve. */
  readonly accumulate: (
    trainer: Trainer,
    adapter: Adapter,
    step: number,
  ) => Promise<{ readonly value: number | null; readonly learns: boolean }>
  readonly update: (step: number) => UpdateSettings
}

interface TrainingState extends Stepped {
  readonly config_hash: string
  readonly curve: readonly (number | null)[]
}

const optimiserFile = 'optimizer.safetensors'

/** The adapter in the run's folder `name`, or the one that comes of the training. */
export async function trainedAnswers(
  context: PhaseContext,
  name: string,
  training: () => AnswersOnlyTraining,
): Promise<Adapter> {
  if (!existsSync(context.run.file(name))) await train(context, name, training())
  return Adapter.load(context.base, context.run.file(name))
}

async function train(context: PhaseContext, name: string, training: AnswersOnlyTraining): Promise<void> {
  const { base, config, progress, run, signal } = context
  const saved = savedTrainings(context, name)
  const checkpoint = saved.latest()
  const adapter = checkpoint ? await Adapter.load(base, checkpoint.path) : await training.fresh()
  const trainer = await Trainer.forAdapter(base, { tokenBudget: config.model.token_budget, adapter })
  if (checkpoint) await trainer.loadState(join(checkpoint.path, optimiserFile))
  const curve = [...(checkpoint?.state.curve ?? [])]
  let safe = curve.length
  const save = async (): Promise<void> => {
    if (curve.length > safe && (await saved.save(adapter, trainer, curve))) safe = curve.length
  }
  progress.start(training.label, training.steps, 'steps')
  progress.advance(curve.length, 0)
  let between = false
  try {
    while (curve.length < training.steps) {
      signal.throwIfAborted()
      const { value, learns } = await training.accumulate(trainer, adapter, curve.length)
      between = true
      if (learns) await trainer.apply({ ...adam, ...training.update(curve.length) })
      curve.push(value)
      between = false
      if (curve.length % training.saveEvery === 0) await save()
      progress.advance(1, 0)
    }
  } catch (error) {
    if (isInterruption(error, signal)) {
      trainer.dropGradients()
      if (!between) await save()
    }
    throw error
  }
  await publishFolder(run.file(name), async (temporary) => {
    await adapter.save(temporary, { baseModel: base.dir ?? '' })
    writeFileSync(join(temporary, 'curve.json'), `${JSON.stringify(curve)}\n`)
  })
  saved.remove()
  progress.end()
}

interface SavedTrainings {
  latest(): { readonly path: string; readonly state: TrainingState } | null
  save(adapter: Adapter, trainer: Trainer, curve: readonly (number | null)[]): Promise<boolean>
  remove(): void
}

function savedTrainings({ run, base, progress }: PhaseContext, name: string): SavedTrainings {
  const store = new CheckpointStore<TrainingState>(run.file('checkpoints', name), (text) =>
    progress.note(text),
  )
  return {
    latest: () => {
      const found = store.latest()
      if (!found || found.state.config_hash === run.loaded.hash) return found
      throw new ReasonrecError('RR_CHECKPOINT_MISMATCH', `${found.path} belongs to another configuration`, {
        expected: run.loaded.hash,
        got: found.state.config_hash,
        remedy: 'restore config.yaml as it was, or start a new run',
      })
    },
    save: (adapter, trainer, curve) =>
      store.save({ step: curve.length, config_hash: run.loaded.hash, curve }, async (folder) => {
        await adapter.save(folder, { baseModel: base.dir ?? '' })
        await trainer.saveState(join(folder, optimiserFile))
      }),
    remove: () => rmSync(store.directory, { recursive: true, force: true }),
  }
}

const adam = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const

/**
 * The model at each stage of a run, from the run's folder:
 *   base          the user's model;
 *   imitated      the base with reference-adapter/, or the weights in imitated-model/ (sft.adapter: full);
 *   internalized  the imitated model's weights with adapter/ (a stacked adapter was exported as one).
 */

import { existsSync } from 'node:fs'
import { Adapter, Model, ReasonrecError } from '../../engine/index.js'
import type { PhaseContext, StageModel } from './context.js'
import type { RunDirectory } from './run-directory.js'
import type { Phase } from './run-record.js'

export const referenceFolder = 'reference-adapter'
export const imitatedModelFolder = 'imitated-model'
export const adapterFolder = 'adapter'

export function baseStage(context: PhaseContext): StageModel {
  return { model: context.base, adapters: {} }
}

/** A stage needs the one before it. */
export function requireStage(run: RunDirectory, before: Phase, phase: Phase): void {
  if (run.isDone(before)) return
  throw new ReasonrecError(
    'RR_OUTPUT_STAGE',
    `${phase} needs what ${before} leaves, and ${before} is not done in ${run.path}`,
    {
      remedy: `run ${before} first`,
    },
  )
}

/** The model Internalization starts from, and its adapter (null after full-parameter imitation). */
export async function imitatedStage(
  context: PhaseContext,
): Promise<StageModel & { readonly adapter: Adapter | null }> {
  const full = context.run.file(imitatedModelFolder)
  if (existsSync(full)) {
    const { dtype, compute } = context.config.model
    return {
      model: await Model.open(full, { signal: context.signal, dtype, compute }),
      adapters: {},
      adapter: null,
    }
  }
  const folder = context.run.file(referenceFolder)
  const adapter = await Adapter.load(context.base, folder)
  return { model: context.base, adapters: { trained: adapter }, adapter }
}

/** Null where the run has no Internalization (rl.steps 0). */
export async function internalizedStage(
  context: PhaseContext,
  imitated: StageModel,
): Promise<StageModel | null> {
  const folder = context.run.file(adapterFolder)
  if (context.config.rl.steps === 0 || !existsSync(folder)) return null
  return { model: imitated.model, adapters: { trained: await Adapter.load(imitated.model, folder) } }
}

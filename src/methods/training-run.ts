/**
 * A run in code, phase by phase:
 *
 *   const run = await startRun({ preset: 're2', model: DIR, data: DIR, out: 'runs/first' })
 *   await collect(run)
 *   await imitate(run)
 *   await internalize(run)
 *   const { table } = await evaluate(run)
 *   run.run.close()
 *
 * A phase that is done is skipped and one that was interrupted goes on, to the same bits, so the same program run again
 * after a crash is a resume. The command line does the same with the same folder.
 */

import { resolve } from 'node:path'
import { loadConfig } from '../config/load.js'
import { ReasonrecError } from '../engine/errors.js'
import { runPhase, writeResults } from '../phases/pipeline.js'
import type { PhaseContext } from '../phases/run/context.js'
import { type ProgressSink, silentProgress } from '../phases/run/progress.js'
import { isRunDirectory, RunDirectory } from '../phases/run/run-directory.js'
import type { Phase, RunSummary, SampleLine } from '../phases/run/run-record.js'
import { methodSteps, presetFile } from './registry.js'
import { createRun, openRun } from './session.js'

export interface RunOptions {
  /** Folder of the run: made, or gone on with. */
  readonly out: string
  /** Named settings; re2 unless told. */
  readonly preset?: string
  /** YAML file with keys on top of the preset. */
  readonly config?: string
  /** Keys on top of both: { 'rl.steps': 30 }. */
  readonly set?: Readonly<Record<string, unknown>>
  /** Model folder or GGUF file, and data folder: model.dir and data.dir. */
  readonly model?: string
  readonly data?: string
  readonly progress?: ProgressSink
  /** A sample as it is written to samples.jsonl. */
  readonly onSample?: (sample: SampleLine) => void
  /** Aborting it ends the phase at its next safe point with an Interrupted error. */
  readonly signal?: AbortSignal
}

/**
 * Opens the run in `out`, or makes it. Close it by `run.run.close()`: until then its folder is locked.
 * @throws RR_OUTPUT_CONFIG where `out` holds a run of another configuration, RR_OUTPUT_IN_USE, RR_OUTPUT_NOT_EMPTY, and
 *   what models, data and configurations that cannot be read are refused with
 */
export async function startRun(options: RunOptions): Promise<PhaseContext> {
  const { out, preset = 're2', config = null, model, data } = options
  const loaded = loadConfig({
    preset: presetFile(preset),
    file: config,
    set: [],
    options: {
      ...options.set,
      ...(model !== undefined && { 'model.dir': resolve(model) }),
      ...(data !== undefined && { 'data.dir': resolve(data) }),
    },
  })
  const watcher = {
    progress: options.progress ?? silentProgress,
    onSample: options.onSample ?? (() => {}),
    signal: options.signal ?? new AbortController().signal,
  }
  if (!isRunDirectory(out)) return createRun(loaded, out, [], watcher)
  requireSameConfig(out, loaded.hash)
  return openRun(out, watcher)
}

/** Reasoning Collection, or R2Rec's interaction-of-thoughts: traces.jsonl. */
export const collect = (run: PhaseContext): Promise<void> => phase(run, 'collect')

/** Pattern Imitation, or R2Rec's fine-tuning: reference-adapter/. Needs what collect leaves. */
export const imitate = (run: PhaseContext): Promise<void> => phase(run, 'imitate')

/** Pattern Internalization, or R2Rec's reinforcement learning: adapter/. Needs what imitate leaves. */
export const internalize = (run: PhaseContext): Promise<void> => phase(run, 'internalize')

/** The table of all models of the run beside the baselines; writes summary.json and the report. Needs what imitate leaves. */
export async function evaluate(run: PhaseContext): Promise<RunSummary> {
  await phase(run, 'evaluate')
  return writeResults(run, methodSteps(run.config))
}

async function phase(context: PhaseContext, name: Phase): Promise<void> {
  context.run.addToPlan(name)
  await runPhase(context, methodSteps(context.config), name)
}

/** A run keeps its configuration; options that say otherwise are an error, not ignored. */
export function requireSameConfig(out: string, hash: string): void {
  const run = RunDirectory.open(out)
  const same = run.loaded.hash === hash
  run.close()
  if (same) return
  throw new ReasonrecError('RR_OUTPUT_CONFIG', `${out} was made with another configuration`, {
    remedy: 'give the options it was made with, or choose another folder',
  })
}

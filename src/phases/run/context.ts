/** What every phase is given: the run's folder and configuration, the data, the method, the model, and who watches. */

import type { Config } from '../../config/schema.js'
import type { Dataset } from '../../data/types.js'
import type { Adapters, DecodeOptions, Model } from '../../engine/index.js'
import type { Method } from '../../methods/method.js'
import type { Tokenizer } from '../../prompts/tokenizer.js'
import type { VocabularyBytes } from '../../prompts/vocabulary-bytes.js'
import type { OwnTerm } from '../../rewards/weights.js'
import type { Encoding } from './encoding.js'
import type { ProgressSink } from './progress.js'
import type { RunDirectory } from './run-directory.js'
import type { SampleLine } from './run-record.js'

/** What asking a model takes: no run directory, nobody who watches. */
export interface ModelContext {
  readonly config: Config
  readonly dataset: Dataset
  readonly method: Method
  readonly tokenizer: Tokenizer
  readonly encoding: Encoding
  /** Bytes of every vocabulary entry, for stop strings. */
  readonly vocabularyBytes: VocabularyBytes
  readonly signal: AbortSignal
}

/** A set and how it is put into tokens. */
export type SetInUse = Pick<ModelContext, 'dataset' | 'encoding'>

export interface PhaseContext extends ModelContext {
  /** One and the same unless eval.data names another set. `dataset` and `encoding` are those of training outside of evaluation. */
  readonly sets: { readonly training: SetInUse; readonly tests: SetInUse }
  readonly run: RunDirectory
  /** The model as the user gave it. */
  readonly base: Model
  /** Reward terms of the user's own (rl.reward.user, registerReward). */
  readonly ownTerms: readonly OwnTerm[]
  readonly progress: ProgressSink
  /** A sample for a person to read, as the phases write it to samples.jsonl. */
  readonly show: (sample: SampleLine) => void
}

/** What is asked, ranked and judged is the set of the tests. */
export function onTests(context: PhaseContext): PhaseContext {
  return { ...context, ...context.sets.tests }
}

/** Whatever trains, also within an evaluation, learns from the set of training. */
export function onTraining(context: PhaseContext): PhaseContext {
  return { ...context, ...context.sets.training }
}

/** Does the run train on one set and test on another? */
export function isTransfer({ sets }: PhaseContext): boolean {
  return sets.tests.dataset !== sets.training.dataset
}

/** Is it a run of baselines alone? Every other one begins with Collection. */
export function isBaselinesOnly({ run }: { readonly run: Pick<RunDirectory, 'plan'> }): boolean {
  return !run.plan.includes('collect')
}

/** A model at some stage of its training: weights and the adapters to run them with. */
export interface StageModel {
  readonly model: Model
  readonly adapters: Adapters
}

/** Decoding options that a phase shares over its calls. */
export function decodeOptions(context: ModelContext, seed: bigint): DecodeOptions {
  return { seed, maxRows: context.config.model.max_rows, vocabularyBytes: context.vocabularyBytes }
}

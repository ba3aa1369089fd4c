/**
 * Opens what a run needs, in an order that fails early and leaves nothing behind: configuration, output
 * folder free, model folder, tokenizer, data, room on the disk, and only then the run directory.
 */

import { totalmem } from 'node:os'
import type { LoadedConfig } from '../config/load.js'
import type { Config } from '../config/schema.js'
import { type LoadOptions, loadDataset } from '../data/load.js'
import { candidateProtocol } from '../data/protocol.js'
import type { Dataset } from '../data/types.js'
import { engineInfo, Model, modelTensors, ReasonrecError, setThreads } from '../engine/index.js'
import type { PhaseContext } from '../phases/run/context.js'
import { checkpointBytes, requireFreeSpace, runBytes } from '../phases/run/disk-space.js'
import { Encoding } from '../phases/run/encoding.js'
import type { ProgressSink } from '../phases/run/progress.js'
import { RunDirectory } from '../phases/run/run-directory.js'
import type { Phase, SampleLine } from '../phases/run/run-record.js'
import { Tokenizer } from '../prompts/tokenizer.js'
import { embeddedDataset, historyLength } from '../quickstart/dataset.js'
import { embedded, embeddedModelFolder } from '../quickstart/embedded.js'
import { ownTermsOf } from '../rewards/user-file.js'
import type { OwnTerm } from '../rewards/weights.js'
import { methodOf, methodReward } from './registry.js'

export interface Watcher {
  readonly progress: ProgressSink
  /** A sample as it is written to samples.jsonl. */
  readonly onSample: (sample: SampleLine) => void
  readonly signal: AbortSignal
}

/** A new run. */
export async function createRun(
  loaded: LoadedConfig,
  out: string,
  plan: readonly Phase[],
  watcher: Watcher,
): Promise<PhaseContext> {
  RunDirectory.requireFree(out)
  const ownTerms = await checkedTerms(loaded.config)
  const parts = await openParts(loaded.config, watcher.signal)
  requireFreeSpace(out, runBytes(loaded.config, parts.base, parts.dataset, parts.tested))
  return contextOf(
    parts,
    RunDirectory.create(out, loaded, plan, (text) => watcher.progress.note(text)),
    watcher,
    ownTerms,
  )
}

/** A run that is there, with the configuration it was made with. */
export async function openRun(out: string, watcher: Watcher): Promise<PhaseContext> {
  const run = RunDirectory.open(out, (text) => watcher.progress.note(text))
  try {
    const ownTerms = run.isDone('internalize') ? [] : await checkedTerms(run.loaded.config)
    const parts = await openParts(run.loaded.config, watcher.signal)
    const trains = (['imitate', 'internalize'] as const).some(
      (phase) => run.plan.includes(phase) && !run.isDone(phase),
    )
    if (trains) requireFreeSpace(run.path, checkpointBytes(run.loaded.config, parts.base))
    return contextOf(parts, run, watcher, ownTerms)
  } catch (error) {
    run.close()
    throw error
  }
}

/** The user's own reward terms; a reward that cannot be made is refused before anything is opened. */
async function checkedTerms(config: Config): Promise<readonly OwnTerm[]> {
  const ownTerms = await ownTermsOf(config)
  methodReward(config, ownTerms)
  return ownTerms
}

interface Parts {
  readonly base: Model
  readonly tokenizer: Tokenizer
  /** The set that trains. */
  readonly dataset: Dataset
  /** The set that is tested on: the same one unless eval.data names another. */
  readonly tested: Dataset
}

async function openParts(config: Config, signal: AbortSignal): Promise<Parts> {
  const { base, tokenizer } = await openModel(config, signal)
  const dataset = await openDataset(config)
  return { base, tokenizer, dataset, tested: config.eval.data === null ? dataset : await openTested(config) }
}

export async function openModel(
  config: Config,
  signal?: AbortSignal,
): Promise<Pick<Parts, 'base' | 'tokenizer'>> {
  const named = required(config.model.dir, 'model.dir', '--model DIR')
  const dir = named === embedded ? embeddedModelFolder() : named
  requireMemory(config, dir)
  await setThreads(config.model.threads === 0 ? engineInfo().threads : config.model.threads)
  const { dtype, compute } = config.model
  const base = await Model.open(dir, { signal, dtype, compute })
  const tokenizer = await Tokenizer.open(dir)
  tokenizer.checkVocabulary(base.vocab)
  return { base, tokenizer }
}

/** For a model, whose prompts hold the candidates. */
export async function openDataset(config: Config): Promise<Dataset> {
  if (candidateProtocol(config.data.candidates).full)
    throw new ReasonrecError('RR_CONFIG_VALUE', 'data.candidates full ranks the whole catalogue', {
      expected: 'a protocol whose list fits a prompt, such as C20',
      got: 'full',
      remedy: 'choose C20 or C100 for language models; `reasonrec baseline` takes full',
    })
  return openRankingData(config)
}

/** The set that is tested on. */
export function openTested(config: Config): Promise<Dataset> {
  return openDataset(testedConfig(config))
}

/**
 * The data section as it holds for the set that is tested on. What says something about one folder (its name, its noun,
 * lists kept in a file) is not carried over to another one; how it is read, split and asked about is.
 */
export function testedConfig(config: Config): Config {
  const { data } = config.eval
  return data === null
    ? config
    : { ...config, data: { ...config.data, dir: data, name: null, noun: null, cand_file: null } }
}

/** For rows that rank without a prompt. */
export async function openRankingData(config: Config): Promise<Dataset> {
  const { data } = config
  if (data.dir === embedded) return openEmbedded(config)
  return loadDataset(required(data.dir, 'data.dir', '--data DIR'), loadOptions(config))
}

function openEmbedded({ data }: Config): Dataset {
  const { name, size, popular, full } = candidateProtocol(data.candidates)
  if (popular || full || data.cand_file !== null)
    throw new ReasonrecError('RR_CONFIG_VALUE', 'the embedded data draws uniform lists', {
      expected: 'data.candidates C20 or another length, and no data.cand_file',
      got: data.cand_file ?? name,
      remedy: 'correct the key, or bring data of your own',
    })
  return embeddedDataset({
    candidates: size,
    candidateSeed: data.cand_seed,
    shown: Math.min(data.max_hist, historyLength),
  })
}

/** The data section as options of loadDataset. */
export function loadOptions({ data }: Config): LoadOptions {
  return {
    minHistory: data.min_hist,
    maxHistory: data.max_hist,
    protocol: data.candidates,
    candidateSeed: data.cand_seed,
    candidateFile: data.cand_file,
    exclude: data.exclude,
    published: data.published,
    repeats: data.repeat_targets,
    split: data.split,
    ties: data.ties,
    tieSeed: data.tie_seed,
    maxTrainPerUser: data.max_train_per_user,
    core: data.core,
    maxUsers: data.max_users,
    ...(data.noun !== null && { noun: data.noun }),
  }
}

/**
 * Weights are packed once for forward and once for backward. Full-parameter training adds, per weight, a second
 * model in fp32 with values, gradients and two moments.
 */
const bytesOfFullTraining = 24

/** A lower bound, known before anything is loaded; activations and caches come on top. */
function requireMemory(config: Config, dir: string): void {
  const tensors = modelTensors(dir)
  const sizeOf = (shape: readonly number[]) => shape.reduce((size, extent) => size * extent, 1)
  const weights = tensors.reduce((sum, { shape }) => sum + sizeOf(shape), 0)
  const stored = tensors.filter(({ shape }) => shape.length === 2).every(({ dtype }) => dtype === 'BF16')
  const { dtype, compute } = config.model
  const half = dtype === 'bf16' || (dtype === 'auto' && (stored || compute === 'bf16'))
  const perWeight = 2 * (half ? 2 : 4) + (config.sft.adapter === 'full' ? bytesOfFullTraining : 0)
  const needed = (weights * perWeight) / 2 ** 30
  const allowed = config.model.max_memory ?? totalmem() / 2 ** 30
  if (needed <= allowed) return
  throw new ReasonrecError('RR_PLAN_MEMORY', `the weights of ${dir} do not fit`, {
    expected: `at most ${allowed.toFixed(2)} GiB`,
    got: `${needed.toFixed(2)} GiB for ${weights} weights before activations`,
    remedy:
      config.sft.adapter === 'full'
        ? 'train an adapter (sft.adapter: lora)'
        : 'use a smaller model, or raise model.max_memory',
  })
}

function contextOf(
  { base, tokenizer, dataset, tested }: Parts,
  run: RunDirectory,
  watcher: Watcher,
  ownTerms: readonly OwnTerm[],
): PhaseContext {
  const { config } = run.loaded
  const method = methodOf(config)
  const training = { dataset, encoding: new Encoding(dataset, method, tokenizer) }
  const tests =
    tested === dataset ? training : { dataset: tested, encoding: new Encoding(tested, method, tokenizer) }
  return {
    config,
    run,
    ...training,
    sets: { training, tests },
    method,
    tokenizer,
    base,
    vocabularyBytes: tokenizer.vocabularyBytes(base.vocab),
    ownTerms,
    progress: watcher.progress,
    show: (sample) => {
      run.sample(sample)
      watcher.onSample(sample)
    },
    signal: watcher.signal,
  }
}

function required(value: string | null, key: string, option: string): string {
  if (value !== null) return value
  throw new ReasonrecError('RR_USAGE_MISSING', `${key} is not set`, {
    remedy: `give ${option} or set ${key} in a configuration file`,
  })
}

/**
 * Is there room for a run? Asked before its folder is made, so that a full disk is an error in the first
 * seconds and not after an hour of collecting:
 *   needed = two checkpoints + what the run publishes + its record files, all in bytes, rounded up.
 * A disk that fills up later is met where it is written to: checkpoints, records, published folders.
 */

import { resolve } from 'node:path'
import type { Config } from '../../config/schema.js'
import type { Dataset } from '../../data/types.js'
import { type LinearName, type Model, type NativeModelConfig, ReasonrecError } from '../../engine/index.js'
import { freeBytes } from './files.js'
import { collectInstances, testInstances } from './instances.js'

/** An fp32 value and the two moments AdamW keeps with it. */
const bytesPerTrained = 12
const bytesPerValue = 4
/** A trace or prediction beside its reasoning: ids, candidates, gates or scores. */
const lineBytes = 800
const bytesPerToken = 5
/** A chain as evidence: users, items, ratings. */
const chainBytes = 200
const metricsLineBytes = 1500
/** Configuration, state, summary, report and its figures. */
const fixedBytes = 1 << 20

/** @throws RR_OUTPUT_DISK_FULL */
export function requireFreeSpace(path: string, needed: number): void {
  const free = freeBytes(path)
  if (free === null || free >= needed) return
  throw new ReasonrecError('RR_OUTPUT_DISK_FULL', `the disk of ${resolve(path)} has no room for this run`, {
    expected: `${needed} bytes free for checkpoints, results and records`,
    got: `${free} bytes`,
    remedy: 'free space or choose another --out',
  })
}

/** What a new run needs, bytes. */
export function runBytes(
  config: Config,
  model: Pick<Model, 'config' | 'parameters'>,
  dataset: Dataset,
  tested: Dataset = dataset,
): number {
  const { imitated, trained } = trainedValues(config, model)
  const published = bytesPerValue * (imitated + trained)
  const besides = answersOnlyBytes(config, model)
  return 2 * checkpointBytes(config, model) + published + besides + recordBytes(config, dataset, tested)
}

/** Adapters that are trained within the evaluation, one after the other, each with its checkpoints. */
function answersOnlyBytes({ eval: tests, baselines, sft }: Config, model: Pick<Model, 'config'>): number {
  const arms = new Set<string>(baselines.llm.filter((name) => !name.startsWith('zero_shot')))
  if (tests.controls.includes('answers_only')) for (const arm of ['sft_direct', 'grpo_direct']) arms.add(arm)
  if (arms.size === 0) return 0
  const values = adapterValues(model.config, sft.rank, sft.targets)
  return values * (2 * bytesPerTrained + bytesPerValue * arms.add('sft_direct').size)
}

/** The larger of the two phases' checkpoints: the least that a run needs to go on. */
export function checkpointBytes(config: Config, model: Pick<Model, 'config' | 'parameters'>): number {
  const { imitated, trained } = trainedValues(config, model)
  return bytesPerTrained * Math.max(imitated, trained)
}

function trainedValues(
  { sft, rl }: Config,
  model: Pick<Model, 'config' | 'parameters'>,
): { readonly imitated: number; readonly trained: number } {
  const imitated =
    sft.adapter === 'full' ? model.parameters : adapterValues(model.config, sft.rank, sft.targets)
  const stacked = rl.adapter === 'stack' || sft.adapter === 'full'
  const trained = stacked ? adapterValues(model.config, rl.rank, sft.targets) : imitated
  return { imitated, trained }
}

function adapterValues(model: NativeModelConfig, rank: number, targets: readonly LinearName[]): number {
  const { hidden, intermediate, heads, kvHeads, headDim } = model
  const [queries, keys] = [heads * headDim, kvHeads * headDim]
  const sides: Readonly<Record<LinearName, number>> = {
    q_proj: hidden + queries,
    k_proj: hidden + keys,
    v_proj: hidden + keys,
    o_proj: queries + hidden,
    gate_proj: hidden + intermediate,
    up_proj: hidden + intermediate,
    down_proj: intermediate + hidden,
  }
  return model.layers * rank * targets.reduce((sum, name) => sum + sides[name], 0)
}

/** Of what Collection writes about one instance: samples of whole responses, and R2Rec's triples, a thought for each hop. */
function traceBytes({ method, collect, teacher, r2rec, graph }: Config): number {
  const line = (tokens: number): number => lineBytes + bytesPerToken * tokens
  const builtin = teacher.kind === 'builtin'
  // What a server answers stands in its ledger and in the traces.
  const copies = teacher.kind === 'openai' ? 2 : 1
  if (method !== 'r2rec')
    return (builtin ? 1 : copies * (collect.k_free + collect.k_hint)) * line(collect.max_new)
  const hops = 2 * (graph.middles + 1)
  const rankings = builtin ? Math.min(1, collect.k_free) : collect.k_free
  return (
    copies *
    (r2rec.triples * (line(hops * r2rec.step_max_new) + chainBytes) +
      rankings * (line(collect.max_new) + r2rec.chains * chainBytes))
  )
}

/** traces.jsonl, predictions.jsonl and metrics.jsonl of the whole run. */
function recordBytes(config: Config, dataset: Dataset, tested: Dataset): number {
  const { collect, rl, eval: tests } = config
  const lines = (count: number, tokens: number): number => count * (lineBytes + bytesPerToken * tokens)
  const models = tests.direct ? 6 : 3
  return (
    fixedBytes +
    collectInstances(dataset, config).length * traceBytes(config) +
    lines(collect.fill_to, collect.max_new) +
    lines(testInstances(tested, config).length * models, tests.max_new ?? rl.max_new) +
    rl.steps * metricsLineBytes
  )
}

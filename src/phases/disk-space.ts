/**
 * Is there room for a run? Asked before its folder is made, so that a full disk is an error in the first
 * seconds and not after an hour of collecting:
 *   needed = two checkpoints + what the run publishes + its record files, all in bytes, rounded up.
 * A disk that fills up later is met where it is written to: checkpoints, records, published folders.
 */

import { resolve } from 'node:path'
import type { Config } from '../config/schema.js'
import type { Dataset } from '../data/types.js'
import { type LinearName, type Model, type NativeModelConfig, ReasonrecError } from '../engine/index.js'
import { freeBytes } from './files.js'
import { collectInstances, testInstances } from './instances.js'

/** An fp32 value and the two moments AdamW keeps with it. */
const bytesPerTrained = 12
const bytesPerValue = 4
/** A trace or prediction beside its reasoning: ids, candidates, gates or scores. */
const lineBytes = 800
const bytesPerToken = 5
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
): number {
  const { imitated, trained } = trainedValues(config, model)
  const published = bytesPerValue * (imitated + trained)
  return 2 * checkpointBytes(config, model) + published + recordBytes(config, dataset)
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

/** traces.jsonl, predictions.jsonl and metrics.jsonl of the whole run. */
function recordBytes(config: Config, dataset: Dataset): number {
  const { collect, rl, eval: tests } = config
  const lines = (count: number, tokens: number): number => count * (lineBytes + bytesPerToken * tokens)
  const samples = collect.regime === 'builtin' ? 1 : collect.k_free + collect.k_hint
  const models = tests.direct ? 6 : 3
  return (
    fixedBytes +
    lines(collectInstances(dataset, config).length * samples + collect.fill_to, collect.max_new) +
    lines(testInstances(dataset, config).length * models, tests.max_new ?? rl.max_new) +
    rl.steps * metricsLineBytes
  )
}

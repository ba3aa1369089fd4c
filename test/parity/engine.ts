/** The engine's public face in the few shapes that the comparisons need. */
import { copyFileSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  Adapter,
  aggregationWeights,
  generate,
  loadAddon,
  Model,
  type NativeParameter,
  type OptimiserStep,
  type PolicyLossConfig,
  sequenceLogprobs as scoreSequences,
  Trainer,
} from '../../src/engine/index.js'
import type { NativeSampling } from '../../src/engine/native.js'

const everything = { tokenBudget: 4096 }

export async function addon() {
  return { native: loadAddon() }
}

/** Opens a model folder; another config file of the folder stands in for config.json. */
export async function openModel(path: string, config = 'config.json'): Promise<Model> {
  if (config === 'config.json') return Model.open(path)
  const copy = mkdtempSync(join(tmpdir(), 'reasonrec-parity-'))
  try {
    for (const name of readdirSync(path))
      if (!/^config/.test(name)) copyFileSync(join(path, name), join(copy, name))
    copyFileSync(join(path, config), join(copy, 'config.json'))
    return await Model.open(copy)
  } finally {
    rmSync(copy, { recursive: true })
  }
}

export const loadAdapter = (model: Model, path: string): Promise<Adapter> => Adapter.load(model, path)

export async function sequenceLogprobs(
  model: Model,
  trained: Adapter | null,
  sequences: readonly (readonly number[])[],
  logits: boolean,
) {
  const got = await scoreSequences(model, { trained }, sequences, { logits })
  return { ...got, logits: got.logits ?? [] }
}

export interface SftItem {
  readonly ids: readonly number[]
  readonly prompt_len: number
  readonly answer_start: number
}

/** Response tokens with weight 1, or 0.5 before the answer; divided by the NUMBER of response tokens. */
export function supervised(batch: readonly SftItem[], loss: 'plain' | 'weighted') {
  const reasoning = loss === 'plain' ? 1 : 0.5
  return {
    sequences: batch.map(({ ids, prompt_len, answer_start }) => ({
      ids: Int32Array.from(ids),
      weights: Float32Array.from(ids, (_, t) => (t < prompt_len ? 0 : t < answer_start ? reasoning : 1)),
    })),
    normaliser: batch.reduce((sum, { ids, prompt_len }) => sum + ids.length - prompt_len, 0),
  }
}

export function sftTrainer(model: Model, adapter: Adapter | null) {
  const ready = adapter
    ? Trainer.forAdapter(model, { adapter, ...everything })
    : Trainer.forFullParameters(model, everything)
  let trainer: Trainer
  return {
    async accumulate({ sequences, normaliser }: ReturnType<typeof supervised>) {
      trainer = await ready
      return trainer.accumulateSft(sequences, normaliser)
    },
    apply: (step: OptimiserStep) => trainer.apply(step),
    layout: () => trainer.layout(),
    values: () => trainer.values(),
    gradients: () => trainer.gradients(),
  }
}

/** The tensors of a flat buffer, by name. */
export function flat(layout: readonly NativeParameter[], buffer: Float32Array): [string, Float32Array][] {
  return layout.map(({ name, offset, rows, cols }) => [name, buffer.subarray(offset, offset + rows * cols)])
}

export const sampling = (given: Partial<NativeSampling>): NativeSampling => ({
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  ...given,
})

const decoding = { seed: 0n, maxRows: 8 }

export async function greedy(
  model: Model,
  trained: Adapter | null,
  prompt: readonly number[],
  maxNew: number,
  repetitionPenalty: number,
) {
  const script = [
    { kind: 'free', maxNew, sampling: sampling({ temperature: 0, repetitionPenalty }) },
  ] as const
  const [[sample]] = (await generate(
    model,
    { trained },
    [{ prompt, samples: [{ stream: 0n }] }],
    script,
    decoding,
  )) as [[Awaited<ReturnType<typeof generate>>[0][0]]]
  return sample!
}

export async function scoreCandidates(
  model: Model,
  trained: Adapter | null,
  prompt: readonly number[],
  candidates: readonly (readonly number[])[],
) {
  const [samples] = await generate(
    model,
    { trained },
    [{ prompt, samples: [{ stream: 0n }], candidates }],
    [],
    decoding,
  )
  return { joint: samples![0]!.candidateJoint, mean: samples![0]!.candidateMean }
}

/** One policy step on fixed completions; log-probs come back per completion. */
export async function policyStep(
  model: Model,
  adapter: Adapter,
  given: {
    readonly prompts: readonly (readonly number[])[]
    readonly completions: readonly (readonly number[])[]
    readonly groupOfRow: readonly number[]
    readonly oldLogprobs: readonly Float32Array[]
    readonly advantages: readonly number[]
    readonly loss: PolicyLossConfig
  },
) {
  const trainer = await Trainer.forAdapter(model, { adapter, ...everything })
  const rows = given.completions.map((ids, row) => ({
    ids,
    mask: new Uint8Array(ids.length).fill(1),
    oldLogprobs: given.oldLogprobs[row]!,
    advantage: given.advantages[row]!,
  }))
  const groups = given.prompts.map((prompt, group) => ({
    prompt,
    completions: rows.filter((_, row) => given.groupOfRow[row] === group),
  }))
  const lengths = Int32Array.from(given.completions, (ids) => ids.length)
  const weights = aggregationWeights(given.loss.aggregation, lengths, given.loss.maxLength)
  const result = await trainer.accumulatePolicy(groups, given.loss, weights, {
    temperature: 1,
    reference: {},
  })
  const ends = given.completions.map((_, row) => lengths.subarray(0, row + 1).reduce((sum, n) => sum + n, 0))
  const perRow = (all: Float32Array) => ends.map((end, row) => all.subarray(end - lengths[row]!, end))
  return {
    result,
    logprobs: perRow(result.logprobs),
    references: perRow(result.referenceLogprobs),
    layout: trainer.layout(),
    gradients: trainer.gradients(),
  }
}

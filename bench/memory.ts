/**
 * npx tsx bench/memory.ts [--case NAME] [--json]: what planMemory says against the peak (VmHWM) of a process that does
 * it, one process for each case and phase. Small cases need nothing; `minimind2-small` needs REASONREC_MODELS,
 * `qwen2.5-0.5b-*` write about 1 GB of random weights to the folder for temporary files. Linux.
 */

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  Adapter,
  generate,
  type MemoryPhase,
  type MemoryQuestion,
  Model,
  type NativeModelConfig,
  planMemory,
  readModelConfig,
  Trainer,
} from '../src/engine/index.js'
import { embeddedModelFolder } from '../src/quickstart/embedded.js'
import { qwenHalfBillion, writeRandomModel } from './random-model.js'

interface Case {
  readonly dir: () => string | null
  readonly question: Omit<MemoryQuestion, 'config' | 'process'>
}

const common = {
  dtype: 'fp32',
  stored: 4,
  full: false,
  rank: 16,
  prompt: 256,
  completion: 64,
  rows: 64,
  group: 8,
  scored: false,
  sequences: 32,
  prompts: 8,
  tokenBudget: 4096,
  recompute: false,
  dropout: false,
  reference: true,
} as const

const shared = process.env.REASONREC_MODELS
const minimind = () => (shared ? join(shared, 'minimind2-small') : null)
const half = () => {
  const dir = join(tmpdir(), 'reasonrec-qwen2.5-0.5b-random')
  writeRandomModel(dir, qwenHalfBillion)
  return dir
}
const small = { sequences: 4, prompts: 2, rows: 8, group: 4, prompt: 96, completion: 16 } as const

const cases: Readonly<Record<string, Case>> = {
  embedded: { dir: embeddedModelFolder, question: common },
  'embedded-recompute': { dir: embeddedModelFolder, question: { ...common, recompute: true, dropout: true } },
  'embedded-full': {
    dir: embeddedModelFolder,
    question: { ...common, full: true, rank: 0, reference: false, tokenBudget: 1024 },
  },
  'minimind2-small': { dir: minimind, question: { ...common, stored: 2, tokenBudget: 1024 } },
  'minimind2-small-bf16': {
    dir: minimind,
    question: { ...common, stored: 2, dtype: 'bf16', recompute: true, tokenBudget: 1024 },
  },
  'qwen2.5-0.5b-bf16': { dir: half, question: { ...common, ...small, dtype: 'bf16', stored: 2 } },
  'qwen2.5-0.5b-fp32': { dir: half, question: { ...common, ...small, stored: 2, recompute: true } },
}

const phases: readonly MemoryPhase[] = ['load', 'decode', 'sft', 'grpo']

interface Measured {
  readonly before: number
  readonly planned: number
  readonly peak: number
}

/** Of this process, bytes: VmRSS, or VmHWM. */
function status(field: 'VmRSS' | 'VmHWM'): number {
  const line = new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync('/proc/self/status', 'utf8'))
  return Number(line?.[1] ?? Number.NaN) * 1024
}

/** One phase in this process; VmHWM counts from the opening of the model. */
async function measure({ question }: Case, dir: string, phase: MemoryPhase): Promise<Measured> {
  const before = status('VmRSS')
  const config = readModelConfig(dir)
  const asked = { ...question, config, process: before }
  const planned = planMemory(asked)[phase].total
  writeFileSync('/proc/self/clear_refs', '5')
  const model = await Model.open(dir, { dtype: question.dtype })
  if (phase === 'decode') await rollOut(model, asked, await adapterOf(model, asked))
  if (phase === 'sft') await supervise(model, asked)
  if (phase === 'grpo') await policyStep(model, asked)
  return { before, planned, peak: status('VmHWM') }
}

function adapterOf(model: Model, { rank, full }: MemoryQuestion): Promise<Adapter> | null {
  return full ? null : Adapter.create(model, { rank, alpha: 2 * rank, targets: linears }, 1n)
}
const linears = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'] as const

function ids(count: number, first: number, { vocab }: NativeModelConfig): Int32Array {
  return Int32Array.from({ length: count }, (_, i) => ((first + i) * 7919 + 13) % vocab)
}

async function rollOut(model: Model, question: MemoryQuestion, adapter: Adapter | null) {
  const { config, prompt, completion, rows, group } = question
  const groups = Array.from({ length: Math.ceil(rows / group) }, (_, g) => ({
    prompt: ids(prompt, 1000 * g, config),
    samples: Array.from({ length: group }, (_, s) => ({ stream: BigInt(g * group + s) })),
  }))
  const script = [{ kind: 'free', maxNew: completion, sampling: { temperature: 1 } }] as const
  return generate(model, { trained: adapter }, groups, script, { seed: 1n, maxRows: rows })
}

function trainerOf(model: Model, question: MemoryQuestion, adapter: Adapter | null): Promise<Trainer> {
  const { tokenBudget, recompute } = question
  return adapter
    ? Trainer.forAdapter(model, { adapter, tokenBudget, recompute })
    : Trainer.forFullParameters(model, { tokenBudget, recompute })
}

const optimiser = {
  learningRate: 1e-4,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0,
  clipNorm: 1,
}

async function supervise(model: Model, question: MemoryQuestion): Promise<void> {
  const { config, prompt, completion, sequences, dropout } = question
  const trainer = await trainerOf(model, question, await adapterOf(model, question))
  const length = prompt + completion
  const texts = Array.from({ length: sequences }, (_, s) => ({
    ids: ids(length, 1000 * s, config),
    weights: Float32Array.from({ length }, (_, i) => (i >= prompt ? 1 : 0)),
  }))
  const options = dropout ? { dropout: { p: 0.1, seed: 1n } } : {}
  await trainer.accumulateSft(texts, sequences * completion, options)
  await trainer.apply(optimiser)
}

async function policyStep(model: Model, question: MemoryQuestion): Promise<void> {
  const { config, prompt, group, prompts, reference } = question
  const adapter = await adapterOf(model, question)
  const frozen = reference && adapter ? await adapter.clone() : null
  const trainer = await trainerOf(model, question, adapter)
  const samples = await rollOut(model, question, adapter)
  const groups = Array.from({ length: prompts }, (_, g) => ({
    prompt: ids(prompt, 1000 * g, config),
    trie: null,
    completions: samples[g % samples.length]!.map(({ tokens, logprobs }, s) => ({
      ids: tokens,
      mask: new Uint8Array(tokens.length).fill(1),
      oldLogprobs: logprobs,
      advantage: s % 2 === 0 ? 1 : -1,
    })),
  }))
  const loss = {
    loss: 'ppo_clip',
    clipLow: 0.2,
    clipHigh: 0.28,
    dualClip: 3,
    aggregation: 'token_mean',
    maxLength: question.completion,
    kl: 'k3',
    beta: frozen ? 1e-3 : 0,
    entropyBonus: 0,
  } as const
  const weights = new Float64Array(prompts * group).fill(1 / (prompts * group * question.completion))
  await trainer.accumulatePolicy(groups, loss, weights, {
    temperature: 1,
    reference: frozen ? { frozen } : {},
  })
  await trainer.apply(optimiser)
}

async function main(): Promise<void> {
  const [name, phase] = process.argv.slice(2).filter((word) => !word.startsWith('--'))
  if (phase !== undefined) {
    const one = cases[name!]!
    process.stdout.write(JSON.stringify(await measure(one, one.dir()!, phase as MemoryPhase)))
    return
  }
  process.stdout.write('case\tphase\tplanned MiB\tpeak MiB\tratio\tbefore MiB\n')
  for (const [key, one] of Object.entries(cases)) {
    if (name !== undefined && !key.includes(name)) continue
    const dir = one.dir()
    if (dir === null || !existsSync(dir)) {
      process.stderr.write(`${key}: left out, REASONREC_MODELS is not set\n`)
      continue
    }
    for (const phase of phases) {
      if (phase === 'grpo' && one.question.full) continue // a policy step without a reference: as sft
      const self = fileURLToPath(import.meta.url)
      const child = spawnSync(process.execPath, ['--import', 'tsx', self, key, phase], { encoding: 'utf8' })
      if (child.status !== 0) throw new Error(child.stderr)
      const { before, planned, peak } = JSON.parse(child.stdout) as Measured
      const shown = [planned, peak].map((bytes) => (bytes / 2 ** 20).toFixed(1))
      process.stdout.write(
        `${key}\t${phase}\t${shown.join('\t')}\t${(planned / peak).toFixed(3)}\t${(before / 2 ** 20).toFixed(1)}\n`,
      )
    }
  }
}

await main()

/**
 * The peak memory of a process that loads a model, decodes, trains on texts or takes a policy step, told from the
 * configuration. Follows what native/ allocates, buffer by buffer:
 *   held        weights, adapters, gradients, moments (memory.ts);
 *   activations what a forward keeps for its backward (Activations of model/decoder.h), or the layers' inputs alone;
 *   scratch     named buffers that grow to the largest pass and stay (core/workspace.h);
 *   cache       keys and values of decoding, gone when it ends.
 * Everything is touched, so bytes allocated are bytes resident; lengths are the longest ones, so that shorter
 * sequences take less.
 */

import { engineInfo } from './load.js'
import {
  cachePerToken,
  float,
  heldAdapter,
  heldWeights,
  largestMatrix,
  parameterCount,
  whole,
} from './memory.js'
import { expectedTensors } from './model-tensors.js'
import type { NativeModelConfig } from './native.js'

export interface MemoryQuestion {
  readonly config: NativeModelConfig
  readonly dtype: 'fp32' | 'bf16'
  /** Bytes of a stored matrix value in the model's files; 0: the weights come from no file. */
  readonly stored: number
  /** Resident before the model is opened, bytes: the runtime and the program. */
  readonly process: number
  /** Every weight is trained; otherwise an adapter of `rank` on all linears. */
  readonly full: boolean
  readonly rank: number
  /** Tokens of the longest prompt, and of what follows it. */
  readonly prompt: number
  readonly completion: number
  /** Rows decoded together, and samples of one prompt among them. */
  readonly rows: number
  readonly group: number
  /** Choices are scored after each sample. */
  readonly scored: boolean
  /** Texts of one supervised update, prompts of one policy step. */
  readonly sequences: number
  readonly prompts: number
  /** Rows of a training micro-batch. */
  readonly tokenBudget: number
  readonly recompute: boolean
  readonly dropout: boolean
  /** Policy steps measure the divergence from a frozen reference. */
  readonly reference: boolean
}

export type MemoryPhase = 'load' | 'decode' | 'sft' | 'grpo'

/** Bytes at the peak, by what they are for. */
export interface MemoryPeak {
  readonly total: number
  readonly parts: Readonly<Record<string, number>>
}

export type MemoryPlan = Readonly<Record<MemoryPhase, MemoryPeak>>

/** Named buffers in floats: a pass asks for its own, and a buffer is as long as the longest that was asked for. */
type Scratch = Readonly<Record<string, number>>

/** Segments of a batch, in rows; `own` of them below each of `roots` roots. */
interface Tree {
  readonly roots: number
  readonly root: number
  readonly children: number
  readonly child: number
}

// The numbers of native/backend/cpu/head_loss.inl, attention.inl, attention_backward.inl and decode/engine.cpp.
const tileTokens = 512
const tileRows = 96
const headChunk = 768
const backwardRows = 48
const prefillRows = 1024
const logitFloats = 16 * 1024 * 1024
const scoredSamples = 64
/** What V8 and the allocator take on top while a job runs; measured (docs/models.md). */
const runtime = 8 * 2 ** 20

export function planMemory(question: MemoryQuestion): MemoryPlan {
  return {
    load: peak({ ...held(question, false), 'file pages': filePages(question) }),
    decode: peak(decodeParts(question)),
    sft: larger(creation(question, 0), peak(sftParts(question))),
    grpo: larger(creation(question, question.reference ? 1 : 0), peak(grpoParts(question))),
  }
}

function peak(parts: Readonly<Record<string, number>>): MemoryPeak {
  const known = Object.entries(parts).filter(([, bytes]) => bytes > 0)
  return { total: known.reduce((sum, [, bytes]) => sum + bytes, 0), parts: Object.fromEntries(known) }
}

function larger(a: MemoryPeak, b: MemoryPeak): MemoryPeak {
  return a.total > b.total ? a : b
}

/** What is there throughout, whatever the phase. */
function held({ config, dtype, process, full }: MemoryQuestion, training: boolean): Record<string, number> {
  const { weights, transposed, rotary } = heldWeights(
    config,
    full && training && config.compute !== 'bf16' ? 'fp32' : dtype,
  )
  return { process: process + runtime, weights, rotary, transposed: training ? transposed : 0 }
}

/**
 * A tensor's mapped pages are resident while it is packed: the most that they and the panels before them come to,
 * beyond what is held in the end.
 */
function filePages({ config, dtype, stored }: MemoryQuestion): number {
  const size = dtype === 'bf16' ? 2 : float
  const sizes = expectedTensors(config).map(({ shape }) => shape.reduce((n, extent) => n * extent, 1))
  const all = sizes.reduce((sum, n) => sum + n, 0)
  let [before, most] = [0, 0]
  for (const n of sizes) {
    before += n
    most = Math.max(most, n * stored - (all - before) * size)
  }
  return most
}

/** Adapters that a phase holds beside the model: `trained` has gradients and two moments too. */
function adapters({ config, full, rank }: MemoryQuestion, trained: boolean, frozen: number) {
  const { values, panels } = heldAdapter(config, rank)
  const weights = parameterCount(config) * float
  const head = config.tiedHead ? config.vocab * config.hidden * float : 0
  return {
    adapters: full ? 0 : (values + panels) * (frozen + 1),
    master: full && trained ? weights - heldTwice(config) : 0,
    gradients: trained ? (full ? weights + head : values) : 0,
    moments: trained ? 2 * (full ? weights : values) : 0,
  }
}

/** Of a full-parameter model: vectors and an untied table live in the master alone. */
function heldTwice(config: NativeModelConfig): number {
  const vectors = expectedTensors(config).reduce(
    (n, { shape }) => n + (shape.length === 1 ? shape[0]! : 0),
    0,
  )
  return (vectors + (config.tiedHead ? 0 : config.vocab * config.hidden)) * float
}

/** A trainer that begins: the largest matrix is widened to be packed the other way round. */
function creation(question: MemoryQuestion, frozen: number): MemoryPeak {
  const widened = question.full ? 0 : largestMatrix(question.config) * float
  const { gradients: _, moments: __, ...own } = adapters(question, true, frozen)
  return peak({ ...held(question, true), ...own, 'widened matrix': widened })
}

function decodeParts(question: MemoryQuestion): Record<string, number> {
  const { scratch, cache, rows } = decoding(question)
  return {
    ...held(question, false),
    ...adapters(question, false, 0),
    cache,
    'head rows': rows,
    scratch: bytesOf(scratch),
  }
}

function sftParts(question: MemoryQuestion): Record<string, number> {
  const { prompt, completion, sequences, tokenBudget } = question
  const length = Math.max(1, prompt + completion - 1) // the last token predicts nothing
  const together = Math.max(1, Math.min(sequences, Math.floor(tokenBudget / length)))
  const tree = { roots: together, root: length, children: 0, child: 0 }
  const pass = training(question, tree, together * completion)
  return {
    ...held(question, true),
    ...adapters(question, true, 0),
    activations: pass.activations,
    'head rows': pass.rows,
    scratch: bytesOf(pass.scratch),
  }
}

function grpoParts(question: MemoryQuestion): Record<string, number> {
  const { prompt, completion, group, prompts, tokenBudget, reference, config } = question
  const child = Math.max(0, completion - 1)
  const length = prompt + group * child
  const together = Math.max(1, Math.min(prompts, Math.floor(tokenBudget / length)))
  const tree = { roots: together, root: prompt, children: group, child }
  const pass = training(question, tree, together * group * completion)
  const scoring = reference ? forwardScratch(question, tree, false) : {}
  const rollout = decoding(question)
  const scratch = bytesOf(union(pass.scratch, scoring, rollout.scratch))
  // Rollouts' cache and the reference's keys come and go; activations stay from the first update on.
  const keys = reference ? keysOf(tree) * cachePerToken(config) : 0
  const passing = Math.max(rollout.cache + rollout.rows, pass.rows + keys)
  return {
    ...held(question, true),
    ...adapters(question, true, reference ? 1 : 0),
    activations: pass.activations,
    'cache, head rows': passing,
    scratch,
  }
}

/** Rollouts: every row at its full length, prompts of a group held once, and the largest forward of them. */
function decoding(question: MemoryQuestion) {
  const { config, prompt, completion, rows, group, scored } = question
  const { panel } = engineInfo()
  const prefixes = Math.ceil(rows / group)
  const keys = prefixes * whole(prompt, panel) + rows * whole(completion, panel)
  const prefill = Math.max(prompt, Math.min(prefixes, Math.floor(prefillRows / prompt)) * prompt)
  const batch = Math.max(prefill + rows, scored ? prefillRows : 0)
  const tree = { roots: Math.ceil(prefill / prompt), root: prompt, children: group, child: 1 }
  const scratch = forwardScratch(question, tree, false, batch)
  const logits = Math.min(Math.max(rows, scored ? scoredSamples : 0), Math.floor(logitFloats / config.vocab))
  return {
    cache: keys * config.layers * cachePerToken(config),
    rows: (batch * config.hidden * (scored ? 2 : 1) + logits * config.vocab * (scored ? 2 : 1)) * float,
    scratch: union(scratch, headScratch(config, Math.max(rows, scored ? batch : 0))),
  }
}

/** One forward and backward over a tree; `targets` of its rows carry loss. */
function training(question: MemoryQuestion, tree: Tree, targets: number) {
  const { config } = question
  const rows = rowsOf(tree)
  return {
    activations: activations(question, rows) * float,
    // hidden and dhidden of every row, of the head's rows once more
    rows: 2 * (rows + targets) * config.hidden * float,
    scratch: union(
      forwardScratch(question, tree, true),
      backwardScratch(question, tree),
      headScratch(config, targets, question.full ? targets : 0),
    ),
  }
}

function rowsOf({ roots, root, children, child }: Tree): number {
  return roots * (root + children * child)
}

function keysOf({ roots, root, children, child }: Tree): number {
  const { panel } = engineInfo()
  return roots * (whole(root, panel) + children * whole(child, panel))
}

/** Activations::Layer of every layer, or of one beside every layer's input. */
function activations({ config, recompute, full, rank }: MemoryQuestion, rows: number): number {
  const { hidden, intermediate, heads, kvHeads, headDim, layers, qkNorm } = config
  const [query, key] = [heads * headDim, kvHeads * headDim]
  const raw = qkNorm ? query + key + heads + kvHeads : 0
  const low = full ? 0 : 7 * rank
  const layer = 2 * hidden + 2 + 2 * query + 2 * key + raw + heads + 2 * intermediate + low
  const last = hidden + 1
  return rows * (last + (recompute ? layers * hidden + layer : layers * layer))
}

function union(...all: readonly Scratch[]): Scratch {
  const out: Record<string, number> = {}
  for (const scratch of all)
    for (const [name, floats] of Object.entries(scratch)) out[name] = Math.max(out[name] ?? 0, floats)
  return out
}

function bytesOf(scratch: Scratch): number {
  return Object.values(scratch).reduce((sum, floats) => sum + floats, 0) * float
}

/** decoder.* of model/decoder_layer.cpp; kept: the backward's inputs lie in the activations instead. */
function forwardScratch(question: MemoryQuestion, tree: Tree, kept: boolean, rows = rowsOf(tree)): Scratch {
  const { config, rank, dropout } = question
  const { hidden, intermediate, heads, kvHeads, headDim, qkNorm } = config
  const [query, key] = [heads * headDim, kvHeads * headDim]
  const widths: Record<string, number> = {
    x: hidden,
    n: hidden,
    y: hidden,
    m: intermediate,
    ...(dropout && kept && { dropped: Math.max(hidden, intermediate, query) }),
    ...(!kept && {
      inv_rms: qkNorm ? heads : 1,
      q: query,
      k: key,
      v: key,
      attention: query,
      lse: heads,
      gate: intermediate,
      up: intermediate,
      u: rank,
      ...(qkNorm && { q_raw: query, k_raw: key }),
    }),
  }
  const scratch = Object.fromEntries(Object.entries(widths).map(([name, width]) => [name, width * rows]))
  const keys = kept ? (keysOf(tree) * cachePerToken(config)) / float : 0
  const rounded =
    config.compute === 'bf16'
      ? roundedFloats(rows, Math.max(hidden, intermediate, query)) + roundedFloats(rows, rank)
      : 0
  return { ...scratch, gemm_rows: rounded, kv: keys, attention_tiles: attentionTiles(config, tree) }
}

/** Left sides of products in bf16 (native/backend/cpu/rounding.inl): pairs of bf16, or fp32 where they are widened. */
function roundedFloats(rows: number, width: number): number {
  const perLine = engineInfo().isa === 'avx512bf16' ? 32 : 16
  const lines = Math.ceil(width / perLine)
  return (lines + (lines % 2 === 0 ? 1 : 0)) * 16 * rows
}

/** Scores and operands of a tile, for every worker. */
function attentionTiles({ heads, kvHeads, headDim }: NativeModelConfig, tree: Tree): number {
  const { panel, threads } = engineInfo()
  const group = heads / kvHeads
  const consecutive = group >= 24 ? 1 : Math.floor(24 / group)
  const together = group >= 64 ? 1 : Math.floor(64 / group)
  const short = tree.children > 0 && tree.child < consecutive
  const rows = Math.max(
    Math.min(consecutive, Math.max(tree.root, tree.child)),
    short ? Math.min(together, tree.children) : 1,
  )
  const keys = whole(tree.root, panel) + (tree.children > 0 ? whole(tree.child, panel) : 0)
  return threads * rows * group * (2 * headDim + keys + 1)
}

function backwardScratch(question: MemoryQuestion, tree: Tree): Scratch {
  const { config, rank, dropout, full } = question
  const { hidden, intermediate, heads, kvHeads, headDim, qkNorm } = config
  const { panel, threads } = engineInfo()
  const [query, key] = [heads * headDim, kvHeads * headDim]
  const widest = Math.max(hidden, intermediate, query)
  const low = full ? 0 : rank
  const widths: Record<string, number> = {
    dx: hidden,
    dn: hidden,
    dm: intermediate,
    dgate: intermediate,
    dup: intermediate,
    dattention: query,
    dq: query,
    dk: key,
    dv: key,
    ...(qkNorm && { dq_raw: query, dk_raw: key }),
    ...(dropout && { dx_lora: widest }),
    x_panels: whole(widest, panel),
    u_panels: whole(low, panel),
    scaled: low,
    du: low,
  }
  const rows = rowsOf(tree)
  const wide = whole(headDim, panel)
  const m = Math.max(heads / kvHeads, backwardRows)
  const longest = whole(Math.max(tree.root, tree.child), panel)
  const attention =
    (keysOf(tree) / tree.roots) * (2 * headDim + wide) + m * (3 * headDim + 2 * wide + 2 * longest + 2)
  return {
    ...Object.fromEntries(Object.entries(widths).map(([name, width]) => [name, width * rows])),
    attention_tiles: threads * attention,
  }
}

/** Sums of a row's tiles (three floats each), a tile for every worker; the rows once more where the head learns. */
function headScratch(config: NativeModelConfig, rows: number, learning = 0): Scratch {
  const { panel, threads } = engineInfo()
  const chunk = Math.min(rows, headChunk)
  return {
    head_partial: chunk * Math.ceil(config.vocab / tileTokens) * 3,
    head_tile: threads * tileRows * tileTokens,
    head_hidden: learning * whole(config.hidden, panel),
    head_rounded: config.compute === 'bf16' ? threads * roundedFloats(tileRows, tileTokens) : 0,
  }
}

/**
 * A GGUF file as a model: its header (read and checked by native/core/gguf.cpp) and the configuration in its
 * metadata. Architectures llama (Llama, Mistral, SmolLM, TinyLlama), qwen2 and qwen3; whatever would be computed
 * wrongly is refused by name. Where a name is `<arch>.x`, `<arch>` is the file's architecture.
 */

import { statSync } from 'node:fs'
import path from 'node:path'
import { ReasonrecError } from './errors.js'
import { callNative } from './job.js'
import { loadAddon } from './load.js'
import { yarnAttentionFactor } from './model-config.js'
import type { NativeGguf, NativeModelConfig } from './native.js'

export const ggufArchitectures = ['llama', 'qwen2', 'qwen3'] as const
type Architecture = (typeof ggufArchitectures)[number]

/** Does this path name a GGUF file (by its ending), where a model folder could stand? */
export function isGgufPath(model: string): boolean {
  return path.extname(model).toLowerCase() === '.gguf'
}

/** Name of part 1 of 3: <name>-00001-of-00003.gguf. */
const partName = /^(.*)-(\d{5})-of-(\d{5})(\.gguf)$/i

/**
 * The files of a GGUF model, absolute: itself, or all its parts where it is the first of several
 * (llama.cpp's gguf-split).
 * @throws RR_BAD_GGUF, and readGguf's
 */
export function ggufFiles(file: string): string[] {
  return ggufParts(file).map(({ path: part }) => part)
}

/** Metadata of the model, and the tensors of all its files. @throws ggufFiles' */
export function readGgufModel(file: string): NativeGguf {
  const parts = ggufParts(file)
  return { metadata: parts[0]!.header.metadata, tensors: parts.flatMap(({ header }) => header.tensors) }
}

interface GgufPart {
  readonly path: string
  readonly header: NativeGguf
}

function ggufParts(file: string): GgufPart[] {
  const first = { path: path.resolve(file), header: readGguf(file) }
  const told = first.header.metadata['split.count'] ?? 1
  if (told === 1 || told === 0) return [first]
  const bad = (expected: string, got: unknown): ReasonrecError =>
    new ReasonrecError('RR_BAD_GGUF', `${file} is a part of a model in several files`, {
      expected,
      got: String(got).slice(0, 80),
      remedy:
        'give the first of all the parts as they were downloaded, or merge them (llama-gguf-split --merge)',
    })
  const named = partName.exec(path.basename(file))
  if (!named) throw bad('a name such as model-00001-of-00003.gguf', path.basename(file))
  const count = Number(named[3])
  if (told !== count) throw bad(`split.count ${count}, as its name says`, told)
  if (Number(named[2]) !== 1) throw bad('the first part', path.basename(file))
  const parts = Array.from({ length: count }, (_, index) => {
    const name = `${named[1]}-${String(index + 1).padStart(5, '0')}-of-${named[3]}${named[4]}`
    const part = path.join(path.dirname(path.resolve(file)), name)
    const header = index === 0 ? first.header : readGguf(part)
    const { 'split.no': no, 'split.count': of } = header.metadata
    if (no !== index || of !== count) throw bad(`split.no ${index} of ${count} in ${name}`, `${no} of ${of}`)
    return { path: part, header }
  })
  const all = parts.reduce((sum, { header }) => sum + header.tensors.length, 0)
  const tensors = first.header.metadata['split.tensors.count'] ?? all
  if (tensors !== all) throw bad(`split.tensors.count ${String(tensors).slice(0, 80)} in all parts`, all)
  return parts
}

/** For what cannot be done with a GGUF file. @throws RR_MODEL_GGUF */
export function requireNoGguf(model: string, what: string): void {
  if (!isGgufPath(model)) return
  throw new ReasonrecError('RR_MODEL_GGUF', `${what} works on Hugging Face folders alone`, {
    expected: 'a folder with config.json and safetensors weights',
    got: model,
    remedy: 'take the safetensors of the model',
  })
}

/**
 * Metadata and tensors. `lists`: with the long lists of metadata too (the tokenizer's vocabulary).
 * @throws RR_MODEL_NOT_FOUND, RR_BAD_GGUF, RR_UNSUPPORTED_QUANTISATION
 */
export function readGguf(file: string, lists = false): NativeGguf {
  if (!statSync(file, { throwIfNoEntry: false })) {
    throw new ReasonrecError('RR_MODEL_NOT_FOUND', `${file} is not there`, {
      expected: 'a GGUF file, or a model folder with config.json and safetensors weights',
      remedy: 'check the path',
    })
  }
  return callNative(() => loadAddon().inspectGguf(file, lists))
}

/**
 * The configuration that a GGUF file's metadata describe.
 * @throws RR_UNKNOWN_ARCHITECTURE, RR_BAD_MODEL_CONFIG, RR_UNSUPPORTED_ROPE, and ggufFiles'
 */
export function ggufModelConfig(file: string, header: NativeGguf = readGgufModel(file)): NativeModelConfig {
  const facts = new Facts(file, header, architectureOf(file, header))
  const heads = facts.count('attention.head_count')
  const hidden = facts.count('embedding_length')
  const headDim = facts.number('attention.key_length') ?? hidden / heads
  facts.refuseUnlike('attention.value_length', headDim, 'values as wide as keys')
  facts.refuseUnlike('rope.dimension_count', headDim, 'rotary positions over whole heads')
  facts.refuseUnlike('expert_count', 0, 'one feed-forward block per layer')
  const kvHeads = facts.number('attention.head_count_kv') ?? heads
  if (!Number.isInteger(headDim) || headDim % 2 !== 0 || heads % kvHeads !== 0)
    throw facts.bad(
      'head counts that do not fit together',
      `${heads} heads, ${kvHeads} shared, ${headDim} wide`,
    )
  const embedding = header.tensors.find(({ name }) => name === 'token_embd.weight')
  if (embedding?.shape.length !== 2) throw facts.bad('a matrix token_embd.weight', 'none')
  const has = (name: string) => header.tensors.some((tensor) => tensor.name === name)
  const window = facts.number('attention.sliding_window') ?? 0
  const context = facts.count('context_length')
  return {
    family: facts.architecture,
    hidden,
    intermediate: facts.count('feed_forward_length'),
    layers: facts.count('block_count'),
    vocab: embedding.shape[0] as number,
    // A window changes nothing up to its own length, so the model is offered with that many positions.
    maxPosition: window > 0 ? Math.min(context, window) : context,
    heads,
    kvHeads,
    headDim,
    rmsEps: facts.positive('attention.layer_norm_rms_epsilon'),
    ropeTheta: facts.number('rope.freq_base') ?? 10000,
    ropeScaling: ropeScaling(facts, context),
    tiedHead: !has('output.weight'),
    qkvBias: has('blk.0.attn_q.bias'),
    oBias: has('blk.0.attn_output.bias'),
    mlpBias: has('blk.0.ffn_up.bias'),
    qkNorm: has('blk.0.attn_q_norm.weight'),
  }
}

function architectureOf(file: string, { metadata }: NativeGguf): Architecture {
  const named = metadata['general.architecture']
  const known = ggufArchitectures.find((name) => name === named)
  if (known) return known
  throw new ReasonrecError('RR_UNKNOWN_ARCHITECTURE', `${file} holds a model that the engine cannot run`, {
    expected: `general.architecture ${ggufArchitectures.join(', ')}`,
    got: typeof named === 'string' ? named.slice(0, 80) : 'none',
    remedy: 'choose a Llama, Mistral, Qwen2, Qwen2.5 or Qwen3 model',
  })
}

function ropeScaling(facts: Facts, context: number): NativeModelConfig['ropeScaling'] {
  const kind = facts.text('rope.scaling.type') ?? 'none'
  const factor = facts.number('rope.scaling.factor') ?? facts.number('rope.scale_linear')
  if (kind === 'none') {
    const older = facts.number('rope.scale_linear') ?? 1
    return older > 1 ? { kind: 'linear', factor: older } : { kind: 'none' }
  }
  if (factor === undefined) throw facts.bad('rope.scaling.factor', 'none')
  if (kind === 'linear') return { kind: 'linear', factor }
  if (kind === 'yarn') {
    return {
      kind: 'yarn',
      factor,
      originalMaxPosition: facts.number('rope.scaling.original_context_length') ?? context,
      betaFast: facts.number('rope.scaling.yarn_beta_fast') ?? 32,
      betaSlow: facts.number('rope.scaling.yarn_beta_slow') ?? 1,
      truncate: true,
      attentionFactor: (facts.number('rope.scaling.attn_factor') ?? 1) * yarnAttentionFactor(factor),
    }
  }
  throw new ReasonrecError('RR_UNSUPPORTED_ROPE', `${facts.file} scales rotary positions in an unknown way`, {
    expected: 'rope.scaling.type none, linear or yarn',
    got: kind.slice(0, 80),
    remedy: 'choose another model',
  })
}

/** The metadata of one architecture, with errors that name the file and the entry. */
class Facts {
  readonly file: string
  readonly architecture: Architecture
  private readonly metadata: NativeGguf['metadata']

  constructor(file: string, { metadata }: NativeGguf, architecture: Architecture) {
    this.file = file
    this.metadata = metadata
    this.architecture = architecture
  }

  number(name: string): number | undefined {
    const value = this.metadata[`${this.architecture}.${name}`]
    if (value === undefined || typeof value === 'number') return value
    throw this.bad(`${name} as one number`, Array.isArray(value) ? 'a list' : typeof value)
  }

  text(name: string): string | undefined {
    const value = this.metadata[`${this.architecture}.${name}`]
    if (value === undefined || typeof value === 'string') return value
    throw this.bad(`${name} as a text`, typeof value)
  }

  positive(name: string): number {
    const value = this.number(name)
    if (value !== undefined && value > 0) return value
    throw this.bad(`a positive ${name}`, String(value ?? 'none'))
  }

  count(name: string): number {
    const value = this.positive(name)
    if (Number.isInteger(value) && value < 2 ** 31) return value
    throw this.bad(`a whole ${name}`, String(value))
  }

  refuseUnlike(name: string, wanted: number, meaning: string): void {
    const value = this.number(name) ?? wanted
    if (value !== wanted) throw this.bad(`${meaning} (${name} ${wanted})`, String(value))
  }

  bad(expected: string, got: string): ReasonrecError {
    return new ReasonrecError('RR_BAD_MODEL_CONFIG', `${this.file} has no usable model configuration`, {
      expected,
      got,
      remedy: 'download the file again, or take the safetensors of the model',
    })
  }
}

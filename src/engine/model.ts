/**
 * A base model, opened read-only: a Hugging Face folder (config.json, safetensors in one file or sharded), or a
 * GGUF file wherever a folder may stand.
 * Weights are mapped and packed once; adapters and trainers keep the model alive.
 * Only safetensors is read: pickle files run code when opened and are refused.
 */

import { lstatSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs'
import path from 'node:path'
import { z } from 'zod'
import { ReasonrecError } from './errors.js'
import { ggufFiles, ggufModelConfig, isGgufPath, readGgufModel } from './gguf.js'
import { type JobOptions, runJob } from './job.js'
import { inspectSafetensors, loadAddon } from './load.js'
import { parseModelConfig } from './model-config.js'
import type {
  NativeCompute,
  NativeModel,
  NativeModelConfig,
  NativeTensorFacts,
  NativeWeightType,
} from './native.js'

export interface ModelOptions extends JobOptions {
  /** How weight matrices are held; auto (the default): bf16 where the files store them so, else fp32. */
  readonly dtype?: NativeWeightType | undefined
  /** How products with them are computed; bf16 holds them in bf16 too. Default fp32. */
  readonly compute?: NativeCompute | undefined
}

export class Model {
  /** The folder or GGUF file it was opened from; null for random weights. */
  readonly dir: string | null
  readonly config: NativeModelConfig
  /** Number of weights. */
  readonly parameters: number
  /** How the weight matrices are held. */
  readonly dtype: 'fp32' | 'bf16'
  /** The addon's object, for this folder's other files. */
  readonly native: NativeModel

  private constructor(dir: string | null, config: NativeModelConfig, native: NativeModel) {
    this.dir = dir
    this.config = config
    this.native = native
    this.parameters = native.parameters
    this.dtype = native.dtype
  }

  /** Rows of the embedding; token ids are in [0, vocab). */
  get vocab(): number {
    return this.config.vocab
  }

  /**
   * Opens a model folder or a GGUF file. Progress counts tensors.
   * @throws RR_MODEL_NOT_FOUND, RR_MODEL_FILE_MISSING, RR_PICKLE_REFUSED, RR_BAD_WEIGHT_MAP, what
   *   parseModelConfig or ggufModelConfig throws, and RR_BAD_SAFETENSORS, RR_BAD_GGUF, RR_MISSING_TENSOR,
   *   RR_UNEXPECTED_TENSOR, RR_SHAPE_MISMATCH, RR_NON_FINITE_WEIGHTS, RR_OUT_OF_MEMORY, RR_CANCELLED
   */
  static async open(dir: string, options?: ModelOptions): Promise<Model> {
    const stored = readModelConfig(dir)
    const config = options?.compute === 'bf16' ? { ...stored, compute: options.compute } : stored
    const files = weightFiles(dir)
    const dtype = options?.dtype ?? 'auto'
    const native = await runJob(options, (control) => loadAddon().loadModel(config, files, dtype, control))
    return new Model(path.resolve(dir), config, native)
  }

  /** Random weights, normal with standard deviation `deviation` (norms 1, biases 0): tests, training from scratch. */
  static async random(
    config: NativeModelConfig,
    seed: bigint,
    deviation: number,
    dtype: NativeWeightType = 'fp32',
  ): Promise<Model> {
    const native = await runJob(undefined, () => loadAddon().randomModel(config, seed, deviation, dtype))
    return new Model(null, config, native)
  }

  /** Writes the weights as one fp32 safetensors file (replaced atomically). @throws RR_WRITE_FAILED */
  async save(file: string): Promise<void> {
    await runJob(undefined, () => this.native.save(file))
  }
}

/**
 * config.json of a model folder, or the metadata of a GGUF file.
 * @throws RR_MODEL_NOT_FOUND, RR_MODEL_FILE_MISSING, parseModelConfig's, ggufModelConfig's
 */
export function readModelConfig(dir: string): NativeModelConfig {
  if (isGgufPath(dir)) return ggufModelConfig(dir)
  requireFolder(dir)
  const file = path.join(dir, 'config.json')
  const gguf = readdirSync(dir).find(isGgufPath)
  const remedy = gguf
    ? `give the file itself: ${path.join(dir, gguf)}`
    : 'a model folder holds config.json and safetensors weights'
  return parseModelConfig(readJson(file, remedy), file)
}

/**
 * Names, dtypes and shapes of a model's tensors; a GGUF file's under their names there.
 * @throws weightFiles', RR_BAD_SAFETENSORS, RR_BAD_GGUF, RR_UNSUPPORTED_QUANTISATION
 */
export function modelTensors(dir: string): NativeTensorFacts[] {
  return isGgufPath(dir) ? readGgufModel(dir).tensors : weightFiles(dir).flatMap(inspectSafetensors)
}

/**
 * The weight files of a model, absolute: the safetensors of its folder, or the GGUF file and its parts.
 * @throws ggufFiles', RR_MODEL_FILE_MISSING, RR_PICKLE_REFUSED, RR_BAD_WEIGHT_MAP
 */
export function weightFiles(dir: string): string[] {
  if (isGgufPath(dir)) return ggufFiles(dir)
  requireFolder(dir)
  const names = readdirSync(dir).sort()
  if (names.includes('model.safetensors')) return [regularFile(dir, 'model.safetensors')]
  if (names.includes('model.safetensors.index.json')) return shardFiles(dir)
  const pickle = names.find((name) => /\.(bin|pt|pth|ckpt|pkl|pickle)$/i.test(name))
  if (pickle && !names.some((name) => name.endsWith('.safetensors'))) {
    throw new ReasonrecError(
      'RR_PICKLE_REFUSED',
      `${path.join(dir, pickle)} is a pickle file, which can run code when opened`,
      {
        expected: 'model.safetensors, or shards with model.safetensors.index.json',
        got: pickle,
        remedy:
          'convert it where you trust it: AutoModelForCausalLM.from_pretrained(dir).save_pretrained(out, safe_serialization=True)',
      },
    )
  }
  const gguf = names.find(isGgufPath)
  throw new ReasonrecError('RR_MODEL_FILE_MISSING', `${dir} holds no model weights`, {
    expected: 'model.safetensors, or shards with model.safetensors.index.json',
    got: names.filter((name) => name.endsWith('.safetensors')).join(', ') || 'no safetensors file',
    remedy: gguf ? `give the file itself: ${path.join(dir, gguf)}` : 'download the whole model folder',
  })
}

const indexSchema = z.looseObject({ weight_map: z.record(z.string(), z.string()) })

function shardFiles(dir: string): string[] {
  const file = path.join(dir, 'model.safetensors.index.json')
  const parsed = indexSchema.safeParse(readJson(file, 'download the index again'))
  const shards = parsed.success ? [...new Set(Object.values(parsed.data.weight_map))].sort() : []
  if (shards.length === 0) {
    throw new ReasonrecError('RR_BAD_WEIGHT_MAP', `${file} names no weight files`, {
      expected: 'weight_map: { tensor name: file name }',
      remedy: 'download the index again',
    })
  }
  for (const name of shards) {
    if (!/^[^/\\\0]+\.safetensors$/.test(name) || name.startsWith('.')) {
      throw new ReasonrecError(
        'RR_BAD_WEIGHT_MAP',
        `${file} names a file outside its folder or of another kind`,
        {
          expected: 'plain names that end in .safetensors',
          got: JSON.stringify(name),
          remedy: 'do not use this folder; it may be hostile',
        },
      )
    }
  }
  return shards.map((name) => regularFile(dir, name))
}

/**
 * A regular file of the folder. A link is followed only within the folder or into `blobs` two levels up,
 * which is how the Hugging Face cache lays out its snapshots.
 */
function regularFile(dir: string, name: string): string {
  const file = path.join(path.resolve(dir), name)
  const link = lstatSync(file, { throwIfNoEntry: false })
  const target = link && statSync(file, { throwIfNoEntry: false })
  if (!target) {
    throw new ReasonrecError('RR_MODEL_FILE_MISSING', `${file} is missing`, {
      remedy: 'download the whole model folder',
    })
  }
  const inside = (folder: string) => path.relative(folder, realpathSync(file)).split(path.sep)[0] !== '..'
  const real = realpathSync(dir)
  if (
    !target.isFile() ||
    (link.isSymbolicLink() && !inside(real) && !inside(path.join(real, '..', '..', 'blobs')))
  ) {
    throw new ReasonrecError('RR_BAD_WEIGHT_MAP', `${file} is not a regular file of its folder`, {
      expected: 'a regular file',
      remedy: 'copy the file into the folder',
    })
  }
  return file
}

function requireFolder(dir: string): void {
  if (statSync(dir, { throwIfNoEntry: false })?.isDirectory()) return
  throw new ReasonrecError('RR_MODEL_NOT_FOUND', `${dir} is not a folder`, {
    expected: 'a model folder with config.json and safetensors weights, or a GGUF file',
    remedy: 'check the path',
  })
}

function readJson(file: string, remedy: string): unknown {
  if (!statSync(file, { throwIfNoEntry: false })?.isFile()) {
    throw new ReasonrecError('RR_MODEL_FILE_MISSING', `${file} is missing`, { remedy })
  }
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new ReasonrecError(
      'RR_BAD_MODEL_CONFIG',
      `${file} is not JSON`,
      { got: (error as Error).message, remedy },
      { cause: error },
    )
  }
}

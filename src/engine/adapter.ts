/**
 * Low-rank adapters (Hu et al. 2021) on a base model, and their PEFT folder: adapter_config.json beside
 * adapter_model.safetensors. y = W x + s B (A x), s = alpha / rank, or alpha / sqrt(rank) with rslora.
 * PEFT features that would change the result and that the engine lacks are refused by name.
 */

import { mkdirSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import writeFileAtomic from 'write-file-atomic'
import { z } from 'zod'
import { ReasonrecError } from './errors.js'
import { callNative, runJob } from './job.js'
import { loadAddon } from './load.js'
import type { Model } from './model.js'
import type { LinearName, NativeAdapter, NativeLoraConfig, NativeParameter } from './native.js'

export const linearNames = [
  'q_proj',
  'k_proj',
  'v_proj',
  'o_proj',
  'gate_proj',
  'up_proj',
  'down_proj',
] as const satisfies readonly LinearName[]

export interface LoraConfig {
  readonly rank: number
  readonly alpha: number
  readonly targets: readonly LinearName[]
  readonly rslora?: boolean
  /** Probability, in supervised training only; one mask per layer input (PEFT: one per linear). */
  readonly dropout?: number
}

export class Adapter {
  readonly native: NativeAdapter

  private constructor(native: NativeAdapter) {
    this.native = native
  }

  get config(): NativeLoraConfig {
    return this.native.config
  }

  /** A uniform in +-1/sqrt(in) by Philox(seed), B zero: the model is unchanged at first. @throws RR_BAD_LORA_CONFIG */
  static async create(model: Model, config: LoraConfig, seed: bigint): Promise<Adapter> {
    const full: NativeLoraConfig = { rslora: false, dropout: 0, ...config }
    return new Adapter(await runJob(undefined, () => loadAddon().createAdapter(model.native, full, seed)))
  }

  /**
   * Reads a PEFT folder.
   * @throws RR_ADAPTER_NOT_FOUND, RR_UNSUPPORTED_ADAPTER, RR_PICKLE_REFUSED, RR_MISSING_TENSOR,
   *   RR_UNEXPECTED_TENSOR, RR_SHAPE_MISMATCH, RR_BAD_SAFETENSORS
   */
  static async load(model: Model, dir: string): Promise<Adapter> {
    const config = readAdapterConfig(dir)
    const file = path.join(dir, 'adapter_model.safetensors')
    requireWeights(dir, file)
    return new Adapter(await runJob(undefined, () => loadAddon().loadAdapter(model.native, config, file)))
  }

  /** One adapter of rank r1 + r2 that acts like both. Ranks may differ; so may targets. */
  static async concatenate(model: Model, first: Adapter, second: Adapter): Promise<Adapter> {
    return new Adapter(
      await runJob(undefined, () =>
        loadAddon().concatenateAdapters(model.native, first.native, second.native),
      ),
    )
  }

  /** A copy with values of its own, as they are once the jobs started earlier have ended. */
  async clone(): Promise<Adapter> {
    return new Adapter(await runJob(undefined, () => loadAddon().cloneAdapter(this.native)))
  }

  /** Writes adapter_model.safetensors and adapter_config.json. @throws RR_WRITE_FAILED */
  async save(dir: string, options: { readonly baseModel: string }): Promise<void> {
    try {
      mkdirSync(dir, { recursive: true })
      await runJob(undefined, () =>
        this.native.save(path.join(dir, 'adapter_model.safetensors'), { format: 'pt' }),
      )
      const text = `${JSON.stringify(peftConfig(this.config, options.baseModel), null, 2)}\n`
      await writeFileAtomic(path.join(dir, 'adapter_config.json'), text)
    } catch (error) {
      if (error instanceof ReasonrecError) throw error
      throw new ReasonrecError(
        'RR_WRITE_FAILED',
        `the adapter could not be written to ${dir}`,
        { got: (error as Error).message },
        { cause: error },
      )
    }
  }

  /** Names (PEFT's), offsets and shapes in `values()`. */
  layout(): NativeParameter[] {
    return callNative(() => this.native.layout())
  }

  /** Copy of the flat fp32 values. @throws RR_BUSY while a job changes them */
  values(): Float32Array {
    return callNative(() => this.native.values())
  }

  /** @throws RR_SHAPE_MISMATCH, RR_BUSY while a job uses the adapter */
  setValues(values: Float32Array): void {
    callNative(() => this.native.setValues(values))
  }
}

const adapterSchema = z.looseObject({
  peft_type: z.string(),
  r: z.number().int().positive(),
  lora_alpha: z.number().positive(),
  use_rslora: z.boolean().nullish(),
  lora_dropout: z.number().min(0).max(1).nullish(),
  target_modules: z.union([z.string(), z.array(z.string())]),
  bias: z.string().nullish(),
  use_dora: z.boolean().nullish(),
  fan_in_fan_out: z.boolean().nullish(),
  lora_bias: z.boolean().nullish(),
  rank_pattern: z.record(z.string(), z.unknown()).nullish(),
  alpha_pattern: z.record(z.string(), z.unknown()).nullish(),
  modules_to_save: z.array(z.unknown()).nullish(),
  layers_to_transform: z.unknown().optional(),
  layer_replication: z.unknown().optional(),
  trainable_token_indices: z.unknown().optional(),
})

/** adapter_config.json of a PEFT folder. @throws RR_ADAPTER_NOT_FOUND, RR_UNSUPPORTED_ADAPTER */
export function readAdapterConfig(dir: string): NativeLoraConfig {
  const file = path.join(dir, 'adapter_config.json')
  if (!statSync(file, { throwIfNoEntry: false })?.isFile()) {
    throw new ReasonrecError('RR_ADAPTER_NOT_FOUND', `${file} is missing`, {
      expected: 'a PEFT folder with adapter_config.json and adapter_model.safetensors',
      remedy: 'check the path',
    })
  }
  let json: unknown
  try {
    json = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw unsupported(file, 'JSON', (error as Error).message)
  }
  const parsed = adapterSchema.safeParse(json)
  if (!parsed.success)
    throw unsupported(
      file,
      'a LoRA configuration of PEFT',
      z.prettifyError(parsed.error).replaceAll('\n', ' '),
    )
  const config = parsed.data
  if (config.peft_type !== 'LORA') throw unsupported(file, 'peft_type LORA', config.peft_type)
  if (config.bias != null && config.bias !== 'none')
    throw unsupported(file, 'bias none', `bias ${config.bias}`)
  for (const key of ['use_dora', 'fan_in_fan_out', 'lora_bias'] as const) {
    if (config[key]) throw unsupported(file, `${key} false`, `${key} true`)
  }
  for (const key of [
    'rank_pattern',
    'alpha_pattern',
    'modules_to_save',
    'layers_to_transform',
    'layer_replication',
    'trainable_token_indices',
  ] as const) {
    const value = config[key]
    if (value != null && Object.keys(value as object).length > 0)
      throw unsupported(file, `no ${key}`, JSON.stringify(value))
    if (typeof value === 'number') throw unsupported(file, `no ${key}`, String(value))
  }
  return {
    rank: config.r,
    alpha: config.lora_alpha,
    rslora: config.use_rslora ?? false,
    dropout: config.lora_dropout ?? 0,
    targets: readTargets(file, config.target_modules),
  }
}

function readTargets(file: string, modules: string | readonly string[]): LinearName[] {
  if (modules === 'all-linear') return [...linearNames]
  const named = (typeof modules === 'string' ? [modules] : modules).map((name) => name.split('.').at(-1))
  const unknown = named.find((name) => !linearNames.includes(name as LinearName))
  if (unknown !== undefined || named.length === 0) {
    throw unsupported(file, `target_modules among ${linearNames.join(', ')}`, String(unknown ?? 'none'))
  }
  return linearNames.filter((name) => named.includes(name))
}

function requireWeights(dir: string, file: string): void {
  if (statSync(file, { throwIfNoEntry: false })?.isFile()) return
  if (statSync(path.join(dir, 'adapter_model.bin'), { throwIfNoEntry: false })) {
    throw new ReasonrecError(
      'RR_PICKLE_REFUSED',
      `${dir} holds a pickle adapter, which can run code when opened`,
      {
        expected: 'adapter_model.safetensors',
        got: 'adapter_model.bin',
        remedy:
          'convert it where you trust it: PeftModel.from_pretrained(...).save_pretrained(out, safe_serialization=True)',
      },
    )
  }
  throw new ReasonrecError('RR_ADAPTER_NOT_FOUND', `${file} is missing`, { remedy: 'check the path' })
}

function peftConfig(config: NativeLoraConfig, baseModel: string): Record<string, unknown> {
  return {
    base_model_name_or_path: baseModel,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    lora_alpha: config.alpha,
    lora_dropout: config.dropout,
    modules_to_save: null,
    peft_type: 'LORA',
    r: config.rank,
    target_modules: config.targets,
    task_type: 'CAUSAL_LM',
    use_dora: false,
    use_rslora: config.rslora,
  }
}

function unsupported(file: string, expected: string, got: string): ReasonrecError {
  return new ReasonrecError(
    'RR_UNSUPPORTED_ADAPTER',
    `${file} describes an adapter that the engine cannot run`,
    { expected, got },
  )
}

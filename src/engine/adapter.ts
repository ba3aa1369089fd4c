/**
 * Low-rank adapters (Hu et al. 2021) on a base model, and their PEFT folder: adapter_config.json beside
 * adapter_model.safetensors. y = W x + s B (A x), s = alpha / rank, or alpha / sqrt(rank) with rslora.
 * peft-config.ts reads and writes the configuration and refuses by name what the engine lacks.
 */

import { mkdirSync, statSync } from 'node:fs'
import path from 'node:path'
import writeFileAtomic from 'write-file-atomic'
import { ReasonrecError } from './errors.js'
import { callNative, runJob } from './job.js'
import { loadAddon } from './load.js'
import type { Model } from './model.js'
import type {
  LinearName,
  NativeAdapter,
  NativeLoraConfig,
  NativeLoraModule,
  NativeParameter,
} from './native.js'
import { peftConfig, readAdapterConfig } from './peft-config.js'

export interface LoraConfig {
  readonly rank: number
  readonly alpha: number
  readonly targets: readonly LinearName[]
  readonly rslora?: boolean
  /** Probability, in supervised training only; one mask per layer input (PEFT: one per linear). */
  readonly dropout?: number
  /** Exactly these linears, each with its rank and alpha, in place of every layer's targets. */
  readonly modules?: readonly NativeLoraModule[]
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
    const full: NativeLoraConfig = { rslora: false, dropout: 0, modules: [], ...config }
    return new Adapter(await runJob(undefined, () => loadAddon().createAdapter(model.native, full, seed)))
  }

  /**
   * Reads a PEFT folder.
   * @throws RR_ADAPTER_NOT_FOUND, RR_UNSUPPORTED_ADAPTER, RR_PICKLE_REFUSED, RR_MISSING_TENSOR,
   *   RR_UNEXPECTED_TENSOR, RR_SHAPE_MISMATCH, RR_BAD_SAFETENSORS
   */
  static async load(model: Model, dir: string): Promise<Adapter> {
    const config = readAdapterConfig(dir, model.config.layers)
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

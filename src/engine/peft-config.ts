/**
 * adapter_config.json of a PEFT folder <-> NativeLoraConfig. Honoured: r, lora_alpha, use_rslora, lora_dropout,
 * target_modules (list, pattern, all-linear), exclude_modules, layers_to_transform, layers_pattern, rank_pattern,
 * alpha_pattern. fan_in_fan_out has no effect on the linears of these models, in PEFT as here. Whatever else
 * changes the result is refused by name, and so is a key nobody here knows unless it is empty or false.
 */

import { readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { z } from 'zod'
import { ReasonrecError } from './errors.js'
import {
  decoderModules,
  linearNames,
  matched,
  moduleName,
  otherModules,
  PatternError,
  patternKeys,
} from './module-patterns.js'
import type { NativeLoraConfig, NativeLoraModule } from './native.js'

const largestFile = 4_000_000 // bytes; PEFT writes a few kB
const names = z.array(z.string().min(1).max(10_000)).max(20_000)
const rank = z.number().int().min(1).max(4096)
const alpha = z.number().positive().max(1e9)
const layerIndex = z.number().int().min(0)

const schema = z.looseObject({
  peft_type: z.string(),
  r: rank,
  lora_alpha: alpha,
  use_rslora: z.boolean().nullish(),
  lora_dropout: z.number().min(0).lt(1).nullish(),
  target_modules: z.union([z.string(), names]),
  exclude_modules: z.union([z.string(), names]).nullish(),
  layers_to_transform: z.union([layerIndex, z.array(layerIndex).max(20_000)]).nullish(),
  layers_pattern: z.union([z.string(), names]).nullish(),
  rank_pattern: z.record(z.string(), rank).nullish(),
  alpha_pattern: z.record(z.string(), alpha).nullish(),
  bias: z.string().nullish(),
  init_lora_weights: z.union([z.boolean(), z.string()]).nullish(),
})
type PeftConfig = z.infer<typeof schema>

/** Keys that change nothing once an adapter is trained, whatever they say. */
const indifferent: ReadonlySet<string> = new Set([
  ...Object.keys(schema.shape),
  'task_type',
  'auto_mapping',
  'peft_version',
  'base_model_name_or_path',
  'revision',
  'inference_mode',
  'fan_in_fan_out',
  'megatron_core',
  'runtime_config',
  'qalora_group_size', // means nothing without use_qalora
  'loftq_config', // these three start an adapter; init_lora_weights says whether they did
  'eva_config',
  'corda_config',
  'lora_ga_config',
  'ensure_weight_tying', // means nothing without modules_to_save
])

/** Starts that leave the base as it is. Others (pissa, olora, loftq, corda, lora_ga) train against a changed base. */
const plainStarts: ReadonlySet<unknown> = new Set([
  true,
  false,
  null,
  undefined,
  'gaussian',
  'eva',
  'orthogonal',
])

/**
 * adapter_config.json of a PEFT folder, for a model of so many layers.
 * @throws RR_ADAPTER_NOT_FOUND, RR_UNSUPPORTED_ADAPTER
 */
export function readAdapterConfig(dir: string, layers: number): NativeLoraConfig {
  const file = path.join(dir, 'adapter_config.json')
  const json = readJson(file)
  const parsed = schema.safeParse(json)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    const where = issue?.path.join('.') || 'the file'
    throw unsupported(file, 'a LoRA configuration of PEFT', `${where}: ${issue?.message ?? 'not readable'}`)
  }
  refuseUnsupported(file, parsed.data)
  try {
    return resolved(file, parsed.data, layers)
  } catch (error) {
    if (!(error instanceof PatternError)) throw error
    throw unsupported(file, 'patterns that can be matched', `${shown(error.pattern)} (${error.message})`)
  }
}

/** What PEFT needs to build the same adapter. */
export function peftConfig(config: NativeLoraConfig, baseModel: string): Record<string, unknown> {
  const named = (value: (module: NativeLoraModule) => number, usual: number) =>
    Object.fromEntries(
      config.modules
        .filter((module) => value(module) !== usual)
        .map((module) => [moduleName(module.layer, module.linear), value(module)]),
    )
  return {
    alpha_pattern: named((module) => module.alpha, config.alpha),
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
    rank_pattern: named((module) => module.rank, config.rank),
    target_modules:
      config.modules.length === 0
        ? config.targets
        : config.modules.map(({ layer, linear }) => moduleName(layer, linear)),
    task_type: 'CAUSAL_LM',
    use_dora: false,
    use_rslora: config.rslora,
  }
}

function refuseUnsupported(file: string, config: PeftConfig): void {
  if (config.peft_type !== 'LORA')
    throw unsupported(file, 'peft_type LORA', `peft_type ${shown(config.peft_type)}`)
  if (config.bias != null && config.bias !== 'none')
    throw unsupported(file, 'bias none', `bias ${shown(config.bias)}`)
  if (!plainStarts.has(config.init_lora_weights))
    throw unsupported(
      file,
      'init_lora_weights true, gaussian, eva or orthogonal',
      `init_lora_weights ${shown(config.init_lora_weights)}, which belongs to a changed base model`,
    )
  for (const [key, value] of Object.entries(config)) {
    if (indifferent.has(key) || isEmpty(value)) continue
    throw unsupported(file, `no ${key.slice(0, 100)}`, `${key.slice(0, 100)} ${shown(value)}`)
  }
}

function resolved(file: string, config: PeftConfig, layers: number): NativeLoraConfig {
  const all = decoderModules(layers)
  const candidates = [...all.map(({ name }) => name), ...otherModules]
  const taken = matched(config, candidates)
  const other =
    config.target_modules === 'all-linear' ? undefined : otherModules.find((name) => taken.has(name))
  if (other !== undefined)
    throw unsupported(file, 'no adapter on embedding or head', `target_modules take ${other}`)
  const modules = all.filter(({ name }) => taken.has(name))
  if (modules.length === 0)
    throw unsupported(
      file,
      `target_modules among ${linearNames.join(', ')} of ${layers} layers`,
      shown(config.target_modules),
    )
  const moduleNames = modules.map(({ name }) => name)
  const ranks = valuesOf(config.rank_pattern, moduleNames)
  const alphas = valuesOf(config.alpha_pattern, moduleNames)
  const listed = modules.map(({ layer, linear, name }) => ({
    layer,
    linear,
    rank: ranks.get(name) ?? config.r,
    alpha: alphas.get(name) ?? config.lora_alpha,
  }))
  const targets = linearNames.filter((linear) => listed.some((module) => module.linear === linear))
  const uniform =
    listed.length === targets.length * layers &&
    listed.every((module) => module.rank === config.r && module.alpha === config.lora_alpha)
  return {
    rank: config.r,
    alpha: config.lora_alpha,
    rslora: config.use_rslora ?? false,
    dropout: config.lora_dropout ?? 0,
    targets,
    modules: uniform ? [] : listed,
  }
}

function valuesOf(
  pattern: Readonly<Record<string, number>> | null | undefined,
  moduleNames: readonly string[],
): ReadonlyMap<string, number> {
  if (pattern == null) return new Map()
  const keys = patternKeys(Object.keys(pattern), moduleNames)
  return new Map([...keys].map(([name, key]) => [name, pattern[key] as number]))
}

function readJson(file: string): unknown {
  const found = statSync(file, { throwIfNoEntry: false })
  if (!found?.isFile()) {
    throw new ReasonrecError('RR_ADAPTER_NOT_FOUND', `${file} is missing`, {
      expected: 'a PEFT folder with adapter_config.json and adapter_model.safetensors',
      remedy: 'check the path',
    })
  }
  if (found.size > largestFile) throw unsupported(file, `at most ${largestFile} bytes`, `${found.size} bytes`)
  const text = readFileSync(file, 'utf8')
  if (text.startsWith('version https://git-lfs')) throw unsupported(file, 'JSON', 'a Git LFS pointer')
  try {
    return JSON.parse(text)
  } catch (error) {
    throw unsupported(file, 'JSON', (error as Error).message)
  }
}

function isEmpty(value: unknown): boolean {
  if (value == null || value === false) return true
  return typeof value === 'object' && Object.keys(value).length === 0
}

function shown(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? 'nothing')
  return text.length > 200 ? `${text.slice(0, 200)}...` : text
}

function unsupported(file: string, expected: string, got: string): ReasonrecError {
  return new ReasonrecError(
    'RR_UNSUPPORTED_ADAPTER',
    `${file} describes an adapter that the engine cannot run`,
    { expected, got },
  )
}

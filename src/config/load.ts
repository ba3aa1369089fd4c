/**
 * Layers of a configuration: preset <- --config FILE <- --set a.b=c <- dedicated options. Unknown keys and
 * values of the wrong kind are errors with the file, line and column where they stand, and the nearest known key.
 * The result carries the sha256 of its canonical JSON, which names the run in its files.
 */

import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { closest, distance } from 'fastest-levenshtein'
import { Document, isMap, isScalar, LineCounter, type ParsedNode, parseDocument } from 'yaml'
import type { z } from 'zod'
import { ReasonrecError } from '../engine/errors.js'
import { embedded } from '../quickstart/embedded.js'
import { rewardFileHash } from '../rewards/user-file.js'
import { checkPolicyRules } from './policy-rules.js'
import { type Config, configKeys, configSchema } from './schema.js'
import { checkTeacherRules, hidden, withRenamedKeys } from './teacher-rules.js'

/** One layer: plain values, and where a path stands in its source. */
export interface ConfigLayer {
  readonly values: unknown
  readonly where: (path: readonly PropertyKey[]) => string
}

export interface LoadedConfig {
  readonly config: Config
  /** sha256 of the canonical JSON, hexadecimal. */
  readonly hash: string
}

export interface ConfigSources {
  readonly preset: string | null
  readonly file: string | null
  /** "a.b=c", c in YAML. */
  readonly set: readonly string[]
  /** Values of dedicated options (--model, --data, --seed, --threads), by path. */
  readonly options: Readonly<Record<string, unknown>>
}

export function loadConfig(sources: ConfigSources): LoadedConfig {
  const layers: ConfigLayer[] = []
  if (sources.preset !== null) layers.push(...presetLayers(sources.preset))
  if (sources.file !== null) layers.push(yamlLayer(sources.file))
  layers.push(...sources.set.map(setLayer))
  for (const [path, value] of Object.entries(sources.options)) {
    layers.push({ values: nest(path.split('.'), value), where: () => `option for ${path}` })
  }
  return withWholePaths(withRewardHashes(checkedConfig(layers)))
}

/** A run is resumed from anywhere, so folders that it reads later (tests, the ledger of a teacher) are whole paths. */
function withWholePaths(loaded: LoadedConfig): LoadedConfig {
  const { eval: evaluation, teacher } = loaded.config
  const data =
    evaluation.data === null || evaluation.data === embedded ? evaluation.data : resolve(evaluation.data)
  const ledger = teacher.ledger === null ? null : resolve(teacher.ledger)
  if (data === evaluation.data && ledger === teacher.ledger) return loaded
  const config = { ...loaded.config, eval: { ...evaluation, data }, teacher: { ...teacher, ledger } }
  return { config, hash: configHash(config) }
}

/** What a user's reward files hold is part of the configuration: whole paths, and the hash of their bytes. */
function withRewardHashes(loaded: LoadedConfig): LoadedConfig {
  const { rl } = loaded.config
  if (rl.reward.user.length === 0) return loaded
  const user = rl.reward.user.map(({ file, sha256 }) => {
    const path = resolve(file)
    return { file: path, sha256: sha256 ?? rewardFileHash(path) }
  })
  const config = { ...loaded.config, rl: { ...rl, reward: { ...rl.reward, user } } }
  return { config, hash: configHash(config) }
}

/** A preset may stand on another one beside it: `extends: r2rec.yaml`. */
function presetLayers(file: string): ConfigLayer[] {
  const layer = yamlLayer(file)
  const { extends: base, ...values } = (layer.values ?? {}) as Readonly<Record<string, unknown>>
  if (typeof base !== 'string') return [layer]
  return [...presetLayers(join(dirname(file), base)), { ...layer, values }]
}

/** The configuration stored in a run directory. */
export function readStoredConfig(file: string): LoadedConfig {
  return checkedConfig([yamlLayer(file)])
}

/** YAML of a whole configuration, each key with its consequence as a comment. */
export function configYaml(config: Config): string {
  const document = new Document(config)
  for (const { path, consequence, unit } of configKeys()) {
    const pair = path.split('.')
    const node = document.getIn(pair, true)
    if (isScalar(node)) node.comment = ` ${consequence}${unit ? ` [${unit}]` : ''}`
  }
  return document.toString({ lineWidth: 0 })
}

export function configHash(config: Config): string {
  return createHash('sha256').update(canonicalJson(config)).digest('hex')
}

/** JSON with sorted keys and no blanks: equal values give equal text. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (value !== null && typeof value === 'object') {
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    return `{${entries.map(([name, child]) => `${JSON.stringify(name)}:${canonicalJson(child)}`).join(',')}}`
  }
  return JSON.stringify(value) ?? 'null'
}

export function yamlLayer(file: string): ConfigLayer {
  if (!existsSync(file)) {
    throw new ReasonrecError('RR_CONFIG_MISSING', `there is no configuration file ${file}`, {
      remedy: 'give the path of a YAML file',
    })
  }
  const lines = new LineCounter()
  const document = parseDocument(readFileSync(file, 'utf8'), { lineCounter: lines, uniqueKeys: true })
  const [problem] = document.errors
  if (problem) {
    const { line, col } = lines.linePos(problem.pos[0])
    throw new ReasonrecError('RR_CONFIG_SYNTAX', `${file}:${line}:${col} is not YAML`, {
      got: problem.message.split('\n')[0] ?? problem.code,
      remedy: 'correct the file',
    })
  }
  const where = (path: readonly PropertyKey[]): string => {
    const offset = keyOffset(document.contents, path)
    if (offset === null) return file
    const { line, col } = lines.linePos(offset)
    return `${file}:${line}:${col}`
  }
  return { values: document.toJS({ maxAliasCount: 100 }) ?? {}, where }
}

/** Offset of the key at `path`, or of its nearest ancestor. */
function keyOffset(root: ParsedNode | null, path: readonly PropertyKey[]): number | null {
  let node: unknown = root
  let offset: number | null = null
  for (const name of path) {
    if (!isMap(node)) break
    const pair = node.items.find((item) => isScalar(item.key) && item.key.value === name)
    if (!pair || !isScalar(pair.key)) break
    offset = pair.key.range?.[0] ?? offset
    node = pair.value
  }
  return offset
}

function setLayer(text: string): ConfigLayer {
  const equals = text.indexOf('=')
  if (equals <= 0) {
    throw new ReasonrecError('RR_CONFIG_SET', `--set ${text} names no key and value`, {
      expected: '--set a.b=c',
      remedy: 'write the key, an equals sign and the value',
    })
  }
  const path = text.slice(0, equals).trim().split('.')
  const document = parseDocument(text.slice(equals + 1))
  const value = document.errors.length > 0 ? text.slice(equals + 1) : document.toJS({ maxAliasCount: 0 })
  return {
    values: nest(path, value),
    where: () => (hidden(path) ? `--set ${path.join('.')}` : `--set ${text}`),
  }
}

function nest(path: readonly string[], value: unknown): unknown {
  return path.reduceRight<unknown>((inner, name) => ({ [name]: inner }), value)
}

function checkedConfig(given: readonly ConfigLayer[]): LoadedConfig {
  const layers = given.map((layer) => ({ ...layer, values: withRenamedKeys(layer.values) }))
  // Each layer is checked on its own first, so that an error names the source it stands in.
  for (const layer of layers) {
    const result = configSchema.safeParse(layer.values)
    if (!result.success) throw problemError(result.error, layer)
  }
  const merged = layers.reduce<unknown>((below, layer) => merge(below, layer.values), {})
  const config = configSchema.parse(merged)
  checkAcrossKeys(config)
  return { config, hash: configHash(config) }
}

function merge(below: unknown, above: unknown): unknown {
  if (!isRecord(below) || !isRecord(above)) return above
  const merged: Record<string, unknown> = { ...below }
  for (const [name, value] of Object.entries(above))
    merged[name] = name in merged ? merge(merged[name], value) : value
  return merged
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function problemError(error: z.ZodError, layer: ConfigLayer): ReasonrecError {
  const unknown = error.issues.find((issue) => issue.code === 'unrecognized_keys')
  if (unknown && unknown.code === 'unrecognized_keys') {
    const name = unknown.keys[0] ?? ''
    const path = [...unknown.path, name]
    return new ReasonrecError('RR_UNKNOWN_KEY', `${layer.where(path)}: unknown key ${path.join('.')}`, {
      remedy: suggestion(path.join('.')),
    })
  }
  const issue = error.issues[0]
  const path = issue?.path ?? []
  return new ReasonrecError(
    'RR_CONFIG_VALUE',
    `${layer.where(path)}: wrong value for ${path.join('.') || 'the configuration'}`,
    {
      expected: issue?.message ?? 'another value',
      got: hidden(path)
        ? 'a value that is not shown'
        : (JSON.stringify(valueAt(layer.values, path)) ?? 'nothing'),
      remedy: 'correct the value',
    },
  )
}

function valueAt(values: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (node, name) => (node as Record<PropertyKey, unknown> | null | undefined)?.[name],
    values,
  )
}

/** "did you mean": the nearest full path, or the same last name elsewhere. */
function suggestion(path: string): string {
  const leaves = configKeys().map((entry) => entry.path)
  const sections = leaves.map((leaf) => leaf.split('.').slice(0, -1).join('.')).filter((name) => name !== '')
  const known = [...new Set([...leaves, ...sections])]
  const last = path.split('.').at(-1) ?? path
  const elsewhere = leaves.find((leaf) => leaf.split('.').at(-1) === last)
  if (elsewhere) return `did you mean ${elsewhere}?`
  const nearest = closest(path, known)
  return distance(path, nearest) <= Math.max(3, path.length / 3)
    ? `did you mean ${nearest}?`
    : `known sections: ${[...new Set(known.map((name) => name.split('.')[0]))].join(', ')}`
}

function checkAcrossKeys(config: Config): void {
  checkPolicyRules(config)
  checkTeacherRules(config)
  const { min_words, max_words } = config.collect
  if (min_words !== null && max_words !== null && min_words > max_words) {
    throw new ReasonrecError('RR_CONFIG_VALUE', 'collect.min_words is above collect.max_words', {
      got: `${min_words} and ${max_words}`,
      remedy: 'swap them',
    })
  }
  checkBaselines(config)
  if (config.model.compute === 'bf16' && config.model.dtype === 'fp32') {
    throw new ReasonrecError('RR_CONFIG_VALUE', 'model.compute bf16 needs weights held in bf16', {
      got: 'model.dtype fp32',
      remedy: 'set model.dtype to auto or bf16, or model.compute to fp32',
    })
  }
  if (config.data.min_hist > config.data.max_hist) {
    throw new ReasonrecError('RR_CONFIG_VALUE', 'data.min_hist is above data.max_hist', {
      got: `${config.data.min_hist} and ${config.data.max_hist}`,
      remedy: 'swap them',
    })
  }
}

function checkBaselines({ baselines: { llm }, sft, rl }: Config): void {
  const trained = llm.filter((name) => name === 'sft_direct' || name === 'sdpo' || name === 'grpo_direct')
  const further = trained.filter((name) => name !== 'sft_direct')
  const [name, key] =
    trained.length > 0 && sft.epochs === 0
      ? [trained[0], 'sft.epochs']
      : further.length > 0 && rl.steps === 0
        ? [further[0], 'rl.steps']
        : []
  if (name === undefined || key === undefined) return
  throw new ReasonrecError('RR_CONFIG_VALUE', `baselines.llm: ${name} is trained, and ${key} is 0`, {
    expected: `${key} above 0`,
    got: '0',
    remedy: `raise ${key}, or leave ${name} out`,
  })
}

/**
 * The one configuration schema. Every key carries a default, its unit or range and one sentence on what
 * changing it does; `section` names the paper's or the specification's symbol where there is one.
 * All defaults of the project live in src/config: the engine and the addon have none.
 */

import { z } from 'zod'
import { count, key } from './key.js'
import { baselines } from './sections/baselines.js'
import { collect } from './sections/collect.js'
import { graph } from './sections/graph.js'
import { sft } from './sections/imitate.js'
import { data, model, prompt } from './sections/input.js'
import { rl } from './sections/internalize.js'
import { judge } from './sections/judge.js'
import { evaluation, report } from './sections/output.js'
import { r2rec } from './sections/r2rec.js'
import { teacher } from './sections/teacher.js'

export const configSchema = z.strictObject({
  method: key(
    z.enum(['re2', 'r2rec']).default('re2'),
    'The paper whose prompts, gates and rewards are used.',
  ),
  seed: key(
    count(0).default(0),
    'Seed of everything random; equal seeds give equal bits on one kind of machine.',
  ),
  data,
  prompt,
  graph,
  model,
  r2rec,
  teacher,
  collect,
  sft,
  rl,
  eval: evaluation,
  judge,
  baselines,
  report,
})

export type Config = z.output<typeof configSchema>

/** Every key with its default, unit and consequence, for `--help`, the report and the documentation. */
export interface ConfigKey {
  readonly path: string
  readonly default: unknown
  readonly consequence: string
  readonly unit: string | null
  /** What the specification calls it. */
  readonly symbol: string | null
  /** Values it takes, in words: "1 or more", "grpo, rloo". */
  readonly range: string
}

interface JsonSchema {
  /** Several where null is one of them. */
  readonly type?: string | readonly string[]
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly minimum?: number
  readonly maximum?: number
  readonly exclusiveMinimum?: number
  readonly exclusiveMaximum?: number
  readonly anyOf?: readonly JsonSchema[]
  readonly items?: JsonSchema | false
  readonly prefixItems?: readonly JsonSchema[]
  readonly additionalProperties?: JsonSchema | boolean
  readonly symbol?: string
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly description?: string
  readonly unit?: string
  readonly default?: unknown
}

/** JSON Schema of a configuration file, for editors. */
export function configJsonSchema(): unknown {
  return z.toJSONSchema(configSchema, { io: 'input' })
}

export function configKeys(): readonly ConfigKey[] {
  const walk = (schema: JsonSchema, path: readonly string[]): ConfigKey[] =>
    schema.properties
      ? Object.entries(schema.properties).flatMap(([name, child]) => walk(child, [...path, name]))
      : [
          {
            path: path.join('.'),
            default: schema.default,
            consequence: schema.description ?? '',
            unit: schema.unit ?? null,
            symbol: schema.symbol ?? null,
            range: rangeOf(schema),
          },
        ]
  return walk(configJsonSchema() as JsonSchema, [])
}

function rangeOf(schema: JsonSchema): string {
  if (schema.anyOf) return schema.anyOf.map(rangeOf).join(' or ')
  if (schema.enum) return schema.enum.map(String).join(', ')
  if (typeof schema.type === 'object')
    return schema.type.map((type) => rangeOf({ ...schema, type })).join(' or ')
  if (schema.const !== undefined) return String(schema.const)
  if (schema.prefixItems) return `[${schema.prefixItems.map(rangeOf).join('; ')}]`
  if (schema.type === 'array') return `list of ${schema.items ? rangeOf(schema.items) : 'anything'}`
  if (schema.type === 'boolean') return 'true, false'
  if (schema.type === 'number' || schema.type === 'integer') return numbers(schema)
  if (schema.type === 'object')
    return typeof schema.additionalProperties === 'object'
      ? `name: ${rangeOf(schema.additionalProperties)}`
      : 'keys'
  return schema.type === 'string' ? 'text' : (schema.type ?? 'anything')
}

function numbers({ type, minimum, maximum, exclusiveMinimum, exclusiveMaximum }: JsonSchema): string {
  const noun = type === 'integer' ? 'whole number' : 'number'
  const low = exclusiveMinimum !== undefined ? `above ${exclusiveMinimum}` : minimum
  // zod bounds whole numbers by what a double holds exactly.
  const bounded = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER
  const high = exclusiveMaximum !== undefined ? `below ${exclusiveMaximum}` : bounded ? maximum : undefined
  const least = low === undefined || low === Number.MIN_SAFE_INTEGER ? undefined : low
  if (least === undefined) return high === undefined ? noun : `${noun} up to ${high}`
  if (high !== undefined)
    return typeof least === 'number' ? `${noun} ${least} to ${high}` : `${noun} ${least}, ${high}`
  return typeof least === 'number' ? `${noun}, ${least} or more` : `${noun} ${least}`
}

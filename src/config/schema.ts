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
import { evaluation, report } from './sections/output.js'
import { r2rec } from './sections/r2rec.js'

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
  collect,
  sft,
  rl,
  eval: evaluation,
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
}

interface JsonSchema {
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly description?: string
  readonly unit?: string
  readonly default?: unknown
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
          },
        ]
  return walk(z.toJSONSchema(configSchema, { io: 'input' }) as JsonSchema, [])
}

/** A configuration key by key: its value, whether that is the schema's default, and what its paper says about it. */

import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { type Config, type ConfigKey, configKeys, configSchema } from './schema.js'

export interface DescribedKey extends ConfigKey {
  readonly value: unknown
  /** Where the value comes from. */
  readonly from: 'default' | 'preset'
  /** What the paper says about the key; null: it says nothing, the value was chosen here. */
  readonly stated: string | null
}

/** `stated` names keys of the schema; another name in it is a fault of the project and throws. */
export function describedKeys(config: Config, stated: Readonly<Record<string, string>>): DescribedKey[] {
  const plain = configSchema.parse({})
  const keys = configKeys()
  const unknown = Object.keys(stated).filter((path) => !keys.some((one) => one.path === path))
  if (unknown.length > 0) throw new Error(`stated about no key: ${unknown.join(', ')}`)
  return keys.map((one) => {
    const value = valueAt(config, one.path)
    const same = JSON.stringify(value) === JSON.stringify(valueAt(plain, one.path))
    return { ...one, value, from: same ? 'default' : 'preset', stated: stated[one.path] ?? null }
  })
}

/** A file of `key: what the paper says`. */
export function readStated(file: URL): Readonly<Record<string, string>> {
  return parse(readFileSync(file, 'utf8')) as Record<string, string>
}

/** The comment a preset's file opens with, as text: its commands stand indented and are left out. */
export function presetSummary(file: string): string {
  const lines = readFileSync(file, 'utf8').split('\n')
  const end = lines.findIndex((line) => !line.startsWith('#'))
  const said = lines
    .slice(0, end)
    .map((line) => line.slice(1))
    .filter((line) => !/^ {3,}/.test(line))
  return said.map((line) => line.trim()).join(' ')
}

function valueAt(config: Config, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((node, name) => (node as Record<string, unknown> | undefined)?.[name], config)
}

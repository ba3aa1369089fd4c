/**
 * Every key of the configuration as Markdown, from the schema alone: docs/configuration.md.
 *   npx tsx src/config/write-reference.ts > docs/configuration.md
 */

import { type ConfigKey, configKeys } from './schema.js'

const head = `# Configuration

Written from the schema by \`npx tsx src/config/write-reference.ts > docs/configuration.md\`; do not edit. A key is set in a YAML file, by a preset, or by
\`--set key=value\`. Defaults are this project's unless a method's README marks them as its paper's.
`

export function configReference(): string {
  const sections = new Map<string, ConfigKey[]>()
  for (const one of configKeys()) {
    const name = one.path.includes('.') ? (one.path.split('.')[0] as string) : 'top level'
    sections.set(name, [...(sections.get(name) ?? []), one])
  }
  const parts = [...sections].map(([name, keys]) => `## ${name}\n\n${table(keys)}\n`)
  return [head, ...parts].join('\n')
}

function table(keys: readonly ConfigKey[]): string {
  const lines = keys.map(({ path, default: value, range, unit, symbol, consequence }) =>
    [`\`${path}\``, shown(value), range, unit ?? '', symbol ?? '', consequence].map(cell).join(' | '),
  )
  return [
    '| key | default | values | unit | symbol | what it changes |',
    '|---|---|---|---|---|---|',
    ...lines.map((line) => `| ${line} |`),
  ].join('\n')
}

function shown(value: unknown): string {
  return value === undefined ? '' : `\`${JSON.stringify(value)}\``
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ')
}

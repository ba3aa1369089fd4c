/** docs/troubleshooting.md names every code that the sources can throw, and no other. */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../../..', import.meta.url))

function thrown(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(ts|mjs|cpp|h|inl)$/.test(name) && !name.includes('cuda'))
    .flatMap((name) => [
      ...readFileSync(join(root, folder, name), 'utf8').matchAll(/['"](RR_[A-Z0-9_]*[A-Z0-9])['"]/g),
    ])
    .map((match) => match[1] as string)
}

describe('docs/troubleshooting.md', () => {
  const text = readFileSync(join(root, 'docs/troubleshooting.md'), 'utf8')
  const rows = text.slice(text.indexOf('## Commands'))
  const named = [...rows.matchAll(/`(RR_[A-Z0-9_]+)`/g)].map((match) => match[1] as string)

  it('names every code of the sources', () => {
    const codes = [...new Set([...thrown('src'), ...thrown('native')])]
    expect(codes.length).toBeGreaterThan(100)
    expect(codes.filter((code) => !text.includes(`\`${code}\``))).toEqual([])
  })

  it('names no code that is gone, and none twice', () => {
    const codes = new Set([...thrown('src'), ...thrown('native')])
    expect(named.filter((code) => !codes.has(code))).toEqual([])
    expect(named.filter((code, index) => named.indexOf(code) !== index)).toEqual([])
  })
})

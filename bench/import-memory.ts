/**
 * Imports made-up interactions (ten million unless told) and says what it took: seconds and the largest memory of the
 * importing process, which must stay below 2 GB.
 *
 *   npx tsx bench/import-memory.ts [--rows 10000000] [--layout csv | dat]
 *
 * csv goes through DuckDB, dat (`user::item::rating::seconds`) through our own lines. The rows are drawn from a fixed seed:
 * as many users as rows / 100, items by a skewed draw, times rising with some ties. Last line: one JSON object.
 */

import { spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { importPath } from '../src/data/importers/import.js'

const limit = 2e9 // bytes

interface Measured {
  readonly interactions: number
  readonly seconds: number
  readonly max_rss: number // bytes
}

function writeRows(folder: string, rows: number, layout: 'csv' | 'dat'): string {
  const path = join(folder, layout === 'csv' ? 'ratings.csv' : 'ratings.dat')
  const by = layout === 'csv' ? ',' : '::'
  const file = openSync(path, 'w')
  const users = Math.max(1, Math.floor(rows / 100))
  const items = 60_000
  let state = 1
  const below = (bound: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * bound)
  }
  let text = layout === 'csv' ? 'user,item,rating,timestamp\n' : ''
  for (let row = 0; row < rows; row++) {
    const item = Math.floor(items * (below(65536) / 65536) ** 2)
    text += `${1 + below(users)}${by}${1 + item}${by}${1 + below(5)}${by}${1_000_000_000 + Math.floor(row / 2)}\n`
    if (text.length > 1 << 20) {
      writeSync(file, text)
      text = ''
    }
  }
  writeSync(file, text)
  closeSync(file)
  if (layout === 'dat') writeFileSync(join(folder, 'movies.dat'), '1::A Title (1990)::Drama\n')
  return path
}

async function measure(path: string, out: string): Promise<void> {
  const began = performance.now()
  const { sets } = await importPath(path, out)
  const measured: Measured = {
    interactions: sets[0]?.interactions ?? 0,
    seconds: (performance.now() - began) / 1000,
    max_rss: 1024 * process.resourceUsage().maxRSS,
  }
  process.stdout.write(`${JSON.stringify(measured)}\n`)
}

function main(rows: number, layout: 'csv' | 'dat'): void {
  const folder = mkdtempSync(join(tmpdir(), 'reasonrec-import-memory-'))
  try {
    const path = writeRows(folder, rows, layout)
    const child = spawnSync(
      process.execPath,
      [...process.execArgv, fileURLToPath(import.meta.url), '--measure', path, '--out', join(folder, 'out')],
      { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] },
    )
    if (child.status !== 0) throw new Error(`the import ended with ${child.status ?? child.signal}`)
    const measured = JSON.parse(child.stdout.trim().split('\n').at(-1) ?? '') as Measured
    const ok = measured.max_rss < limit
    process.stdout.write(
      `${JSON.stringify({ rows, layout, bytes: statSync(path).size, ...measured, limit, ok })}\n`,
    )
    if (!ok) process.exitCode = 1
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '10000000' },
    layout: { type: 'string', default: 'csv' },
    measure: { type: 'string' },
    out: { type: 'string', default: '' },
  },
})
if (values.measure !== undefined) await measure(values.measure, values.out)
else main(Number(values.rows), values.layout === 'dat' ? 'dat' : 'csv')

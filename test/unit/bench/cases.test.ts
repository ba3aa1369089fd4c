/** Every case at its smallest, ours alone: each measures what it names, writes its file, and a page can be made of them. */

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cases } from '../../../bench/cases/index.js'
import { type CaseResult, readCases } from '../../../bench/results.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'reasonrec-bench-cases-'))
const page = join(folder, 'performance.md')
/** Those with tests of their own in bench.test.ts. */
const elsewhere = ['chains', 'start-up']
const names = cases.map(({ name }) => name).filter((name) => !elsewhere.includes(name))

let found: ReadonlyMap<string, CaseResult>
let messages = ''

beforeAll(() => {
  const args = ['--peer', 'none', '--size', 'tiny', '--rounds', '1', '--wait', '0', '--limit', '5']
  const child = spawnSync(
    process.execPath,
    ['--import', 'tsx', 'bench/run.ts', '--case', names.join(','), ...args, '--out', folder, '--write', page],
    { cwd: root, encoding: 'utf8' },
  )
  messages = child.stderr
  found = new Map(readCases(folder).map((result) => [result.case, result]))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('the cases of the bench', () => {
  it.each(names)('%s measures without a failure', (name) => {
    const result = found.get(name)
    expect(result, messages).toBeDefined()
    expect(result!.failed).toEqual([])
    const { rows, variants, series } = result!
    expect(rows.length + variants.length + series.length).toBeGreaterThan(0)
    for (const row of [...rows, ...variants]) {
      expect(row.ours, row.id).toBeGreaterThan(0)
      expect(Number.isFinite(row.ours), row.id).toBe(true)
    }
  })

  it('measures every goal, or says why not', () => {
    const goals = cases.filter(({ name }) => !elsewhere.includes(name)).flatMap((one) => one.goals ?? [])
    const results = [...found.values()]
    const ids = results.flatMap(({ rows, absent }) => [...rows, ...absent].map(({ id }) => id.split(' ')[0]))
    expect(goals.filter((goal) => !ids.includes(goal))).toEqual([])
    const named = JSON.parse(readFileSync(join(root, 'bench/GOALS.json'), 'utf8')) as Record<string, unknown>
    const all = cases.flatMap((one) => one.goals ?? [])
    expect(Object.keys(named).filter((goal) => !all.includes(goal))).toEqual([])
  })

  it('makes a page that names every goal, and those that were not measured', () => {
    const text = readFileSync(page, 'utf8')
    for (const goal of ['C1 16x64x96', 'C8', 'C13']) expect(text).toContain(`| ${goal} |`)
    expect(text).toContain('**C15**: not measured')
    expect(text).toContain('ceilings, measured in the same run')
  })
})

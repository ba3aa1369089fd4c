/** data import, inspect, stats and export as a user runs them: results on stdout, refusals on stderr, exit status. */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { type Layout, layouts, writeLayout } from '../fixtures/format-folders.js'
import { cli, lastJson, workFolder } from './command-line.js'

const work = workFolder()
afterAll(() => work.remove())
const at = (...names: readonly string[]): string => join(work.path, ...names)

interface Reported {
  readonly sets: readonly {
    readonly name: string
    readonly format: string
    readonly out: string
    readonly users: number
  }[]
  readonly refused: readonly { readonly path: string; readonly code: string }[]
}

describe('data', () => {
  it('imports a folder, tells of it, and exports it', async () => {
    mkdirSync(at('ml'))
    writeLayout(at('ml'), layouts['MovieLens 1M'] as Layout)
    const done = await cli(['data', 'import', at('ml'), '--out', at('out'), '--json'])
    expect(done).toMatchObject({ status: 0 })
    expect(lastJson<Reported>(done.stdout)).toMatchObject({
      schema: 1,
      sets: [{ name: 'MovieLens-1M', format: 'movielens', out: at('out'), users: 9 }],
      refused: [],
    })
    expect(readFileSync(at('out', 'interactions.csv'), 'utf8')).toMatch(/^user,item,rating,timestamp\n/)
    const again = await cli(['data', 'import', at('ml'), '--out', at('out')])
    expect(again).toMatchObject({ status: 2, stderr: expect.stringMatching(/^RR_OUTPUT_EXISTS: /) })
    const [stats, exported] = await Promise.all([
      cli(['data', 'stats', at('out'), '--json']),
      cli(['data', 'export', at('out'), '--as', 'parquet', '--out', at('parquet')]),
    ])
    expect(lastJson(stats.stdout)).toMatchObject({
      schema: 1,
      sets: [{ users: 9, noun: 'film', clock: 'shared' }],
    })
    expect(exported.status).toBe(0)
    expect(existsSync(at('parquet', 'interactions.parquet'))).toBe(true)
  })

  it('imports what it can of a folder and names the rest; inspect writes nothing', async () => {
    mkdirSync(at('mixed'))
    writeFileSync(at('mixed', 'a.csv'), 'user,item\n1,2\n1,3\n')
    writeFileSync(at('mixed', 'b.csv'), '<!DOCTYPE html><html></html>')
    const done = await cli(['data', 'import', at('mixed'), '--out', at('several'), '--json'])
    expect(done).toMatchObject({ status: 4, stderr: expect.stringContaining('RR_DATA_WEB_PAGE: ') })
    expect(lastJson<Reported>(done.stdout)).toMatchObject({
      sets: [{ out: at('several', 'a') }],
      refused: [{ code: 'RR_DATA_WEB_PAGE' }],
    })
    const seen = await cli(['data', 'inspect', at('mixed')])
    expect(seen).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/a: generic .*\n {2}a\.csv: interactions\n {4}user,item/),
    })
    expect(seen.stdout).toContain('refused: RR_DATA_WEB_PAGE')
  })
})

import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Config, configSchema } from '../../../src/config/schema.js'
import { loadDataset } from '../../../src/data/load.js'
import type { Dataset } from '../../../src/data/types.js'
import { baselineTable } from '../../../src/phases/evaluation/baseline-table.js'
import { prepareSasrec, sasrecScores } from '../../../src/phases/evaluation/sasrec-baseline.js'
import { type ProgressSink, silentProgress } from '../../../src/phases/run/progress.js'
import { writeSyntheticData } from '../../fixtures/synthetic-data.js'

const folder = mkdtempSync(join(tmpdir(), 'reasonrec-baseline-'))
const data = join(folder, 'data')
let dataset: Dataset

beforeAll(async () => {
  await writeSyntheticData(data, { users: 60, items: 40, seed: 2 })
  dataset = await loadDataset(data, { split: 'loo' })
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const config = (candidates = 'C20'): Config =>
  configSchema.parse({
    data: { candidates },
    baselines: { sasrec: { enabled: true, width: 8, blocks: 1, epochs: 3 } },
  })
const place = (name: string, more: { readonly config?: Config; readonly progress?: ProgressSink } = {}) => ({
  config: config(),
  dataset,
  folder: join(folder, name),
  progress: silentProgress,
  signal: new AbortController().signal,
  ...more,
})

describe('baselines without a language model', () => {
  it('are rows on the same tests, SASRec against item-kNN in pairs', async () => {
    const { table, differences } = await baselineTable(place('list'))
    expect(table.map(({ id }) => id)).toEqual(['random', 'popularity', 'item_knn', 'sasrec'])
    expect(new Set(table.map(({ n }) => n)).size).toBe(1)
    for (const { metric, difference, lo95, hi95, a, b } of differences) {
      const [mine, theirs] = [table.at(-1)!, table.at(-2)!]
      expect([a.id, b.id]).toEqual(['sasrec', 'item_knn'])
      expect(difference).toBeCloseTo((mine[metric] ?? Number.NaN) - (theirs[metric] ?? Number.NaN), 12)
      expect(lo95).toBeLessThanOrEqual(difference)
      expect(hi95).toBeGreaterThanOrEqual(difference)
    }
    expect(differences.map(({ metric }) => metric)).toContain('ndcg10')
    expect(existsSync(join(folder, 'list', 'sasrec', 'weights.safetensors'))).toBe(true)
  })

  it('rank a whole catalogue', async () => {
    const full = await loadDataset(data, { split: 'loo', protocol: 'full' })
    const { table } = await baselineTable({ ...place('full', { config: config('full') }), dataset: full })
    expect(table.at(-1)!.id).toBe('sasrec')
    expect(table.at(-1)!.hr50).toBe(1)
    expect(table.at(-1)!.hr1).toBeLessThan(1)
  })
})

describe('SASRec in a run', () => {
  it('keeps its scores, and is not trained where they are there', async () => {
    let advanced = 0
    const progress: ProgressSink = {
      ...silentProgress,
      advance: (done) => {
        advanced += done
      },
    }
    expect(sasrecScores(join(folder, 'run'), dataset.test)).toBeNull()
    await prepareSasrec(place('run', { progress }), dataset.test)
    const scores = sasrecScores(join(folder, 'run'), dataset.test)!
    expect(scores.map((row) => row.length)).toEqual(dataset.test.map(({ candidates }) => candidates.length))
    const [row] = (await baselineTable(place('list'))).table.slice(-1)
    expect(row!.id).toBe('sasrec')
    expect(advanced).toBeGreaterThan(0)
    advanced = 0
    await prepareSasrec(place('run', { progress }), dataset.test)
    expect(advanced).toBe(0)
  })
})

/** reasonrec baseline as a user runs it: rows and differences, and a training that is interrupted. */

import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeSyntheticData } from '../fixtures/synthetic-data.js'
import { cli, finished, lastJson, sha256, start, workFolder } from './command-line.js'

interface Shown {
  readonly table: readonly { readonly id: string; readonly n: number; readonly ndcg5: number }[]
  readonly differences: readonly { readonly metric: string; readonly lo95: number }[]
}

const folder = workFolder()
const data = join(folder.path, 'data')

beforeAll(async () => {
  await writeSyntheticData(data, { users: 120, items: 60, seed: 4, length: 20 })
})
afterAll(() => folder.remove())

const command = (out: string): string[] => [
  'baseline',
  '--data',
  data,
  '--sasrec',
  '--set',
  'data.split=loo',
  '--set',
  'baselines.sasrec.epochs=8',
  '--set',
  'baselines.sasrec.patience=8',
  '--out',
  join(folder.path, out),
  '--json',
]

describe('reasonrec baseline', () => {
  it('goes on with the same command where a signal stopped it, and ends with the same bits', async () => {
    const straight = await cli(command('straight'))
    expect(straight.status).toBe(0)
    const { table, differences } = lastJson<Shown>(straight.stdout)
    expect(table.map(({ id, n }) => [id, n])).toEqual(
      ['random', 'popularity', 'item_knn', 'sasrec'].map((id) => [id, 120]),
    )
    expect(differences.map(({ metric }) => metric)).toContain('ndcg5')

    const child = start(command('stopped'))
    const stopped = finished(child)
    child.stderr?.on('data', (text: Buffer) => {
      if (text.toString().includes('epoch 2:')) child.kill('SIGTERM')
    })
    const { status, stderr } = await stopped
    expect(stderr).toMatch(/saved; the same command goes on/)
    expect(status).toBe(143)
    const resumed = await cli(command('stopped'))
    expect(lastJson<Shown>(resumed.stdout)).toEqual(lastJson<Shown>(straight.stdout))
    const weights = (out: string): string => sha256(join(folder.path, out, 'sasrec', 'weights.safetensors'))
    expect(weights('stopped')).toBe(weights('straight'))
  })
})

/** reasonrec baseline as a user runs it: rows and differences, and a training that is interrupted. */

import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeSyntheticData } from '../fixtures/synthetic-data.js'
import {
  cli,
  finished,
  lastJson,
  quickSettings,
  sha256,
  start,
  succeeded,
  workFolder,
  writeSettings,
  writeTinyModel,
} from './command-line.js'

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

describe('reasonrec baseline --llm', () => {
  it('makes a run of the five rows, goes on with it, and takes no other configuration', async () => {
    const settings = writeSettings(join(folder.path, 'quick.yaml'), quickSettings)
    const model = await writeTinyModel(join(folder.path, 'model'))
    const out = join(folder.path, 'llm')
    const call = ['baseline', '--llm', '--config', settings, '--model', model, '--data', data, '--out', out]
    const first = await succeeded(cli([...call, '--json']))
    const { table } = lastJson<{ readonly table: readonly { readonly baseline?: string }[] }>(first.stdout)
    expect(table.flatMap(({ baseline }) => baseline ?? [])).toEqual([
      'zero_shot',
      'zero_shot_cot',
      'sft_direct',
      'sdpo',
      'grpo_direct',
    ])
    const again = await succeeded(cli([...call, '--json']))
    expect(lastJson<Shown>(again.stdout).table).toEqual(table)
    const shown = await succeeded(cli(call))
    expect(shown.stdout).toContain('GRPO-direct')
    expect(shown.stdout).not.toMatch(/^adapter/m)

    const other = await cli([...call, '--seed', '1'])
    expect([other.status, other.stderr]).toEqual([2, expect.stringContaining('RR_OUTPUT_CONFIG')])
    const phase = await cli(['imitate', '--out', out])
    expect(phase.stderr).toContain('RR_OUTPUT_STAGE')
    const counted = await cli(['baseline', '--data', data, '--out', out])
    expect(counted.stderr).toContain('RR_OUTPUT_NOT_EMPTY')
  })
})

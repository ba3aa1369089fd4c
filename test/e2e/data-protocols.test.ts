/** data audit, split, candidates, import-scores as a user runs them. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeSyntheticData } from '../fixtures/synthetic-data.js'
import { cli, lastJson, workFolder } from './command-line.js'

const folder = workFolder()
const data = join(folder.path, 'data')
const leaky = join(folder.path, 'leaky')

beforeAll(async () => {
  await writeSyntheticData(data, { users: 40, items: 80, seed: 5, userSplit: true })
  const { sequences } = await writeSyntheticData(leaky, { users: 40, items: 80, seed: 5 })
  // The target stands first in each list.
  const rows = sequences.map((own, user) => {
    const [target, history] = [own.at(-1) as number, own.slice(-6, -1)]
    const others = Array.from({ length: 80 }, (_, item) => (item + 7 * user) % 80).filter(
      (item) => !own.includes(item),
    )
    const ids = (list: readonly number[]): string => list.map((item) => `i${item}`).join(' ')
    return `u${user},${ids(history)},i${target},${ids([target, ...others.slice(0, 19)])}`
  })
  writeFileSync(join(leaky, 'test20.csv'), ['user,history,target,candidates', ...rows].join('\n'))
})
afterAll(() => folder.remove())

it('--ties says what becomes of equal times, whatever reads the path', async () => {
  const tied = join(folder.path, 'tied')
  await writeSyntheticData(tied, { users: 40, items: 80, seed: 5 })
  const file = join(tied, 'ratings.csv')
  const [head, ...rows] = readFileSync(file, 'utf8').trim().split('\n')
  const oneClock = rows.map((row) => row.replace(/,[^,]*$/, ',1300000000'))
  writeFileSync(file, [head, ...oneClock, ''].join('\n'))
  const call = (ties: string) =>
    cli(['baseline', '--data', tied, '--ties', ties, '--out', join(folder.path, `ties-${ties}`), '--json'])
  const [kept, drawn, refused] = [await call('file'), await call('shuffle'), await call('refuse')]
  expect([kept.status, drawn.status, refused.status]).toEqual([0, 0, 4])
  expect(refused.stderr).toMatch(/^RR_DATA_TIES: .*ratings\.csv:3: .*--ties shuffle/)
  const knn = (out: string) =>
    lastJson<{ table: { id: string; mrr: number }[] }>(out).table.find(({ id }) => id === 'item_knn')?.mrr
  expect(knn(drawn.stdout)).not.toBe(knn(kept.stdout))
})

describe('data audit', () => {
  it('ends with status 0 where no way around the history is found, with 4 and a remedy where one is', async () => {
    const clean = await cli(['data', 'audit', data, '--json'])
    expect([clean.status, clean.stderr]).toEqual([0, ''])
    expect(lastJson<{ verdict: string }>(clean.stdout).verdict).not.toBe('leak')
    const found = await cli(['data', 'audit', leaky, '--json'])
    expect(found.status).toBe(4)
    expect(found.stderr).toMatch(/^RR_DATA_LEAK: .*place in the list.*shuffle/)
    const { verdict, findings } = lastJson<{ verdict: string; findings: { id: string; level: string }[] }>(
      found.stdout,
    )
    expect(verdict).toBe('leak')
    expect(findings[0]).toMatchObject({ level: 'leak' })
    expect(findings.map(({ id }) => id)).toContain('target_place')
    const redrawn = await cli(['data', 'audit', leaky, '--set', 'data.published=redraw'])
    expect(redrawn.status).toBe(0)
  })
})

describe('data split, candidates and import-scores', () => {
  it('give tests to another program and take its scores back', async () => {
    const [split, lists] = [join(folder.path, 'split'), join(folder.path, 'lists')]
    expect((await cli(['data', 'split', data, '--out', split])).status).toBe(0)
    const tests = readFileSync(join(split, 'test.jsonl'), 'utf8').trim().split('\n')
    const scores = tests.flatMap((line) => {
      const { id, target, candidates } = JSON.parse(line) as {
        id: string
        target: string
        candidates: string[]
      }
      return candidates.map((item) => JSON.stringify({ instance: id, item, score: item === target ? 1 : 0 }))
    })
    const file = join(folder.path, 'scores.jsonl')
    writeFileSync(file, scores.join('\n'))
    const judged = await cli(['data', 'import-scores', file, '--data', data, '--name', 'oracle', '--json'])
    expect(judged.status).toBe(0)
    const { table } = lastJson<{ table: { id: string; name?: string; hr1: number }[] }>(judged.stdout)
    expect(table.at(-1)).toMatchObject({ id: 'imported', name: 'oracle', hr1: 1 })

    expect((await cli(['data', 'candidates', data, '--seeds', '0,4', '--out', lists])).status).toBe(0)
    const stored = join(lists, 'C20-seed4.jsonl.gz')
    const [head = ''] = gunzipSync(readFileSync(stored)).toString().split('\n')
    expect(JSON.parse(head)).toMatchObject({ kind: 'candidates', seed: 4, protocol: 'C20' })
    const other = await cli([
      'data',
      'import-scores',
      file,
      '--data',
      data,
      '--set',
      `data.cand_file=${stored}`,
    ])
    // Scores of other lists do not cover these.
    expect([other.status, other.stderr]).toEqual([4, expect.stringMatching(/^RR_DATA_SCORES: /)])

    const recbole = join(folder.path, 'recbole')
    expect((await cli(['data', 'split', data, '--to', 'recbole', '--out', recbole])).status).toBe(0)
    for (const name of [
      'data.train.inter',
      'data.valid.inter',
      'data.test.inter',
      'data.item',
      'recbole.yaml',
    ])
      expect(existsSync(join(recbole, name)), name).toBe(true)
    // They are read back as what they are.
    expect((await cli(['data', 'inspect', recbole])).stdout).toMatch(/recbole/)
  })
})

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { loadDataset } from '../../../src/data/load.js'
import { type SyntheticData, writeSyntheticData } from '../../fixtures/synthetic-data.js'

let root: string
let made = 0
let directory: string
let data: SyntheticData
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'reasonrec-published-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))
beforeEach(async () => {
  directory = join(root, `set-${made++}`)
  data = await writeSyntheticData(directory, { users: 30, items: 100, seed: 6 })
})

const put = (name: string, lines: readonly string[]): Promise<void> =>
  writeFile(join(directory, name), name.endsWith('.gz') ? gzipSync(lines.join('\n')) : lines.join('\n'))
const id = (item: number): string => `i${item}`
const own = (user: number): readonly number[] => data.sequences[user] as number[]

/** Items the user has not, the same for every user of a length: any set does. */
const negatives = (user: number): string[] =>
  data.titles
    .map((_, item) => item)
    .filter((item) => !own(user).includes(item))
    .slice(0, 19)
    .map(id)

function listRow(user: number, form: 'candidates' | 'negatives', place = own(user).length - 1): string {
  const history = own(user)
    .slice(Math.max(0, place - 10), place)
    .map(id)
    .join(' ')
  const target = id(own(user)[place] as number)
  return form === 'candidates'
    ? `u${user},${history},${target},${[target, ...negatives(user)].join(' ')}`
    : `u${user},${target},${history},${negatives(user).join(' ')}`
}

describe('published lists', () => {
  it('of held-out users make a split by user, keep their set and lose their order', async () => {
    await put('test20.csv', [
      'user,history,target,candidates',
      ...[0, 1, 2].map((user) => listRow(user, 'candidates')),
    ])
    await put('valid20.csv', ['user,history,target,candidates', listRow(3, 'candidates')])
    const dataset = await loadDataset(directory)
    expect(dataset.test.map(({ user }) => user)).toEqual(['u0', 'u1', 'u2'])
    expect(dataset.valid.map(({ id: name }) => name)).toEqual([`valid/u3/${own(3).length - 1}`])
    const trained = new Set(dataset.trainInteractions.map(({ user }) => user))
    for (const held of ['u0', 'u1', 'u2', 'u3']) expect(trained).not.toContain(held)
    const shown = dataset.test[0]?.candidates.map((item) => dataset.items[item]?.id) ?? []
    const printed = [id(own(0).at(-1) as number), ...negatives(0)]
    expect([...shown].sort()).toEqual([...printed].sort())
    expect(shown).not.toEqual(printed)
    expect(dataset.notes.join('\n')).toMatch(/test: 3 published lists/)
  })

  it('of the last items (candidates.csv.gz) go with leave-one-out', async () => {
    const rows = data.sequences.map((_, user) => listRow(user, 'negatives'))
    await put('candidates.csv.gz', ['user,target,history,negatives', ...rows])
    const dataset = await loadDataset(directory)
    expect(dataset.test).toHaveLength(30)
    expect(dataset.valid).toHaveLength(30)
    expect(dataset.trainInteractions).toHaveLength(data.sequences.flat().length - 60)
    for (const { candidates, target } of dataset.test) {
      expect(candidates).toHaveLength(20)
      expect(candidates.filter((item) => item === target)).toHaveLength(1)
    }
  })

  it('in another printed order are shown in the same order', async () => {
    const row = listRow(0, 'candidates').split(',')
    const reversed = [...row.slice(0, 3), (row[3] as string).split(' ').reverse().join(' ')].join(',')
    await put('test20.csv', ['user,history,target,candidates', row.join(',')])
    const first = await loadDataset(directory)
    await put('test20.csv', ['user,history,target,candidates', reversed])
    expect((await loadDataset(directory)).test).toEqual(first.test)
  })

  it('with training windows train on the windows only', async () => {
    await put('test20.csv', ['user,history,target,candidates', listRow(0, 'candidates')])
    const window = (user: number, place: number): string =>
      listRow(user, 'candidates', place).split(',').slice(0, 3).join(',')
    await put('train_windows.csv.gz', ['user,history,target', window(5, 4), window(5, 5), window(7, 4)])
    const dataset = await loadDataset(directory)
    expect(dataset.train.map(({ id: name }) => name)).toEqual(['train/u5/4', 'train/u5/5', 'train/u7/4'])
    expect(dataset.train[0]?.candidates).toHaveLength(20)
  })
})

describe('leaks are refused', () => {
  const leaks = (): Promise<void> =>
    expect(loadDataset(directory)).rejects.toMatchObject({
      code: 'RR_DATA_LEAK',
      details: { remedy: expect.any(String) },
    })

  it('a training window of a test user', async () => {
    await put('test20.csv', ['user,history,target,candidates', listRow(0, 'candidates')])
    const window = listRow(0, 'candidates', 4).split(',').slice(0, 3).join(',')
    await put('train_windows.csv', ['user,history,target', window])
    await leaks()
  })

  it('a test list whose target trains', async () => {
    await put('candidates.csv', ['user,target,history,negatives', listRow(0, 'negatives', 4)])
    await leaks()
  })

  it('a test list that is the validation instance', async () => {
    await put('candidates.csv', ['user,target,history,negatives', listRow(0, 'negatives', own(0).length - 2)])
    await leaks()
  })

  it('a user in two parts', async () => {
    await put('split.csv', ['user,split', 'u0,train', 'u0,test'])
    await leaks()
  })
})

describe('published rows are checked', () => {
  const header = 'user,history,target,candidates'
  const refused = (details: object): Promise<void> =>
    expect(loadDataset(directory)).rejects.toMatchObject(details)

  it('an unknown candidate is named with file and line', async () => {
    await put('test20.csv', [header, listRow(0, 'candidates'), `${listRow(1, 'candidates')} nowhere`])
    await refused({
      code: 'RR_DATA_UNKNOWN_ITEM',
      message: expect.stringMatching(/test20\.csv:3: item nowhere/),
    })
  })

  it('a list without its target', async () => {
    const [user, history, target] = listRow(0, 'candidates').split(',')
    await put('test20.csv', [header, [user, history, target, negatives(0).join(' ')].join(',')])
    await refused({ code: 'RR_DATA_MALFORMED', message: expect.stringMatching(/test20\.csv:2/) })
  })

  it('targets in the history shown are dropped and counted', async () => {
    const [user, history, target, list] = listRow(0, 'candidates').split(',')
    await put('test20.csv', [
      header,
      listRow(1, 'candidates'),
      [user, `${history} ${target}`, target, list].join(','),
    ])
    const dataset = await loadDataset(directory)
    expect(dataset.test).toHaveLength(1)
    expect(dataset.notes.join('\n')).toMatch(/1 instances were dropped: their target stands in the history/)
  })

  it('a folder is read without being written to', async () => {
    const before = await readFile(join(directory, 'ratings.csv'), 'utf8')
    await loadDataset(directory)
    expect(await readFile(join(directory, 'ratings.csv'), 'utf8')).toBe(before)
  })
})

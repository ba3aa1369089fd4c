/** reasonrec chains as a user runs it. */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeSyntheticData } from '../fixtures/synthetic-data.js'
import { cli, lastJson, workFolder } from './command-line.js'

interface ShownChain {
  readonly u0: string
  readonly i0: string
  readonly u1: string
  readonly i1: string
  readonly closed: boolean
  readonly ratings: readonly (number | null)[]
  readonly titles: { readonly i0: string; readonly i1: string }
}

interface Shown {
  readonly chains: readonly ShownChain[]
  readonly empty_share: number
  readonly sampled: number
}

const folder = workFolder()
const data = join(folder.path, 'data')
let titles: readonly string[] = []
const ratings = new Map<string, { readonly rating: number; readonly time: number }>()

beforeAll(async () => {
  ;({ titles } = await writeSyntheticData(data, { users: 50, items: 70, seed: 8, length: 20, hostile: true }))
  for (const row of readFileSync(join(data, 'ratings.csv'), 'utf8').trim().split('\n').slice(1)) {
    const [user, item, rating, time] = row.split(',')
    ratings.set(`${user} ${item}`, { rating: Number(rating), time: Number(time) })
  }
})
afterAll(() => folder.remove())

const edge = (user: string, item: string) => ratings.get(`${user} ${item}`)

describe('reasonrec chains', () => {
  it('gives chains with the ids, titles and ratings of the data', async () => {
    const { status, stdout, stderr } = await cli([
      'chains',
      '--data',
      data,
      '--user',
      'u7',
      '--count',
      '12',
      '--json',
    ])
    expect(stderr).toBe('')
    expect(status).toBe(0)
    const { chains, empty_share, sampled } = lastJson<Shown>(stdout)
    expect([chains.length, sampled]).toEqual([12, 12])
    expect(empty_share).toBeGreaterThanOrEqual(0)
    expect(empty_share).toBeLessThan(0.5)
    for (const { u0, i0, u1, i1, closed, ratings: known, titles: shown } of chains) {
      expect([u0, closed]).toEqual(['u7', true])
      expect(known).toEqual(
        [edge(u0, i0), edge(u1, i0), edge(u1, i1), edge(u0, i1)].map((one) => one?.rating),
      )
      expect(u1).not.toBe(u0)
      expect(i0).not.toBe(i1)
      for (const [item, title] of [
        [i0, shown.i0],
        [i1, shown.i1],
      ] as const)
        if (Number(item.slice(1)) >= 8) expect(title).toBe(titles[Number(item.slice(1))])
    }
  })

  it('ends in the target, hides its rating and uses nothing later', async () => {
    const target = [...ratings.keys()]
      .filter((key) => key.startsWith('u7 '))
      .map((key) => key.split(' ')[1]!)[10]!
    const { stdout } = await cli([
      'chains',
      '--data',
      data,
      '--user',
      'u7',
      '--target',
      target,
      '--count',
      '5',
      '--json',
    ])
    const { chains } = lastJson<Shown>(stdout)
    expect(chains.length).toBeGreaterThan(0)
    for (const { u0, i0, u1, i1, ratings: known } of chains.filter(({ closed }) => closed)) {
      expect([i1, known[3]]).toEqual([target, null])
      for (const one of [edge(u0, i0), edge(u1, i0), edge(u1, i1)])
        expect(one!.time).toBeLessThan(edge('u7', target)!.time)
    }
  })

  it('prints the same chains whatever the threads, and others for another seed', async () => {
    const run = async (...more: string[]): Promise<readonly ShownChain[]> => {
      const args = [
        'chains',
        '--data',
        data,
        '--user',
        'u3',
        '--count',
        '3000',
        '--preview',
        '50',
        '--weights',
        'tuned',
        '--json',
      ]
      return lastJson<Shown>((await cli([...args, ...more])).stdout).chains
    }
    const one = await run('--threads', '1')
    expect(one).toHaveLength(50)
    expect(await run('--threads', '2')).toEqual(one)
    expect(await run('--seed', '5')).not.toEqual(one)
  })

  it('draws them for people: one line per hop, no control codes, as many as previewed', async () => {
    const { status, stdout } = await cli([
      'chains',
      '--data',
      data,
      '--user',
      'u7',
      '--count',
      '40',
      '--preview',
      '4',
    ])
    expect(status).toBe(0)
    expect(stdout.match(/^closed$/gm)).toHaveLength(4)
    expect(stdout.match(/^ {2}u0 u7 +\d {2}\S/gm)).toHaveLength(8)
    expect(stdout).toMatch(/^40 chains; \d+\.\d % of the tests have no closed chain$/m)
    expect(stdout).not.toContain('\u001b')
  })

  it('works where nobody gave a rating', async () => {
    const silent = join(folder.path, 'silent')
    await writeSyntheticData(silent, { users: 50, items: 70, seed: 8, length: 20 })
    const file = join(silent, 'ratings.csv')
    writeFileSync(file, readFileSync(file, 'utf8').replace(/^(u\d+,i\d+),\d/gm, '$1,'))
    const args = ['chains', '--data', silent, '--user', 'u7', '--weights', 'tuned']
    const { stdout } = await cli([...args, '--json'])
    for (const { ratings: known } of lastJson<Shown>(stdout).chains)
      expect(known).toEqual([null, null, null, null])
    expect((await cli(args)).stdout).toMatch(/^ {2}u0 u7 +\? {2}\S/m)
  })

  it.each<[string, string[], RegExp, number]>([
    ['an unknown user', ['--user', 'nobody'], /^RR_DATA_USER: .*"nobody"/, 4],
    ['an unknown target', ['--user', 'u7', '--target', 'i999'], /^RR_DATA_UNKNOWN_ITEM: .*"i999"/, 4],
    ['no user', [], /^RR_USAGE/, 2],
    ['a count that is none', ['--user', 'u7', '--count', 'many'], /^RR_USAGE_NUMBER: --count/, 2],
    ['a negative preview', ['--user', 'u7', '--preview', '-1'], /^RR_USAGE_NUMBER: --preview/, 2],
    ['weights of another kind', ['--user', 'u7', '--weights', 'best'], /^RR_USAGE/, 2],
    [
      'nine users between',
      ['--user', 'u7', '--set', 'graph.middles=9'],
      /^RR_CONFIG_VALUE: .*graph\.middles/,
      2,
    ],
  ])('refuses %s', async (_, args, says, expected) => {
    const { status, stdout, stderr } = await cli(['chains', '--data', data, ...args])
    expect(stderr.trim()).toMatch(says)
    expect(stdout).toBe('')
    expect(status).toBe(expected)
  })

  it('refuses a folder that is not there', async () => {
    const { status, stderr } = await cli(['chains', '--data', join(folder.path, 'nowhere'), '--user', 'u1'])
    expect(stderr).toMatch(/^RR_DATA_NOT_FOUND: /)
    expect(status).toBe(4)
  })
})

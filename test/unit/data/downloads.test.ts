/** Sets as they are downloaded, made up in their layouts: MovieLens-1M, Amazon 2018 and 2023; the k-core; the presets for them. */

import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../../../src/config/load.js'
import { Numbering } from '../../../src/data/importers/columns.js'
import { keptRows, type Rows } from '../../../src/data/importers/core.js'
import { loadDataset } from '../../../src/data/load.js'
import { seeded } from '../../../src/data/random.js'
import type { Dataset } from '../../../src/data/types.js'
import { presetFile } from '../../../src/methods/registry.js'
import { openDataset } from '../../../src/methods/session.js'

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'reasonrec-downloads-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))

async function folder(files: Readonly<Record<string, string | Buffer>>): Promise<string> {
  const path = await mkdtemp(join(root, 'set-'))
  await mkdir(path, { recursive: true })
  for (const [name, content] of Object.entries(files))
    await writeFile(join(path, name), name.endsWith('.gz') ? gzipSync(content) : content)
  return path
}

/** [user, item, stars, seconds]: 60 users with 8 to 16 of 50 items each, and a few who have hardly anything. */
function rows(): [number, number, number, number][] {
  const random = seeded(1, 'downloads')
  const dense = Array.from({ length: 60 }, (_, user) => {
    const items = random.shuffled(Array.from({ length: 50 }, (_, item) => item)).slice(0, 8 + random.below(9))
    return items.map((item, place): [number, number, number, number] => [
      user,
      item,
      1 + random.below(5),
      1e9 + 1000 * place + user,
    ])
  })
  const sparse = Array.from({ length: 20 }, (_, user): [number, number, number, number] => [
    100 + user,
    70 + user,
    4,
    1e9,
  ])
  return [...dense.flat(), ...sparse]
}

const ml1m = (): Promise<string> =>
  folder({
    'ratings.dat': `${rows()
      .map((row) => row.join('::'))
      .join('\n')}\n`,
    'movies.dat': Buffer.from(
      `${Array.from({ length: 90 }, (_, item) => `${item}::Caf\u00e9 ${item}${item === 7 ? '\u0085x' : ''} (19${10 + item})::Drama|Comedy`).join('\n')}\n`,
      'latin1',
    ),
    'users.dat': '1::F::18::10::90416\n',
  })

const amazon2018 = (category: string): Promise<string> =>
  folder({
    [`${category}_5.json.gz`]: rows()
      .map(([user, item, overall, unixReviewTime]) =>
        JSON.stringify({
          overall,
          reviewerID: `A${user}`,
          asin: `B${item}`,
          unixReviewTime,
          reviewText: 'x',
        }),
      )
      .join('\n'),
    [`meta_${category}.json.gz`]: Array.from({ length: 90 }, (_, item) =>
      JSON.stringify({
        asin: `B${item}`,
        title: item === 3 ? '<span>var x</span>' : `Tea &amp; Train ${item}`,
      }),
    ).join('\n'),
  })

const amazon2023 = (category: string): Promise<string> =>
  folder({
    [`${category}.jsonl`]: rows()
      .map(([user, item, rating, time]) =>
        JSON.stringify({
          rating,
          title: 'of the review',
          user_id: `A${user}`,
          asin: 'variant',
          parent_asin: `B${item}`,
          timestamp: 1000 * time,
        }),
      )
      .join('\n'),
    [`meta_${category}.jsonl`]: Array.from({ length: 90 }, (_, item) =>
      JSON.stringify({ parent_asin: `B${item}`, title: `Train ${item}` }),
    ).join('\n'),
  })

const titlesOf = ({ items }: Dataset): string[] => items.map(({ title }) => title.text)

describe('MovieLens-1M as unpacked', () => {
  it('is read with its ratings, times and Latin-1 titles', async () => {
    const dataset = await loadDataset(await ml1m())
    expect(dataset).toMatchObject({ name: 'MovieLens-1M', noun: 'film', clock: 'shared' })
    expect(titlesOf(dataset)[5]).toBe('Caf\u00e9 5')
    expect(titlesOf(dataset)[7]).toBe('Caf\u00e9 7x')
    const [user, item, stars, seconds] = rows()[0]!
    expect(dataset.userInteractions?.get(String(user))?.[0]).toEqual({
      user: String(user),
      item,
      rating: stars,
      timestamp: seconds,
    })
    expect(dataset.test).toHaveLength(60)
  })

  it.each([
    ['ratings.dat', '1::2::3\n', /ratings\.dat:1: .*4 cells/],
    ['ratings.dat', '1::2::many::5\n', /ratings\.dat:1/],
    ['movies.dat', '::Nameless (1990)::Drama\n', /movies\.dat:1/],
  ])('refuses a torn row of %s: %j', async (name, text, says) => {
    const path = await ml1m()
    await writeFile(join(path, name), text)
    const error = await loadDataset(path).catch((thrown) => thrown)
    expect(error.code).toBe('RR_DATA_MALFORMED')
    expect(error.toLine()).toMatch(says)
  })
})

describe('Amazon reviews as downloaded', () => {
  it.each([
    ['2018', amazon2018],
    ['2023', amazon2023],
  ] as const)('of %s are joined with their titles and cut to the core', async (year, write) => {
    const dataset = await loadDataset(await write('Toys'), { core: 5 })
    expect(dataset).toMatchObject({ name: 'Amazon Toys', noun: 'product', clock: 'shared' })
    expect(dataset.test).toHaveLength(60)
    expect([...dataset.userItems!.keys()].filter((user) => Number(user.slice(1)) >= 100)).toEqual([])
    expect(titlesOf(dataset)).toContain(year === '2018' ? 'Tea & Train 4' : 'Train 4')
    expect(titlesOf(dataset).some((title) => title.includes('<'))).toBe(false)
    const [user, item, stars] = rows()[0]!
    const first = dataset.userInteractions
      ?.get(`A${user}`)
      ?.find((one) => dataset.items[one.item]?.id === `B${item}`)
    if (year === '2023') expect(first?.rating).toBe(stars)
  })

  it('keep so many users, by hash and not by place', async () => {
    const path = await amazon2018('Toys')
    const usersOf = async (maxUsers: number): Promise<string[]> => [
      ...(await loadDataset(path, { core: 2, maxUsers })).userItems!.keys(),
    ]
    const [few, more] = [await usersOf(20), await usersOf(30)]
    expect(few).toHaveLength(20)
    expect(more).toEqual(expect.arrayContaining(few))
    expect(few).not.toEqual([...few].map((_, user) => `A${user}`))
  })

  it('name a line that is no object, and a review without its user', async () => {
    const path = await amazon2018('Toys')
    await writeFile(
      join(path, 'meta_Toys.json.gz'),
      gzipSync("{'asin': 'B0', 'title': u'Caf\\xe9', 'none': None}\n{'asin': B1}\n"),
    )
    const error = await loadDataset(path).catch((thrown) => thrown)
    expect(error.toLine()).toMatch(/^RR_DATA_MALFORMED: .*meta_Toys\.json\.gz:2: .*Python/)
    await writeFile(
      join(path, 'Toys_5.json.gz'),
      gzipSync('{"reviewerID": "A0", "asin": "B0", "unixReviewTime": 1}\n{"asin": "B0"}\n'),
    )
    expect(await loadDataset(path).catch((thrown) => thrown.code)).toBe('RR_DATA_MALFORMED')
  })
})

describe('the k-core', () => {
  /** The same by sets, one removal at a time. */
  function byHand(users: number[], items: number[], least: number): number[] {
    let kept = users.map((_, row) => row)
    for (;;) {
      const enough = (row: number): boolean =>
        kept.filter((other) => users[other] === users[row]).length >= least &&
        kept.filter((other) => items[other] === items[row]).length >= least
      const next = kept.filter(enough)
      if (next.length === kept.length) return kept
      kept = next
    }
  }

  it('equals what removing by hand leaves, on 60 random tables', () => {
    for (let seed = 0; seed < 60; seed++) {
      const random = seeded(seed, 'core')
      const users = Array.from({ length: 80 }, () => random.below(15))
      const items = Array.from({ length: 80 }, () => random.below(15))
      const ids = Array.from({ length: 15 }, (_, id) => String(id))
      const table: Rows = {
        users: Int32Array.from(users),
        items: Int32Array.from(items),
        userIds: ids,
        itemIds: ids,
      }
      for (const core of [1, 3, 5, 7]) {
        const kept = keptRows(table, { core, maxUsers: null, seed: 0 })
        expect([...kept.keys()].filter((row) => kept[row] === 1)).toEqual(byHand(users, items, core))
      }
    }
  })

  it('is not taken from a folder with published lists', async () => {
    const path = await folder({
      'ratings.csv': `user,item,rating,timestamp\n${rows()
        .map((row) => row.join(','))
        .join('\n')}\n`,
      'items.csv': `item,title\n${Array.from({ length: 90 }, (_, item) => `${item},Train ${item}`).join('\n')}\n`,
      'test20.csv': 'user,history,target,candidates\n',
    })
    expect(await loadDataset(path, { core: 5 }).catch((thrown) => thrown.code)).toBe('RR_DATA_CORE')
  })

  it('numbers ids in the order in which they come', () => {
    const numbers = new Numbering()
    expect(['b', 'a', 'b'].map((id) => numbers.of(id))).toEqual([0, 1, 0])
    expect(numbers.ids).toEqual(['b', 'a'])
  })
})

describe('presets of the sets', () => {
  it.each([
    ['r2rec-ml1m', ml1m, 'film'],
    ['r2rec-amazon-books', () => amazon2018('Books'), 'book'],
    ['r2rec-amazon-electronics', () => amazon2023('Electronics'), 'product'],
  ] as const)('%s reads its layout into lists of 1 and 19', async (preset, write, noun) => {
    const sources = {
      preset: presetFile(preset),
      file: null,
      set: [],
      options: { 'data.dir': await write() },
    }
    const { config } = loadConfig(sources)
    expect(config).toMatchObject({
      method: 'r2rec',
      eval: { instances: 1000 },
      data: { split: 'loo', candidates: 'C20' },
    })
    // What the preset stands on is in it.
    expect(config.rl).toEqual(loadConfig({ ...sources, preset: presetFile('r2rec') }).config.rl)
    const dataset = await openDataset(config)
    expect(dataset.noun).toBe(noun)
    expect(dataset.test.length).toBeGreaterThan(40)
    for (const { candidates, target, history } of dataset.test) {
      expect(candidates).toHaveLength(20)
      expect(candidates).toContain(target)
      expect(history.length).toBeLessThanOrEqual(5)
    }
  })
})

const samples = process.env.REASONREC_DATA ? join(process.env.REASONREC_DATA, 'format-samples') : null
if (samples === null) console.log('format samples: skipped, REASONREC_DATA is not set')
describe.runIf(samples !== null)('samples of the real layouts', () => {
  it.each(['movielens_1m', 'amazon2014', 'amazon2018', 'amazon2023'])('%s loads', async (name) => {
    const path = join(samples!, name)
    expect(existsSync(path)).toBe(true)
    const dataset = await loadDataset(path, { candidates: 5 })
    expect(dataset.test.length).toBeGreaterThan(0)
    expect(dataset.userInteractions?.values().next().value?.[0]?.rating).toBeGreaterThan(0)
  })
})

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { withFreshNegatives } from '../../../src/data/candidates.js'
import { type LoadOptions, loadDataset } from '../../../src/data/load.js'
import type { Dataset, Instance } from '../../../src/data/types.js'
import { hostileTitles, type SyntheticOptions, writeSyntheticData } from '../../fixtures/synthetic-data.js'

let root: string
let made = 0
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'reasonrec-data-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))

const folder = (): string => join(root, `set-${made++}`)

async function synthetic(options: Partial<SyntheticOptions> = {}, load: LoadOptions = {}): Promise<Dataset> {
  const directory = folder()
  await writeSyntheticData(directory, { users: 40, items: 120, seed: 1, ...options })
  return loadDataset(directory, load)
}

/** A folder from texts: {'ratings.csv': '...'}; names ending in .gz are packed. */
async function written(files: Record<string, string>): Promise<string> {
  const directory = folder()
  await writeSyntheticData(directory, { users: 6, items: 60, seed: 2 })
  for (const [name, text] of Object.entries(files)) {
    if (name.startsWith('-')) await rm(join(directory, name.slice(1)))
    else await writeFile(join(directory, name), name.endsWith('.gz') ? gzipSync(text) : text)
  }
  return directory
}

/** Six users of nine items each, three at a time with one clock. */
const tiedRows = (turned = false): string => {
  const lines = Array.from({ length: 6 }, (_, user) =>
    Array.from({ length: 9 }, (_, place) => `u${user},i${place + user},${1.3e9 + Math.floor(place / 3)}`),
  ).flat()
  // The last row stands twice.
  const rows = [...lines, lines.at(-1) as string]
  return ['user,item,timestamp', ...(turned ? rows.reverse() : rows), ''].join('\n')
}

const all = ({ train, valid, test }: Dataset): Instance[] => [...train, ...valid, ...test]
const titleOf = (dataset: Dataset, index: number): string => dataset.items[index]?.title.text ?? ''

describe('interactions with equal times', () => {
  const sequences = (dataset: Dataset): Record<string, string[]> =>
    Object.fromEntries(
      [...(dataset.userInteractions ?? [])].map(([user, own]) => [
        user,
        own.map(({ item }) => dataset.items[item]?.id ?? ''),
      ]),
    )
  const loaded = async (options: LoadOptions, turned = false): Promise<Dataset> =>
    loadDataset(await written({ 'ratings.csv': tiedRows(turned) }), { protocol: 'C4', ...options })

  it('keep the order of the file, or one drawn from the seed, whatever the order of the rows', async () => {
    const kept = await loaded({})
    expect(sequences(kept).u2).toEqual(Array.from({ length: 9 }, (_, place) => `i${place + 2}`))
    const drawn = await loaded({ ties: 'shuffle' })
    expect(sequences(drawn)).not.toEqual(sequences(kept))
    expect(sequences(await loaded({ ties: 'shuffle' }, true))).toEqual(sequences(drawn))
    expect(sequences(await loaded({ ties: 'shuffle', tieSeed: 1 }))).not.toEqual(sequences(drawn))
    for (const [user, own] of Object.entries(sequences(drawn)))
      for (const from of [0, 3, 6])
        expect(own.slice(from, from + 3).sort()).toEqual(
          sequences(kept)
            [user]?.slice(from, from + 3)
            .sort(),
        )
    // 6 of 8 neighbours of each user.
    expect(kept.notes.join()).toMatch(/75.0 % .* the order of the file decides/)
    expect(drawn.notes.join()).toMatch(/75.0 % .* an order drawn from a seed decides/)
    for (const { notes } of [kept, drawn]) expect(notes.join()).toContain('1 duplicate interactions')
  })

  it('change no lists by their seed beyond what the order changes, and can be refused', async () => {
    await expect(loaded({ ties: 'refuse' })).rejects.toMatchObject({
      code: 'RR_DATA_TIES',
      message: expect.stringMatching(/ratings\.csv:3: /),
    })
    const untied = await synthetic({}, { ties: 'refuse' })
    expect(untied.test).toEqual((await synthetic()).test)
    expect((await synthetic({}, { ties: 'shuffle', tieSeed: 5 })).test).toEqual(untied.test)
  })
})

describe('a plain folder', () => {
  it('is split leave-one-out with statistics from the training part only', async () => {
    const directory = folder()
    const { sequences, titles } = await writeSyntheticData(directory, { users: 40, items: 120, seed: 1 })
    const dataset = await loadDataset(directory)
    expect(dataset.test).toHaveLength(40)
    expect(dataset.valid).toHaveLength(40)
    expect(dataset.trainInteractions).toHaveLength(sequences.flat().length - 2 * 40)
    for (const { user, target, history } of dataset.test) {
      const own = sequences[Number(user.slice(1))] as number[]
      expect(titleOf(dataset, target)).toBe(titles[own.at(-1) as number])
      expect(history.map((item) => titleOf(dataset, item))).toEqual(
        own.slice(-11, -1).map((item) => titles[item]),
      )
    }
  })

  it('reads .tsv, .jsonl and packed files alike', async () => {
    const plain = await synthetic({ seed: 5 })
    const source = join(root, `set-${made - 1}`)
    const csv = await readFile(join(source, 'ratings.csv'), 'utf8')
    const rows = csv
      .trim()
      .split('\n')
      .map((line) => line.split(','))
    const items = await readFile(join(source, 'items.csv'), 'utf8')
    const [header = [], ...body] = rows
    const jsonl = body
      .map((row) => JSON.stringify({ user_id: row[0], item_id: row[1], rating: Number(row[2]), ts: row[3] }))
      .join('\n')
    const forms = [
      { 'interactions.tsv': rows.map((row) => row.join('\t')).join('\r\n') },
      { 'interactions.jsonl': jsonl },
      { 'ratings.csv.gz': `\uFEFF${csv.replaceAll(',', ';')}` },
    ]
    expect(header).toHaveLength(4)
    for (const form of forms) {
      const directory = await written({ '-ratings.csv': '', 'items.csv': items, ...form })
      const dataset = await loadDataset(directory)
      expect(dataset.test).toEqual(plain.test)
      expect(dataset.trainInteractions).toEqual(plain.trainInteractions)
    }
  })

  it('takes name and noun from options, dataset.json or defaults, in this order', async () => {
    expect((await synthetic()).noun).toBe('item')
    expect((await synthetic({ noun: 'film' })).noun).toBe('film')
    expect(await synthetic({ noun: 'film' }, { noun: 'book', name: 'mine' })).toMatchObject({
      noun: 'book',
      name: 'mine',
    })
  })

  it('cleans hostile titles and keeps every one apart', async () => {
    const dataset = await synthetic({ hostile: true })
    expect(dataset.items).toHaveLength(120)
    expect(hostileTitles.length).toBeGreaterThan(5)
    for (const { title } of dataset.items) {
      expect(title.text).not.toBe('')
      expect(title.text).not.toMatch(/[\p{Cc}\p{Cf}]/u)
    }
    const shown = dataset.items.map(({ title }) => title.text)
    expect(shown).toContain('He said "yes", twice')
  })
})

describe('instances', () => {
  const shapes = fc.record({
    users: fc.integer({ min: 12, max: 40 }),
    items: fc.integer({ min: 60, max: 200 }),
    seed: fc.nat(99),
  })
  const splits = fc.constantFrom('loo', 'user', 'global81', 'user81') as fc.Arbitrary<
    NonNullable<LoadOptions['split']>
  >

  it('hold the target once, no item of the user beside it, and no repeat in the history', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, splits, async (shape, split) => {
        const dataset = await synthetic({ ...shape, userSplit: split === 'user' }, { split })
        for (const { user, target, history, candidates } of all(dataset)) {
          expect(candidates.filter((item) => item === target)).toHaveLength(1)
          expect(new Set(candidates).size).toBe(20)
          const own = new Set(dataset.userItems?.get(user))
          expect(candidates.filter((item) => own.has(item))).toEqual([target])
          expect(history).not.toContain(target)
          expect(history.length).toBeGreaterThanOrEqual(3)
          expect(history.length).toBeLessThanOrEqual(10)
        }
      }),
      { numRuns: 12 },
    )
  })

  it('of different parts never share a target', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, splits, async (shape, split) => {
        const dataset = await synthetic({ ...shape, userSplit: split === 'user' }, { split })
        const ids = all(dataset).map(({ id }) => id)
        expect(new Set(ids).size).toBe(ids.length)
        const places = ids.map((id) => id.slice(id.indexOf('/')))
        expect(new Set(places).size).toBe(places.length)
        const trained = new Set(dataset.trainInteractions.map(({ user, item }) => `${user} ${item}`))
        for (const { user, target } of [...dataset.valid, ...dataset.test])
          expect(trained).not.toContain(`${user} ${target}`)
        if (split === 'user' || split === 'user81') {
          const users = new Set(dataset.trainInteractions.map(({ user }) => user))
          for (const { user } of [...dataset.valid, ...dataset.test]) expect(users).not.toContain(user)
        }
      }),
      { numRuns: 12 },
    )
  })

  it('are the same again, and other lists with another seed', async () => {
    const [first, second, other] = [
      await synthetic(),
      await synthetic(),
      await synthetic({}, { candidateSeed: 1 }),
    ]
    expect(all(second)).toEqual(all(first))
    expect(other.test.map(({ candidates }) => candidates)).not.toEqual(
      first.test.map(({ candidates }) => candidates),
    )
    expect(other.test.map(({ target }) => target)).toEqual(first.test.map(({ target }) => target))
  })

  it('do not depend on the order of the users in the file', async () => {
    const first = await synthetic({ seed: 4 })
    const source = join(root, `set-${made - 1}`)
    const [header, ...rows] = (await readFile(join(source, 'ratings.csv'), 'utf8')).trim().split('\n')
    const items = await readFile(join(source, 'items.csv'), 'utf8')
    const directory = await written({
      'ratings.csv': [header, ...rows.reverse()].join('\n'),
      'items.csv': items,
    })
    const byId = (dataset: Dataset): Instance[] => all(dataset).sort((a, b) => (a.id < b.id ? -1 : 1))
    expect(byId(await loadDataset(directory))).toEqual(byId(first))
  })

  it('put the target at every place about equally often', async () => {
    const dataset = await synthetic({ users: 300, items: 200 })
    const places = new Array<number>(20).fill(0)
    for (const { candidates, target } of dataset.train) (places[candidates.indexOf(target)] as number) += 1
    const n = dataset.train.length
    // Six standard deviations of a binomial count: about one failure in 10^7 seeds, and the seed is fixed.
    for (const count of places) expect(Math.abs(count - n / 20)).toBeLessThan(6 * Math.sqrt(n * 0.05 * 0.95))
  })

  it('draw negatives by training counts under C20pop', async () => {
    const mean = async (protocol: 'C20' | 'C20pop'): Promise<number> => {
      const dataset = await synthetic({ users: 200, items: 200 }, { protocol })
      const counts = new Map<number, number>()
      for (const { item } of dataset.trainInteractions) counts.set(item, (counts.get(item) ?? 0) + 1)
      const drawn = dataset.test.flatMap(({ candidates, target }) =>
        candidates.filter((item) => item !== target),
      )
      return drawn.reduce((sum, item) => sum + (counts.get(item) ?? 0), 0) / drawn.length
    }
    expect(await mean('C20pop')).toBeGreaterThan(1.3 * (await mean('C20')))
  })
})

describe('training lists', () => {
  it('are drawn anew each epoch, by id and never by target', async () => {
    const dataset = await synthetic()
    const instance = dataset.train[3] as Instance
    expect(withFreshNegatives(dataset, instance, 0)).toEqual(instance)
    const later = withFreshNegatives(dataset, instance, 1)
    expect(later.candidates).not.toEqual(instance.candidates)
    expect(later.candidates).toContain(instance.target)
    expect(withFreshNegatives(dataset, later, 1)).toEqual(later)
    // Two instances with one target share no more negatives than chance gives: 19 * 19 / 119, about 3.
    const twins = dataset.train.filter(({ target }) => target === instance.target)
    const [a, b] = twins
    expect(twins.length).toBeGreaterThan(1)
    expect(a?.candidates.filter((item) => b?.candidates.includes(item)).length).toBeLessThan(12)
  })

  it('of validation and test never change', async () => {
    const dataset = await synthetic()
    const test = dataset.test[0] as Instance
    expect(() => withFreshNegatives(dataset, test, 1)).toThrow(
      expect.objectContaining({ code: 'RR_DATA_LEAK' }),
    )
  })

  it('are capped and limited by hash, a larger limit keeping what a smaller kept', async () => {
    const few = await synthetic({}, { maxTrainPerUser: 2, limit: { train: 10, test: 5 } })
    const more = await synthetic({}, { maxTrainPerUser: 2, limit: { train: 20, test: 5 } })
    expect(few.train).toHaveLength(10)
    expect(more.train).toHaveLength(20)
    expect(few.test).toHaveLength(5)
    for (const instance of few.train) expect(more.train).toContainEqual(instance)
    expect(few.notes.join('\n')).toMatch(/test: 5 of 40 instances kept/)
  })
})

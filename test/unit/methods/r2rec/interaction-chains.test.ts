/** Chains of instances: training edges and the asked user's own earlier ones alone, in every split and on both clocks. */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { configSchema } from '../../../../src/config/schema.js'
import { type LoadOptions, loadDataset } from '../../../../src/data/load.js'
import type { Dataset, Instance, Interaction } from '../../../../src/data/types.js'
import type { Chain } from '../../../../src/methods/r2rec/chain.js'
import { InteractionChains } from '../../../../src/methods/r2rec/interaction-chains.js'
import { embeddedDataset } from '../../../../src/quickstart/dataset.js'
import { writeSyntheticData } from '../../../fixtures/synthetic-data.js'

const { graph: defaults } = configSchema.parse({})

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'reasonrec-chains-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))

async function synthetic(split: NonNullable<LoadOptions['split']>): Promise<Dataset> {
  const folder = join(root, split)
  await writeSyntheticData(folder, { users: 60, items: 80, seed: 3, userSplit: split === 'user', length: 20 })
  return loadDataset(folder, { split })
}

const keyOf = ({ user, item, timestamp }: Interaction): string => `${user} ${item} ${timestamp}`
const all = ({ train, valid, test }: Dataset): Instance[] => [...train, ...valid, ...test]

/** Every edge of a chain is in the data, of the training part or u0's own, and earlier than the target. */
function expectSound(
  dataset: Dataset,
  instance: Instance,
  { users, items, ratings, closed }: Chain,
  asks: boolean,
): void {
  const trained = new Set(dataset.trainInteractions.map(keyOf))
  const training = dataset.trainInteractions.some(({ user }) => user === instance.user)
  const time = dataset.userInteractions!.get(instance.user)![instance.position!]!.timestamp
  expect(users[0]).toBe(instance.user)
  expect(users[1]).not.toBe(users[0])
  expect(items[0]).not.toBe(items[1])
  const hops = ratings.slice(0, closed && !asks ? 4 : 3)
  for (const [hop, rating] of hops.entries()) {
    const user = users[((hop + 1) >> 1) % 2]!
    const edges = dataset.userInteractions!.get(user)!.filter(({ item }) => item === items[hop >> 1])
    const fitting = edges.filter((edge) => {
      const early = user === instance.user || dataset.clock === 'shared' ? edge.timestamp < time : true
      return early && (trained.has(keyOf(edge)) || (user === instance.user && !training))
    })
    expect(fitting.map((edge) => edge.rating)).toContain(rating)
  }
  if (asks) expect(ratings[3]).toBeNull()
}

describe('chains among the history', () => {
  it.each(['loo', 'user', 'global81', 'user81'] as const)(
    'use no edge of a test or after the target (%s)',
    async (split) => {
      const dataset = await synthetic(split)
      expect(dataset.clock).toBe('shared')
      const source = new InteractionChains(dataset, defaults, 0)
      let chains = 0
      for (const instance of all(dataset).filter((_, index) => index % 3 === 0))
        for (const chain of source.amongHistory(instance, 3)) {
          chains++
          expectSound(dataset, instance, chain, false)
          for (const item of [instance.target, ...instance.candidates])
            expect(chain.items).not.toContain(item)
        }
      expect(chains).toBeGreaterThan(100)
    },
  )

  it('of the embedded world bind only the own clock, and reach nearly every test', async () => {
    const dataset = embeddedDataset()
    const source = new InteractionChains(dataset, defaults, 0)
    for (const instance of dataset.test.slice(0, 200))
      for (const chain of source.amongHistory(instance, 3)) expectSound(dataset, instance, chain, false)
    const { closed, open, none } = await source.outcomes(dataset.test)
    expect(closed + open + none).toBe(dataset.test.length)
    expect(await source.emptyShare(dataset.test)).toBeLessThan(0.05)
  })

  it('stay within the history shown where that is wanted', () => {
    const dataset = embeddedDataset()
    const source = new InteractionChains(dataset, { ...defaults, among: 'shown', fall_back: false }, 0)
    const short = dataset.test.slice(0, 300).map((one) => ({ ...one, history: one.history.slice(-5) }))
    const chains = short.flatMap((one) => source.amongHistory(one, 3).map((chain) => ({ one, chain })))
    expect(chains.length).toBeGreaterThan(100)
    for (const { one, chain } of chains) for (const item of chain.items) expect(one.history).toContain(item)
  })

  it('are a pure function of data, seed and instance', () => {
    const dataset = embeddedDataset()
    const [a, b, other] = [0, 0, 1].map((seed) => new InteractionChains(dataset, defaults, seed))
    const of = (source: InteractionChains | undefined) =>
      dataset.test.slice(0, 50).map((one) => source!.amongHistory(one, 3))
    const backwards = dataset.test
      .slice(0, 50)
      .reverse()
      .map((one) => b!.amongHistory(one, 3))
    expect(of(a)).toEqual(backwards.reverse())
    expect(of(other)).not.toEqual(of(a))
  })

  it('exist for a history without a place, over the items it names', () => {
    const dataset = embeddedDataset()
    const source = new InteractionChains(dataset, defaults, 0)
    const chains = dataset.test.slice(0, 100).flatMap(({ history, target, candidates }) => {
      const typed = { id: 'typed', user: '', history, target, candidates }
      return source
        .amongHistory(typed, 3)
        .filter(({ closed }) => closed)
        .map((chain) => ({ chain, history }))
    })
    expect(chains.length).toBeGreaterThan(50)
    for (const { chain, history } of chains) {
      expect(history).toEqual(expect.arrayContaining([...chain.items]))
      expect([chain.ratings[0], chain.ratings[3]]).toEqual([null, null])
    }
  })
})

describe('chains that end in an item', () => {
  it('hide its rating, also where the graph knows it', async () => {
    const dataset = await synthetic('loo')
    const source = new InteractionChains(dataset, { ...defaults, weights: 'tuned', fall_back: false }, 0)
    let chains = 0
    for (const instance of dataset.train.slice(0, 200))
      for (const chain of source.endingAt(instance, instance.target, 3)) {
        chains++
        expect(chain.items[1]).toBe(instance.target)
        expectSound(dataset, instance, chain, true)
      }
    expect(chains).toBeGreaterThan(100)
  })

  it('may end in any candidate', () => {
    const dataset = embeddedDataset()
    const source = new InteractionChains(dataset, { ...defaults, fall_back: false }, 0)
    const [instance] = dataset.test
    const ends = instance!.candidates.flatMap((item) =>
      source.endingAt(instance!, item, 2).map(({ items }) => [item, items[1]]),
    )
    expect(ends.length).toBeGreaterThan(5)
    for (const [wanted, got] of ends) expect(got).toBe(wanted)
  })
})

describe('many chains', () => {
  it('are as many as wanted, in rounds through different users', async () => {
    const dataset = embeddedDataset()
    const source = new InteractionChains(dataset, defaults, 0)
    const instance = dataset.test[3]!
    const { chains, sampled } = await source.manyChains(instance, null, { count: 500, shown: 500 })
    expect([chains.length, sampled]).toEqual([500, 500])
    const candidates = new Set(chains.map(({ users }) => users[1])).size
    for (let first = 0; first + candidates <= 500; first += candidates)
      expect(new Set(chains.slice(first, first + candidates).map(({ users }) => users[1])).size).toBe(
        candidates,
      )
    const few = await source.manyChains(instance, null, { count: 500, shown: 7 })
    expect(few).toMatchObject({ sampled: 500, chains: chains.slice(0, 7) })
    const none = { ...instance, user: 'nobody', history: [], position: null }
    expect(await source.manyChains(none, null, { count: 5000, shown: 9 })).toMatchObject({
      chains: [],
      sampled: 0,
    })
  })
})

/** Ratings beside places, and whose times compare. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadDataset } from '../../../src/data/load.js'
import { ratingsOf } from '../../../src/data/ratings.js'
import type { Dataset } from '../../../src/data/types.js'
import { embeddedDataset } from '../../../src/quickstart/dataset.js'
import { writeSyntheticData } from '../../fixtures/synthetic-data.js'

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'reasonrec-ratings-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))

/** A folder of 30 users with other rows or another dataset.json. */
async function loaded(
  name: string,
  change: { readonly ratings?: (user: number, place: number) => string; readonly about?: object } = {},
): Promise<Dataset> {
  const folder = join(root, name)
  const { sequences } = await writeSyntheticData(folder, { users: 30, items: 80, seed: 4 })
  const rows = sequences.flatMap((own, user) =>
    own.map((item, place) => `u${user},i${item},${change.ratings?.(user, place) ?? `3,${1e9 + place}`}`),
  )
  if (change.ratings)
    await writeFile(join(folder, 'ratings.csv'), `user,item,rating,timestamp\n${rows.join('\n')}\n`)
  if (change.about) await writeFile(join(folder, 'dataset.json'), JSON.stringify(change.about))
  return loadDataset(folder, { candidates: 20 })
}

const all = ({ train, valid, test }: Dataset) => [...train, ...valid, ...test]

describe('ratings of an instance', () => {
  it('are those of its places, in any split', async () => {
    const dataset = await loaded('plain', {
      ratings: (user, place) => `${1 + ((user + 2 * place) % 5)},${1e9 + place}`,
    })
    for (const instance of all(dataset)) {
      const { user, position, history } = instance
      if (typeof position !== 'number') throw new Error('a place is known for every drafted instance')
      const rating = (place: number): number => 1 + ((Number(user.slice(1)) + 2 * place) % 5)
      expect(ratingsOf(dataset, instance)).toEqual({
        history: history.map((_, index) => rating(position - history.length + index)),
        target: rating(position),
      })
      expect(dataset.userInteractions?.get(user)?.map(({ item }) => item)).toEqual(
        dataset.userItems?.get(user),
      )
    }
  })

  it('are null where the data has none, and an unplaced history takes the latest rating of each item', async () => {
    const dataset = await loaded('partial', {
      ratings: (_, place) => `${place % 2 === 0 ? '' : 4},${1e9 + place}`,
    })
    const [instance] = dataset.test
    const places = (instance?.history ?? []).map(
      (_, index) => (instance?.position ?? 0) - (instance?.history.length ?? 0) + index,
    )
    const wanted = places.map((place) => (place % 2 === 0 ? null : 4))
    expect(ratingsOf(dataset, instance!).history).toEqual(wanted)
    expect(ratingsOf(dataset, { ...instance!, position: null }).history).toEqual(wanted)
    expect(ratingsOf({}, instance!)).toEqual({ history: wanted.map(() => null), target: null })
  })

  it('exist in the embedded world, 1 to 5', () => {
    const dataset = embeddedDataset()
    for (const instance of dataset.test.slice(0, 50)) {
      const { history, target } = ratingsOf(dataset, instance)
      for (const rating of [...history, target]) expect([1, 2, 3, 4, 5]).toContain(rating)
    }
  })
})

describe('the clock', () => {
  it('is shared for real times and own for positions', async () => {
    expect((await loaded('seconds')).clock).toBe('shared')
    expect((await loaded('positions', { ratings: (_, place) => `3,${place + 1}` })).clock).toBe('own')
    expect((await loaded('rows', { ratings: (user, place) => `3,${10 * user + place}` })).clock).toBe('own')
    expect((await loaded('years', { ratings: (_, place) => `3,${1990 + place / 4}` })).clock).toBe('shared')
    expect(embeddedDataset().clock).toBe('own')
  })

  it('is what dataset.json says', async () => {
    expect((await loaded('said-own', { about: { clock: 'own' } })).clock).toBe('own')
    const positions = (_: number, place: number): string => `3,${place + 1}`
    expect((await loaded('said-shared', { ratings: positions, about: { clock: 'shared' } })).clock).toBe(
      'shared',
    )
    await expect(loaded('said-wrong', { about: { clock: 'mine' } })).rejects.toMatchObject({
      code: 'RR_DATA_MALFORMED',
    })
  })
})

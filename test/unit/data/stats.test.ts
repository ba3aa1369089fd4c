/** Counts of a data set against the same counted by hand. */
import { describe, expect, it } from 'vitest'
import type { RawData, RawInteraction } from '../../../src/data/importers/canonical.js'
import { dataStats } from '../../../src/data/stats.js'

const row = (
  user: string,
  item: string,
  timestamp: number,
  rating: number | null = null,
): RawInteraction => ({
  user,
  item,
  rating,
  timestamp,
  line: 0,
})

const raw: RawData = {
  name: 'made up',
  noun: null,
  itemsPath: 'items',
  items: ['One', 'Two', ' two. ', '', 'Five'].map((title, id) => ({
    id: `${id}`,
    title,
    year: '',
    authors: '',
  })),
  interactionsPath: 'ratings',
  interactions: [
    row('a', '1', 1000, 4),
    row('b', '1', 5000, 5),
    row('a', '2', 2000, 4),
    row('a', '1', 2000), // tied with the row before, a repeat
    row('a', '1', 2000), // a duplicate, tied too
    row('b', '3', 4000, 0.5), // without a title
    row('b', '9', 4500), // without a row
  ],
  timed: true,
  clock: 'shared',
  ties: 'file',
  doubled: 0,
  userSplit: null,
  windows: null,
  valid: null,
  test: null,
  lastItem: null,
}

describe('data stats', () => {
  it('counts users, items, ties, repeats, ratings and titles', () => {
    expect(dataStats(raw)).toEqual({
      name: 'made up',
      noun: 'item',
      users: 2,
      items: 4,
      interactions: 7,
      density: 7 / 8,
      per_user: { min: 3, median: 3.5, max: 4 },
      per_item: { min: 1, median: 1, max: 4 },
      clock: 'shared',
      span: ['1970-01-01T00:16:40', '1970-01-01T01:23:20'],
      ratings: { '0.5': 1, '4': 2, '5': 1 },
      tied_share: 2 / 5,
      duplicate_rows: 1,
      repeat_share: 1 / 7,
      catalogue: { rows: 5, without_title: 1, shared_title: 2, untitled_interactions: 2 },
    })
  })

  it('knows no dates where times are positions, and nothing of an empty set', () => {
    expect(dataStats({ ...raw, clock: 'own' }).span).toBeNull()
    expect(dataStats({ ...raw, interactions: [] })).toMatchObject({
      users: 0,
      density: 0,
      tied_share: 0,
      ratings: null,
    })
  })
})

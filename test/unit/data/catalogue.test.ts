import { describe, expect, it } from 'vitest'
import { buildCatalogue } from '../../../src/data/catalogue.js'
import type { RawItem } from '../../../src/data/importers/canonical.js'
import { normaliseTitle, words } from '../../../src/data/title.js'

const row = (id: string, title: string, year = '', authors = ''): RawItem => ({ id, title, year, authors })
const titles = (rows: RawItem[]): string[] => buildCatalogue(rows).items.map(({ title }) => title.text)

describe('equal titles', () => {
  it.each([
    ['The Matrix', '  the   MATRIX. '],
    ['“The Matrix”', "'The Matrix'"],
    ['Straße', 'STRASSE'],
    ['ﬁlm café', 'Film Cafe\u0301'],
  ])('%s and %s', (a, b) => expect(normaliseTitle(a)).toBe(normaliseTitle(b)))

  it.each([
    ['+44', '44'],
    ['Alien', 'Aliens'],
    ['...', '?'],
    ['Title (1996)', 'Title (2020)'],
  ])('not %s and %s', (a, b) => expect(normaliseTitle(a)).not.toBe(normaliseTitle(b)))

  it('keeps a title of marks only', () => expect(normaliseTitle('"..."')).toBe('"..."'))
  it('splits words without apostrophes and marks', () =>
    expect(words('Salem’s Lot, No. 2!')).toEqual(['salems', 'lot', 'no', '2']))
})

describe('the catalogue', () => {
  it('shows the year of colliding titles only', () => {
    expect(
      titles([row('1', 'Emma', '1996'), row('2', 'emma.', '2020'), row('3', 'Persuasion', '1995')]),
    ).toEqual(['Emma (1996)', 'emma. (2020)', 'Persuasion'])
  })
  it('adds authors where the year is the same', () => {
    expect(titles([row('1', 'Poems', '1990', 'A. One'), row('2', 'Poems', '1990', 'B. Two')])).toEqual([
      'Poems (A. One)',
      'Poems (B. Two)',
    ])
  })
  it('merges what stays equal, under the first id', () => {
    const { items, indexOf, notes } = buildCatalogue([
      row('1', 'Eros', '2004'),
      row('2', 'Other'),
      row('3', ' EROS ', '2004'),
    ])
    expect(items.map(({ id }) => id)).toEqual(['1', '2'])
    expect(indexOf.get('3')).toBe(indexOf.get('1'))
    expect(notes).toEqual(['1 item ids share a title with another and were merged with it'])
  })
  it('merges a marked title with one that is written so', () => {
    const { items } = buildCatalogue([
      row('1', 'Emma', '1996'),
      row('2', 'Emma', '2020'),
      row('3', 'Emma (1996)'),
    ])
    expect(items).toHaveLength(2)
  })
  it('counts rows without a title and rows of an id seen before', () => {
    const { items, untitled, notes } = buildCatalogue([
      row('1', '\u200b\n'),
      row('2', 'Kept'),
      row('2', 'Late'),
    ])
    expect(items.map(({ title }) => title.text)).toEqual(['Kept'])
    expect([...untitled]).toEqual(['1'])
    expect(notes).toHaveLength(2)
  })
})

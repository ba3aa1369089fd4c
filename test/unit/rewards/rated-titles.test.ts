/** Titles with a rating behind them, in catalogues where the number could belong to a sequel's title. */

import { describe, expect, it } from 'vitest'
import { ratingPlaces, words } from '../../../src/data/title.js'
import type { Dataset, Instance } from '../../../src/data/types.js'
import type { Chain } from '../../../src/methods/r2rec/chain.js'
import { textGates } from '../../../src/methods/r2rec/quality-filter.js'
import { ratingQuestion } from '../../../src/methods/r2rec/question.js'
import { untrusted } from '../../../src/prompts/untrusted-text.js'
import { citations } from '../../../src/rewards/citations.js'

const titles = ['Night Ferry', 'Night Ferry 4', 'Ember', 'Ember 2', 'Saga, Part 2 of 5', 'Saga, Part']
const [ferry, ferry4, ember, ember2, part2, part] = [0, 1, 2, 3, 4, 5] as const
const rated = (user: string, ...choices: readonly (readonly [number, number])[]) =>
  choices.map(([item, rating], timestamp) => ({ user, item, rating, timestamp }))
const ann = rated('ann', [ferry, 4], [ember, 2])
const bob = rated('bob', [ferry, 4], [ember, 2])
const dataset: Dataset = {
  name: 'sequels',
  noun: 'film',
  items: titles.map((title, id) => ({ id: String(id), title: untrusted(title) })),
  trainInteractions: [...ann, ...bob],
  train: [],
  valid: [],
  test: [],
  userInteractions: new Map([
    ['ann', ann],
    ['bob', bob],
  ]),
  notes: [],
}
const instance: Instance = {
  id: 'train/ann/1',
  user: 'ann',
  history: [ferry],
  target: ember,
  candidates: [],
  position: 1,
}

describe('a number that says a rating', () => {
  it.each([
    ['Night Ferry 4/5', [2]],
    ['Night Ferry 4 / 5.', [2]],
    ['gave it 4.5/5 at last', [2, 3]],
    ['Night Ferry 4 of 5, Ember 2 out of 5', [2, 6]],
    ['Night Ferry 4 5', []],
    ['on 14/5, 4 of 50, 4 of', []],
  ] as const)('is found in %j', (text, places) => {
    expect([...ratingPlaces(text)]).toEqual(places)
    expect(places.every((place) => /^\d$/.test(words(text)[place] ?? ''))).toBe(true)
  })
})

describe('citations', () => {
  const cited = (
    text: string,
    history: readonly number[],
    about: { item: number; rating: number } | null = null,
  ) => {
    const found = citations(dataset, { ...instance, history }, text, about)
    return { own: [...found.history].sort(), foreign: found.foreign }
  }

  it('read a rated title as itself, and a sequel as the sequel', () => {
    expect(cited('u0 gave Night Ferry 4/5', [ferry])).toEqual({ own: [ferry], foreign: [] })
    expect(cited('u0 gave Night Ferry 4 of 5', [ferry, ferry4])).toEqual({ own: [ferry], foreign: [] })
    expect(cited('Ember 2 out of 5', [ember])).toEqual({ own: [ember], foreign: [] })
    expect(cited('u0 liked Night Ferry 4', [ferry])).toEqual({ own: [], foreign: ['night ferry 4'] })
    expect(cited('Night Ferry 4 4/5', [ferry])).toEqual({ own: [], foreign: ['night ferry 4'] })
    expect(cited('Night Ferry 4 4/5', [ferry4])).toEqual({ own: [ferry4], foreign: [] })
    expect(cited('Ember 2 2/5', [ember2])).toEqual({ own: [ember2], foreign: [] })
  })

  it('let a title hold such words inside', () => {
    expect(cited('Saga, Part 2 of 5 was long', [part2])).toEqual({ own: [part2], foreign: [] })
    expect(cited('Saga, Part 2 of 5 was long', [part])).toEqual({ own: [], foreign: ['saga part 2 of 5'] })
  })

  it('take one bare number behind a title for the rating that is spoken of, if it is that', () => {
    const about = { item: ferry, rating: 4 }
    expect(cited('Night Ferry 4 agree', [ferry], about)).toEqual({ own: [ferry], foreign: [] })
    expect(cited('Night Ferry 4 4 agree', [ferry], about)).toEqual({ own: [], foreign: ['night ferry 4'] })
    expect(cited('Night Ferry 4 agree', [ferry], { item: ferry, rating: 3 }).foreign).toEqual([
      'night ferry 4',
    ])
    expect(cited('Night Ferry 4 agree', [ember], { item: ember, rating: 4 }).foreign).toEqual([
      'night ferry 4',
    ])
  })
})

describe('the hops gate', () => {
  const chain: Chain = {
    users: ['ann', 'bob'],
    items: [ferry, ember],
    ratings: [4, 4, 2, null],
    closed: true,
  }
  const question = ratingQuestion(dataset, instance, [chain])
  const passes = (lines: readonly string[], compact: boolean): boolean => {
    const response = `<think>\n${lines.join('\n')}\n</think>\n<answer>2</answer>`
    const gate = textGates(dataset, question, response, compact).find((one) => one.gate === 'hops')
    return gate?.passed === true
  }
  const steps = [
    'Step 1 (u0 - i0): u0 gave Night Ferry 4/5.',
    'Step 2 (u1 - i0): u1 gave Night Ferry 4 of 5 too.',
    'Step 3 (u1 - i1): u1 rated Ember 2.',
    'Step 4 (u0 - i1): so Ember 2/5.',
  ]

  it('knows a rated item from its sequel', () => {
    expect(passes(steps, false)).toBe(true)
    const changed = (place: number, line: string) => steps.map((own, at) => (at === place ? line : own))
    expect(passes(changed(0, 'Step 1 (u0 - i0): u0 saw Night Ferry and Night Ferry 4 5/5.'), false)).toBe(
      false,
    )
    expect(passes(changed(0, 'Step 1 (u0 - i0): u0 gave Night Ferry 4 5 of 5.'), false)).toBe(false)
    expect(passes(changed(1, 'Step 2 (u1 - i0): u1 gave Ember 4 of 5.'), false)).toBe(false)
  })
})

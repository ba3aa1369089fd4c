/** Questions, thoughts and answers of R2Rec in both wordings, written out. */

import { describe, expect, it } from 'vitest'
import type { Instance } from '../../../../src/data/types.js'
import { hopsOf } from '../../../../src/methods/r2rec/chain.js'
import { compactThoughts } from '../../../../src/methods/r2rec/compact-thoughts.js'
import { rankingParts, thoughtsOf } from '../../../../src/methods/r2rec/interaction-of-thoughts.js'
import { labelOf, ratingQuestion, shownRating } from '../../../../src/methods/r2rec/question.js'
import { walksOf } from '../../../../src/methods/r2rec/walk.js'
import { partsText, promptText } from '../../../../src/prompts/prompt.js'
import { untrustedPassage } from '../../../../src/prompts/untrusted-text.js'
import { asking, handMade, instance, loop, methodOf } from './hand-made.js'

const compact = methodOf({ wording: 'compact', labels: 3 })
const standard = methodOf()
const ranking = compact.question(handMade, instance)
const rating = ratingQuestion(handMade, instance, [asking])

const said = (method: typeof compact, asked: Instance, mode: 'reason' | 'direct' = 'reason') =>
  promptText(method.prompt(handMade, asked, mode))

describe('compact questions', () => {
  const head = '[user]\nhistory\n+ Lagoon Orin 5\n+ Vale Tamsin 3\n'
  const chain = 'chain\na Lagoon Orin 5\nb Lagoon Orin 4\nb Vale Tamsin 4\na Vale Tamsin 3\n'
  const list = 'choose\nC01 Harbor Lund\nC02 Cove Pell\nC03 Prairie Rao\n'
  const hidden = 'chain\na Lagoon Orin 5\nb Lagoon Orin 4\nb Cove Pell 5\na Cove Pell ?\n'

  it('are the lists and one word', () => {
    expect(said(compact, ranking)).toBe(`${head}${chain}${list}explain`)
    expect(said(compact, ranking, 'direct')).toBe(`${head}${chain}${list}name`)
    expect(said(compact, rating)).toBe(`${head}${hidden}rate`)
    expect(said(compact, rating, 'direct')).toBe(`${head}${hidden}guess`)
  })

  it('leave the block out where there is no chain, but never the album that is asked for', () => {
    const bare = methodOf({ wording: 'compact', chains: 0 })
    expect(said(bare, bare.question(handMade, instance))).toBe(`${head}${list}explain`)
    expect(said(compact, ratingQuestion(handMade, instance, []))).toBe(`${head}chain\na Cove Pell ?\nrate`)
  })

  it('mask hops to come and a rating to be foretold', () => {
    const { words } = compact
    const shown = (view: object) => promptText(words.question(handMade, rating, 'reason', view))
    expect(shown({ revealed: 2 })).toBe(`${head}chain\na Lagoon Orin 5\nb Lagoon Orin 4\nb ?\na ?\nrate`)
    expect(shown({ revealed: 2, maskedRating: 1 })).toContain('\nb Lagoon Orin ?\nb ?\n')
  })
})

describe('thoughts and answers', () => {
  it('are the lines of the compact wording', () => {
    const [walk] = walksOf(ranking)
    const likes = new Map([
      [0, ['sea', 'calm']],
      [1, ['farm', 'calm']],
    ])
    const words = {
      liked: ({ hop }: { hop: { item: number } }) => likes.get(hop.item) ?? [],
      so: ['sea', 'calm'],
    }
    expect(compactThoughts(handMade, ranking, walk ?? [], words)).toBe(
      '1 Lagoon Orin 5 likes sea calm\n2 Lagoon Orin 4 agree\n3 Vale Tamsin 4 likes farm calm\n4 Vale Tamsin 3 so sea calm',
    )
    const [asked] = walksOf(rating)
    const lines = compactThoughts(handMade, rating, asked ?? [], { ...words, so: [] }).split('\n')
    expect([lines[2], lines[3]]).toEqual(['3 Cove Pell 5 likes none', '4 Cove Pell so none'])
    const differing = { ...loop, ratings: [5, 3, 4, 3] }
    const [other] = walksOf({ ...ranking, evidence: { query: 'ranking', ratings: [], chains: [differing] } })
    expect(compactThoughts(handMade, ranking, other ?? [], words)).toContain('\n2 Lagoon Orin 3 differ\n')
  })

  it('without a chain walk two albums of the history, numbered 1 and 4', () => {
    const bare = methodOf({ wording: 'compact', chains: 0 }).question(handMade, instance)
    const walks = walksOf(bare).map((walk) => walk.map(({ number, hop }) => [number, hop.item, hop.rating]))
    expect(walks).toEqual([
      [
        [1, 0, 5],
        [4, 1, 3],
      ],
      [
        [1, 1, 3],
        [4, 0, 5],
      ],
    ])
  })

  it('stand in one frame', () => {
    const parts = compact.response(untrustedPassage('1 a\n4 b'), ...rankingParts(ranking, [2, 5]))
    expect(partsText(parts)).toBe('<think>1 a\n4 b</think><answer>C02 > C03</answer>')
    expect(partsText(standard.response(untrustedPassage('x'), '4'))).toBe(
      '<think>\nx\n</think>\n<answer>4</answer>',
    )
    expect(labelOf(19, 20)).toBe('C20')
    expect(labelOf(0, 100)).toBe('C001')
  })
})

describe('standard questions', () => {
  it('name hops, ratings and what is asked, and nothing of the answer', () => {
    const text = said(standard, rating)
    expect(text).toContain('Chain 1:\n(u0 - i0) u0 rated Lagoon Orin 5/5\n(u1 - i0) u1 rated Lagoon Orin 4/5')
    expect(text).toContain('(u0 - i1) u0 rated Cove Pell ?/5')
    expect(text).toContain('How does u0 rate Cove Pell?')
    expect(text).toContain('Step 3 (u1 - i1): ...\nStep 4 (u0 - i1): ...')
    expect(text).not.toMatch(/4\/5.*Cove|Cove Pell 4/)
    expect(text).not.toMatch(/ann|bob/)
  })

  it('list candidates by label and ask for as many as the method ranks', () => {
    const text = said(standard, standard.question(handMade, instance))
    expect(text).toContain('C01 Harbor Lund\nC02 Cove Pell\nC03 Prairie Rao')
    expect(text).toContain('Then rank all 3 labels')
    expect(text.match(/Cove Pell/g)).toHaveLength(1)
    expect(said(methodOf({ labels: 2 }), standard.question(handMade, instance))).toContain('the 2 likeliest')
  })
})

describe('the parser', () => {
  const steps = 'Step 1 (u0 - i0): a\nStep 2 (u1 - i0): b\nStep 3 (u1 - i1): c\nStep 4 (u0 - i1): d'
  const read = (asked: Instance, answer: string, thoughts = steps) =>
    standard.parse(handMade, asked, `<think>\n${thoughts}\n</think>\n<answer>${answer}</answer>`)

  it('reads ratings', () => {
    expect(read(rating, '4')).toMatchObject({
      ratingError: 0,
      steps: true,
      item: null,
    })
    expect(read(rating, ' 2 ')).toMatchObject({ ratingError: 2 })
    for (const answer of ['', '6', '4.5', '4/5', 'four', 'C02'])
      expect(read(rating, answer).ratingError, answer).toBeUndefined()
  })

  it('reads rankings of the labels of the question', () => {
    const asked = standard.question(handMade, instance)
    expect(read(asked, 'C02 > C01 > C03')).toMatchObject({
      item: 2,
      ranking: [2, 4, 5],
    })
    expect(read(asked, 'C03>C02')).toMatchObject({ item: 5, ranking: [5, 2] })
    for (const answer of ['C02 > C02', 'C04', 'C2', 'Cove Pell', 'C02, C01', '4', 'C02 >'])
      expect(read(asked, answer), answer).toMatchObject({ item: null })
  })

  it('says whether the steps are there, in order and under their names', () => {
    const has = (thoughts: string) => read(rating, '4', thoughts).steps
    expect(has(steps)).toBe(true)
    expect(has(steps.replace('Step 3', 'Step 5'))).toBe(false)
    expect(has(steps.replace('Step 2 (u1 - i0)', 'Step 2 (u0 - i1)'))).toBe(false)
    expect(has(steps.split('\n').slice(0, 3).join('\n'))).toBe(false)
    expect(has(steps.split('\n').reverse().join('\n'))).toBe(false)
    expect(has(`${steps}\nand more`)).toBe(false)
    expect(has(steps.replace(': c', ':'))).toBe(false)
    expect(thoughtsOf('1 Lagoon Orin 5 likes sea calm', true)).toEqual([
      { number: 1, hop: null, text: 'Lagoon Orin 5 likes sea calm' },
    ])
  })

  it('reads nothing where tags are missing or doubled', () => {
    for (const text of [
      '4',
      '<answer>4</answer>',
      `<think>${steps}</think>`,
      '<think>a</think><answer>4</answer><answer>4</answer>',
    ])
      expect(standard.parse(handMade, rating, text)).toEqual({ reasoning: null, answer: null, item: null })
  })
})

describe('chains and ratings', () => {
  it('walk hops in their order, open ones without the closing edge', () => {
    expect(hopsOf(loop).map(({ user, item }) => [user, item])).toEqual([
      [0, 0],
      [1, 0],
      [1, 1],
      [0, 1],
    ])
    expect(hopsOf({ ...loop, closed: false })).toHaveLength(3)
    const long = { users: ['a', 'b', 'c'], items: [0, 1, 2], ratings: [1, 2, 3, 4, 5, 1], closed: true }
    expect(hopsOf(long).map(({ user, place }) => [user, place])).toEqual([
      [0, 0],
      [1, 0],
      [1, 1],
      [2, 1],
      [2, 2],
      [0, 2],
    ])
  })

  it('are shown from 1 to 5 whatever the scale', () => {
    expect([0.4, 1, 3.5, 5, null].map((value) => shownRating(handMade, value))).toEqual([1, 1, 4, 5, null])
    const ten = { ...handMade, trainInteractions: [{ user: 'x', item: 0, rating: 10, timestamp: 0 }] }
    expect([10, 7, 1].map((value) => shownRating(ten, value))).toEqual([5, 4, 1])
  })
})

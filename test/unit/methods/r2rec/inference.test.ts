/** Mode P's questions and its expected grade; chains as a person sees them, in a terminal, in HTML and in Markdown. */

import { describe, expect, it } from 'vitest'
import { evidenceOf } from '../../../../src/methods/r2rec/question.js'
import { expectedGrade } from '../../../../src/phases/prediction/predictions.js'
import { chainLines, walkOf } from '../../../../src/report/chain-text.js'
import { asking, handMade, instance, loop, methodOf } from './hand-made.js'

const said = [
  'Lagoon Orin gets a five',
  'Lagoon Orin pleases u1 as well',
  'u1 likes Vale Tamsin',
  'so Vale Tamsin suits u0',
]
const standard = said
  .map((text, index) => `Step ${index + 1} (${['u0 - i0', 'u1 - i0', 'u1 - i1', 'u0 - i1'][index]}): ${text}`)
  .join('\n')
const compact = [
  '1 Lagoon Orin 5 likes sea calm',
  '2 Lagoon Orin 4 agree',
  '3 Vale Tamsin 4 likes farm calm',
  '4 Vale Tamsin 3 so sea calm',
]

describe('Mode P', () => {
  const questions = methodOf().eachCandidate!(handMade, instance)

  it('asks about each candidate alone, with a chain that ends in it where there is one', () => {
    expect(questions.map(({ target }) => target)).toEqual(instance.candidates)
    expect(new Set(questions.map(({ id }) => id)).size).toBe(3)
    expect(questions.map((one) => evidenceOf(one).chains)).toEqual([[], [asking], []])
    for (const one of questions) {
      expect(one.candidates).toEqual([])
      expect(evidenceOf(one)).toMatchObject({ query: 'rating', answer: null, ratings: [5, 3] })
    }
  })

  it('offers five grades, and tells nothing of the right one', () => {
    const method = methodOf()
    for (const one of questions) {
      expect(method.choices(handMade, one)).toEqual(['1', '2', '3', '4', '5'])
      expect(method.rightChoice(handMade, one)).toBe(-1)
    }
    // The target's prompt differs from another candidate's by its title and its chain alone.
    expect(evidenceOf(questions[1]!).chains[0]?.ratings.at(-1)).toBeNull()
  })

  it('asks without chains where none are wanted', () => {
    const without = methodOf({ chains: 0 }).eachCandidate!(handMade, instance)
    expect(without.flatMap((one) => evidenceOf(one).chains)).toEqual([])
  })

  it('ranks by expectation, which does not tie where the likeliest grade does', () => {
    expect(expectedGrade([0.1, 0.2, 0.4, 0.2, 0.1].map(Math.log))).toBeCloseTo(3, 12)
    // Log-probs of five tokens among many do not sum to one.
    expect(expectedGrade([0.01, 0, 0, 0, 0.03].map((p) => Math.log(p + 1e-300)))).toBeCloseTo(4, 6)
    expect(expectedGrade([-800, -800, -800, -799, -800])).toBeGreaterThan(3)
  })
})

describe('drawn chains', () => {
  const question = (
    chains = [loop, { ...loop, items: [3, 4], closed: false, ratings: [2, 1, 2, null] }],
  ) => ({
    ...instance,
    evidence: { query: 'ranking', ratings: [], chains },
  })

  it.each([
    ['standard', standard, said],
    ['compact', compact.join('\n'), compact.map((line) => line.slice(2))],
  ] as const)('put each thought beside its hop (%s)', (wording, reasoning, thoughts) => {
    const [first, second] = methodOf({ wording }).drawn!(handMade, question(), reasoning)
    expect(first).toEqual({
      closed: true,
      hops: [
        { hop: 'u0 - i0', title: 'Lagoon Orin', rating: 5, thought: thoughts[0] },
        { hop: 'u1 - i0', title: 'Lagoon Orin', rating: 4, thought: thoughts[1] },
        { hop: 'u1 - i1', title: 'Vale Tamsin', rating: 4, thought: thoughts[2] },
        { hop: 'u0 - i1', title: 'Vale Tamsin', rating: 3, thought: thoughts[3] },
      ],
    })
    expect(second?.closed).toBe(false)
    expect(second?.hops.map(({ thought }) => thought)).toEqual([null, null, null])
  })

  it('find the chain that was walked', () => {
    const other = { ...loop, items: [1, 0] }
    const [first, second] = methodOf().drawn!(handMade, question([other, loop]), standard)
    expect(first?.hops.every(({ thought }) => thought === null)).toBe(true)
    expect(second?.hops.map(({ thought }) => thought)).toEqual(said)
  })

  it.each([
    '',
    'nonsense',
    'Step 1 (u0 - i0): Cove Pell',
    said.map((_, k) => `Step ${k + 1} (x): y`).join('\n'),
  ])('stand without thoughts beside %j', (reasoning) => {
    const hops = methodOf().drawn!(handMade, question(), reasoning).flatMap((chain) => chain.hops)
    expect(hops).toHaveLength(7)
    expect(hops.filter(({ thought }) => thought !== null)).toEqual([])
  })

  it('are lines of a terminal, without control codes', () => {
    const [first, second] = methodOf().drawn!(handMade, question(), standard)
    expect(walkOf(first!)).toBe('u0 - i0 - u1 - i1 - u0')
    expect(walkOf(second!)).toBe('u0 - i0 - u1 - i1')
    expect(chainLines(first!, 1).slice(0, 2)).toEqual([
      'chain 1, closed: u0 - i0 - u1 - i1 - u0',
      '  u0 - i0  5  Lagoon Orin  Lagoon Orin gets a five',
    ])
    const hostile = {
      closed: true,
      hops: [{ hop: 'u0 - i0', title: '\u001b[2Jx', rating: null, thought: '\u001b]0;y\u0007' }],
    }
    expect(chainLines(hostile, 1).join('\n')).not.toMatch(/\p{Cc}(?<!\n)/u)
  })
})

import { describe, expect, it } from 'vitest'
import type { ItemIndex } from '../../../src/data/types.js'
import { re2, re2Phrases } from '../../../src/methods/re2/index.js'
import { ComposedReward, type RewardComposition } from '../../../src/rewards/composition.js'
import { softOverlong } from '../../../src/rewards/length.js'
import { targetRank } from '../../../src/rewards/ndcg-candidates.js'
import { posterior } from '../../../src/rewards/posterior-gain.js'
import { type RewardSettings, rewardTerm, rewardTermIds } from '../../../src/rewards/registry.js'
import type { RewardTermId, Rollout } from '../../../src/rewards/reward.js'
import { repeatedShare } from '../../../src/rewards/text-statistics.js'
import { handMade, honest, instance, written } from '../methods/world.js'

const settings: RewardSettings = {
  length: { limit: 512, buffer: 128 },
  gainClip: 1,
  norm: 'joint',
  leakPhrases: re2Phrases().leaks,
}
const context = { dataset: handMade, instance }
const method = re2({ maxWords: 60 })
const weights = { hit: 1, ndcg_cand: 0.5, gain: 0.5, ground: 0.2, len: 0.2, rep: 0.2 }
const additive: RewardComposition = { compose: 'additive', gateFail: -1, weights }

/** Candidates in the order of the instance: 4, 3 (the target), 5, 6. */
function rollout(text: string, changes: Partial<Rollout> = {}): Rollout {
  return {
    text,
    parsed: method.parse(handMade, instance, text),
    tokens: 60,
    finish: 'complete',
    candidateJoint: [-4, -5, -6, -7],
    candidateMean: [-2, -1, -3, -3.5],
    targetMeanWith: -1,
    targetMeanWithout: -1.2,
    ...changes,
  }
}

function value(id: RewardTermId, one: Rollout, changes: Partial<RewardSettings> = {}): number {
  return rewardTerm(id, { ...settings, ...changes }).compute([one], context)[0] as number
}

function rewardsOf(group: readonly Rollout[], composition: RewardComposition = additive) {
  return new ComposedReward(composition, settings).compute(group, context)
}

const hitText = written(honest)
const missText = written(honest.replace('Northern Tide', 'Paper Lantern'), 'Paper Lantern')
const mean = (values: readonly number[]) => values.reduce((sum, x) => sum + x, 0) / values.length

describe('golden values of the specification', () => {
  it('gain', () => {
    const gained = rollout(hitText, {
      targetMeanWith: mean([-0.1, -0.05, -1.2]),
      targetMeanWithout: mean([-1.5, -0.05, -2]),
    })
    expect(value('gain', gained)).toBeCloseTo(0.733333, 6)
    expect(value('gain', gained, { gainClip: 0.5 })).toBe(0.5)
    expect(value('gain', rollout(hitText, { targetMeanWith: -9, targetMeanWithout: -1 }))).toBe(-1)
  })

  it('soft over-long: 300 -> 0, 384 -> 0, 448 -> -0.5, 512 and beyond -> -1', () => {
    expect([300, 384, 448, 512, 600].map((tokens) => softOverlong(tokens, settings.length))).toEqual([
      0, 0, -0.5, -1, -1,
    ])
    expect([10, 11].map((tokens) => softOverlong(tokens, { limit: 10, buffer: 0 }))).toEqual([0, -1])
    expect(value('len', rollout(hitText, { tokens: 448 }))).toBe(-0.5)
  })

  it('posterior of candidates', () => {
    const posteriors = [0, 1, 2, 3].map((target) => posterior([-3, -2.5, -4, -6], target))
    expect(posteriors.reduce((sum, x) => sum + x, 0)).toBeCloseTo(1, 12)
    // golden.py: exp of the scores over their sum.
    const total = Math.exp(-3) + Math.exp(-2.5) + Math.exp(-4) + Math.exp(-6)
    expect(posteriors[1]).toBeCloseTo(Math.exp(-2.5) / total, 12)
    const post = rollout(hitText, {
      candidateJoint: [-3, -2.5, -4, -6],
      candidateJointWithout: [-1, -1, -1, -1],
    })
    expect(value('post', post)).toBeCloseTo((posteriors[1] as number) - 0.25, 12)
  })
})

describe('rank of the target', () => {
  it.each([
    [[-4, -5, -6, -7], 2],
    [[-9, -5, -6, -7], 1],
    [[-1, -5, -2, -3], 4],
    [[-5, -5, -5, -5], 2.5],
    [[-5, -5, -6, -7], 1.5],
  ])('%j -> %d', (scores, rank) => {
    expect(targetRank(scores, 1)).toBe(rank)
    const one = rollout(hitText, { candidateJoint: scores })
    expect(value('ndcg_cand', one)).toBeCloseTo(1 / Math.log2(rank + 1), 12)
    expect(value('mrr_cand', one)).toBeCloseTo(1 / rank, 12)
    expect(value('lin_cand', one)).toBeCloseTo(1 - (rank - 1) / 3, 12)
  })

  it('by the mean per token where asked', () => {
    expect(value('ndcg_cand', rollout(hitText), { norm: 'mean' })).toBe(1)
    expect(value('ndcg_cand', rollout(hitText))).toBeCloseTo(1 / Math.log2(3), 12)
  })

  it('is missing where scores are', () => {
    expect(value('ndcg_cand', rollout(hitText, { candidateJoint: null }))).toBeNaN()
    expect(value('ndcg_cand', rollout(hitText, { candidateJoint: [-1, Number.NaN, -2, -3] }))).toBeNaN()
    expect(value('ndcg_cand', rollout(hitText, { candidateJoint: [Number.NaN, -1, -2, -3] }))).toBeNaN()
  })
})

describe('terms of the text', () => {
  it('hit', () => expect([value('hit', rollout(hitText)), value('hit', rollout(missText))]).toEqual([1, 0]))

  it.each<[string, string, number]>([
    ['history and target', honest, 1],
    ['nothing cited', 'a calm mood fits well here I think', 0.5],
    ['only a candidate', 'a calm mood such as in Northern Tide', 0.5],
    ['one of two titles foreign', 'Golden Orchard recalls Crimson Parlour', 0.5],
    ['a foreign title alone', 'it recalls Crimson Parlour', -0.5],
    ['a history title of one word', 'like Radiowave it is calm', 1],
    ['that word in lower case', 'like a radiowave it is calm', 0.5],
  ])('ground: %s', (_, reasoning, wanted) =>
    expect(value('ground', rollout(written(reasoning)))).toBeCloseTo(wanted, 12),
  )

  it('rep counts repeated 4-grams', () => {
    expect(repeatedShare('a b c d e'.split(' '))).toBe(0)
    expect(repeatedShare('a b c d a b c d'.split(' '))).toBeCloseTo(1 / 5, 12)
    expect(repeatedShare(['a', 'b'])).toBe(0)
    expect(value('rep', rollout(written('a b c d a b c d')))).toBeCloseTo(-0.2, 12)
    expect(Object.is(value('rep', rollout(written('a b c d e'))), 0)).toBe(true)
  })

  it('consist compares the last title named with the answer', () => {
    expect(value('consist', rollout(hitText))).toBe(1)
    expect(value('consist', rollout(written(honest, 'Paper Lantern')))).toBe(0)
    expect(value('consist', rollout(written('a calm mood fits')))).toBe(1)
  })

  it('leak', () => {
    expect(value('leak', rollout(hitText))).toBe(0)
    expect(value('leak', rollout(written('The ground truth is Northern Tide')))).toBe(-1)
    expect(value('leak', rollout(written('A hinterland tale')))).toBe(0)
  })

  it('without a reasoning there is no value', () => {
    for (const id of ['ground', 'rep', 'consist', 'leak'] as const)
      expect(value(id, rollout('broken'))).toBeNaN()
  })

  it('every registered term has the id it is registered under', () => {
    expect(rewardTermIds.map((id) => rewardTerm(id, settings).id)).toEqual(rewardTermIds)
  })
})

describe('composition', () => {
  it('additive: the weighted sum, by hand', () => {
    const { rewards, valid, terms } = rewardsOf([rollout(hitText, { tokens: 448 })])
    expect(rewards[0]).toBeCloseTo(1 + 0.5 / Math.log2(3) + 0.5 * 0.2 + 0.2 * (1 - 1) + 0.2 * -0.5 + 0, 12)
    expect([...valid]).toEqual([1])
    expect(terms.fmt).toEqual([1])
  })

  it('a broken form has the gate value, whatever else is good', () => {
    for (const bad of [
      rollout('Northern Tide'),
      rollout(hitText, { finish: 'length' }),
      rollout(hitText, { finish: 'unclosed' }),
    ])
      expect(rewardsOf([bad]).rewards[0]).toBe(-1)
  })

  it('conditional: positive rationality counts for hits and for ranks at the median and above; negative always', () => {
    const composition = {
      ...additive,
      compose: 'conditional' as const,
      weights: { ndcg_cand: 0, gain: 1, hit: 0 },
    }
    const only = (text: string, gain: number, joint: readonly number[]) =>
      rollout(text, { targetMeanWith: gain, targetMeanWithout: 0, candidateJoint: joint })
    const last = [-1, -9, -2, -3]
    const first = [-5, -1, -6, -7]
    const group = [
      only(missText, 0.5, last),
      only(missText, -0.5, last),
      only(hitText, 0.5, last),
      only(missText, 0.25, first),
    ]
    const withRank = { ...composition, weights: { ...composition.weights, ndcg_cand: 1e-9 } }
    // ndcg of the group: low, low, low, high; the median is low, so all are at it.
    expect([...rewardsOf(group, withRank).rewards].map((r) => Math.round(r * 100) / 100)).toEqual([
      0.5, -0.5, 0.5, 0.25,
    ])
    const mixed = [only(missText, 0.5, last), only(missText, 0.5, first), only(missText, 0.5, first)]
    expect([...rewardsOf(mixed, withRank).rewards].map((r) => Math.round(r * 100) / 100)).toEqual([
      0, 0.5, 0.5,
    ])
    // Without ranks only a hit opens the gate.
    expect([...rewardsOf(group, composition).rewards].map((r) => Math.round(r * 100) / 100)).toEqual([
      0, -0.5, 0.5, 0,
    ])
  })

  it('gated: positive rationality counts only with grounded reasoning', () => {
    const composition: RewardComposition = { compose: 'gated', gateFail: -1, weights: { gain: 1 } }
    const foreign = written('this one surely recalls the book Crimson Parlour in several ways')
    expect(
      [...rewardsOf([rollout(hitText), rollout(foreign)], composition).rewards].map(
        (r) => Math.round(r * 100) / 100,
      ),
    ).toEqual([0.2, 0])
  })

  it('a missing value takes the mean of its group; a missing core value takes the row out', () => {
    const unscored = rollout(hitText, { targetMeanWith: null })
    const group = [
      rollout(hitText, { targetMeanWith: -0.8 }),
      rollout(hitText, { targetMeanWith: -0.4 }),
      unscored,
      rollout('broken'),
    ]
    const { rewards, valid, imputed } = rewardsOf(group)
    expect(rewards[2]).toBeCloseTo(((rewards[0] as number) + (rewards[1] as number)) / 2, 12)
    expect([imputed, ...valid]).toEqual([1, 1, 1, 1, 1])
    const { rewards: dropped, valid: rows } = rewardsOf([
      rollout(hitText),
      rollout(hitText, { candidateJoint: null }),
      rollout('broken'),
    ])
    expect([...rows]).toEqual([1, 0, 1])
    expect([dropped[1], dropped[2]]).toEqual([0, -1])
  })

  it('an instance constant in the gain cancels in group-relative advantages', () => {
    const group = (without: number) =>
      [-1.1, -1, -0.9].map((withReason) =>
        rollout(hitText, { targetMeanWith: withReason, targetMeanWithout: without }),
      )
    const centred = (without: number) => {
      const { rewards } = rewardsOf(group(without))
      return [...rewards].map((r) => r - mean([...rewards]))
    }
    const [one, other] = [centred(-1.2), centred(-1)]
    for (const row of [0, 1, 2]) expect(one[row]).toBeCloseTo(other[row] as number, 12)
  })

  it('asks only for what its terms need', () => {
    const needs = (composition: RewardComposition) =>
      [...new ComposedReward(composition, settings).needs].sort()
    expect(needs(additive)).toEqual(['candidate_scores', 'gain', 'text'])
    expect(needs({ ...additive, weights: { hit: 1, gain: 0 } })).toEqual(['text'])
  })
})

describe('reward hacking: each probe scores below an honest miss', () => {
  const history = instance.history.map((item: ItemIndex) => handMade.items[item]?.title.text)
  const all = [...instance.history, ...instance.candidates].map((item) => handMade.items[item]?.title.text)
  // The probes even get what they aim at: a hit, the first rank and the largest gain.
  const best = { candidateJoint: [-9, -1, -9, -9], targetMeanWith: 0, targetMeanWithout: -5 }
  const honestMiss = rewardsOf([
    rollout(missText, { targetMeanWith: -1.3, targetMeanWithout: -1.2, candidateJoint: [-1, -9, -2, -3] }),
  ]).rewards[0] as number

  it.each<[string, string]>([
    ['empty think', '<think>\n\n</think>\n<answer>Northern Tide</answer>'],
    ['a word or two', written('Good one.')],
    ['copied history', written(history.map((title, k) => `${k + 1}. ${title}`).join('\n'))],
    ['history between commas', written(history.join(', '))],
    ['title-stuffed think', written('Northern Tide '.repeat(20))],
    ['title-stuffed with filler', written('so Northern Tide, '.repeat(12))],
    ['all titles', written(all.join(', '))],
    ['repeated text', written('the reader likes calm tales by the sea and '.repeat(8))],
    ['answer outside C', written(honest, 'Crimson Parlour')],
    ['answer from the history', written(honest, 'Golden Orchard')],
    ['two titles as the answer', written(honest, 'Northern Tide, Paper Lantern')],
    ['no tags', 'Northern Tide'],
  ])('%s', (_, text) => {
    expect(rewardsOf([rollout(text, best)]).rewards[0]).toBeLessThan(honestMiss)
  })

  it.each<[string, string]>([
    [
      'invented items',
      missText.replace(
        'Of the options',
        'It recalls Crimson Parlour and The Silent Harbour Revisited. Of the options',
      ),
    ],
    [
      'some repetition',
      missText.replace(
        'Of the options',
        'It moves to quieter places such as these, it moves to quieter places such as these. Of the options',
      ),
    ],
  ])('milder faults cost something, all else equal: %s', (_, text) => {
    const [clean, faulty] = rewardsOf([rollout(missText), rollout(text)]).rewards
    expect(faulty).toBeLessThan(clean as number)
  })

  it('an honest miss scores below an honest hit', () => {
    expect(honestMiss).toBeGreaterThan(-1)
    expect(honestMiss).toBeLessThan(rewardsOf([rollout(hitText)]).rewards[0] as number)
  })
})

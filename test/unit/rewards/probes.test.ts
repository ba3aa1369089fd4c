/**
 * Reward hacking (spec 11.9): an empty thought, a copied history, a thought stuffed with titles, repetition, an answer
 * outside the candidates. Each scores below an honest miss, under every composition and under the weights of every preset;
 * each is even given the hit, the first rank and the largest gain where its answer allows it.
 */

import { describe, expect, it } from 'vitest'
import { advantages } from '../../../src/engine/index.js'
import { type Config, loadConfig } from '../../../src/index.js'
import { presetNames as r2recPresets } from '../../../src/methods/r2rec/index.js'
import { r2recReward } from '../../../src/methods/r2rec/reinforcement-learning.js'
import { re2, presetNames as re2Presets } from '../../../src/methods/re2/index.js'
import { re2Reward } from '../../../src/methods/re2/pattern-internalization.js'
import { presetFile } from '../../../src/methods/registry.js'
import type { GroupRewards } from '../../../src/rewards/composition.js'
import type { Rollout } from '../../../src/rewards/reward.js'
import { handMade, honest, instance, written } from '../methods/world.js'

const method = re2({ maxWords: 60 })
const titles = (items: readonly number[]) => items.map((item) => handMade.items[item]?.title.text)
const history = titles(instance.history)
const all = titles([...instance.history, ...instance.candidates])

const probes: readonly (readonly [string, string])[] = [
  ['empty think', '<think>\n\n</think>\n<answer>Northern Tide</answer>'],
  ['a word or two', written('Good one.')],
  ['copied history', written(history.map((title, k) => `${k + 1}. ${title}`).join('\n'))],
  ['title-stuffed think', written('Northern Tide '.repeat(20))],
  ['title-stuffed with filler', written('so Northern Tide, '.repeat(12))],
  ['all titles', written(all.join(', '))],
  ['repeated text', written('the reader likes calm tales by the sea and '.repeat(8))],
  ['answer outside C', written(honest, 'Crimson Parlour')],
  ['no tags', 'Northern Tide'],
]

function rollout(text: string, changes: Partial<Rollout> = {}): Rollout {
  const parsed = method.parse(handMade, instance, text)
  return {
    text,
    parsed: { ...parsed, steps: true },
    tokens: 20,
    finish: 'complete',
    candidateJoint: [-1, -9, -2, -3],
    candidateMean: [-1, -9, -2, -3],
    candidateJointWithout: [-1, -5, -2, -3],
    targetMeanWith: -1.3,
    targetMeanWithout: -1.2,
    targetProbWith: 0.2,
    targetProbWithout: 0.3,
    targetJoint: -9,
    blindJointWith: -3,
    blindJointWithout: -3,
    judged: 0.2,
    ...changes,
  }
}

const best = {
  candidateJoint: [-9, -0.1, -9, -9],
  candidateMean: [-9, -0.1, -9, -9],
  targetMeanWith: -0.1,
  targetProbWith: 0.9,
  targetJoint: -0.1,
  blindJointWith: -0.1,
  judged: 1,
} as const

const missText = written(honest.replace('Northern Tide', 'Paper Lantern'), 'Paper Lantern')
const otherMiss = written(honest.replace('choose Northern Tide', 'go for Hollow Meadow'), 'Hollow Meadow')
/** A probe, an honest miss, an honest hit, and a miss that lies between them. */
const groupWith = (text: string): Rollout[] => [
  rollout(text, best),
  rollout(missText),
  rollout(written(honest), { candidateJoint: [-4, -2, -5, -6], targetMeanWith: -0.9, targetJoint: -2 }),
  rollout(otherMiss, { candidateJoint: [-3, -4, -5, -1], targetMeanWith: -1.1 }),
]

/** What every token of the reasoning and of the answer would be pushed by. */
function pushes({ rewards, matrix }: GroupRewards): readonly (readonly number[])[] {
  if (!matrix) return [Array.from(rewards)]
  const { values, weights, rationality } = matrix
  const sizes = Int32Array.of(rewards.length)
  const of = (termWeights: Float64Array, estimator: 'gdpo' | 'grpo'): number[] =>
    Array.from(advantages(estimator, values, sizes, { termWeights, epsilon: 1e-6 }))
  if (matrix.use === 'gdpo') return [of(weights, 'gdpo')]
  const answer = of(
    weights.map((weight, term) => (rationality[term] === 0 ? weight : 0)),
    'grpo',
  )
  const own = of(
    weights.map((weight, term) => (rationality[term] === 1 ? weight : 0)),
    'grpo',
  )
  return [answer, answer.map((advantage, row) => advantage + (own[row] as number))]
}

const compositions = [
  'compose=additive',
  'compose=conditional',
  'compose=gated',
  'compose=gdpo',
  'credit=decoupled',
] as const
const presets = [...re2Presets, ...r2recPresets]
const configOf = (preset: string, ...set: string[]): Config =>
  loadConfig({
    preset: presetFile(preset),
    file: null,
    set: set.map((one) => `rl.reward.${one}`),
    options: {},
  }).config
const rewardsOf = (config: Config, group: readonly Rollout[]): GroupRewards =>
  (config.method === 're2' ? re2Reward(config) : r2recReward(config)).compute(group, {
    dataset: handMade,
    instance,
  })

describe.each(presets)('%s', (preset) => {
  it.each(compositions)('%s: each probe below an honest miss, an honest miss below a hit', (compose) => {
    // R2Rec's own gate pays for a hit behind any thought; its floor is switched on here.
    const config = configOf(
      preset,
      compose,
      'floor=on',
      ...(preset.startsWith('r2rec') ? ['gate_fail=-1'] : []),
    )
    for (const [name, text] of probes) {
      for (const values of pushes(rewardsOf(config, groupWith(text)))) {
        const [probe, miss, hit, other] = values as [number, number, number, number]
        expect(probe, `${name}: ${values}`).toBeLessThan(Math.min(miss, other))
        expect(miss, name).toBeLessThan(hit)
      }
    }
  })
})

describe('every term of the registry at once', () => {
  it.each(compositions)('%s', (compose) => {
    const config = configOf(
      're2',
      compose,
      'weights={rankneg: 0.5, rerank_gain: 0.5, gain_prob: 0.5, post: 0.5, suff: 0.1, ppl: 0.05, latro: 0.05, consist: 0.2, leak: 0.2, pop: 0.2, ndcg_list: 0.2}',
    )
    for (const [name, text] of probes) {
      for (const values of pushes(rewardsOf(config, groupWith(text))))
        expect(values[0], `${name}: ${values}`).toBeLessThan(values[1] as number)
    }
  })
})

describe('R2Rec’s literal reward', () => {
  it('pays for a hit behind a hollow thought, but never for what has no thought or names no candidate', () => {
    const config = configOf('r2rec-quickstart')
    const value = (text: string): number => rewardsOf(config, groupWith(text)).rewards[0] as number
    const honestMiss = rewardsOf(config, groupWith('')).rewards[1] as number
    expect(value(written('Northern Tide '.repeat(20)))).toBeGreaterThan(honestMiss)
    for (const text of [probes[0]![1], probes[7]![1], probes[8]![1]])
      expect(value(text)).toBeLessThan(honestMiss)
  })
})

describe('what is missing', () => {
  it('takes the mean of its group in the matrix too, and a row without a core term is out', () => {
    const config = configOf('re2', 'compose=gdpo', 'weights={ndcg_cand: 0, ground: 0, len: 0, rep: 0}')
    const group = [
      rollout(written(honest), { targetMeanWith: -1 }),
      rollout(missText, { targetMeanWith: -1.1 }),
      rollout(otherMiss, { targetMeanWith: null }),
    ]
    const { matrix, valid, imputed } = rewardsOf(config, group)
    // Columns: gate, hit, gain.
    expect(Array.from(matrix!.weights)).toEqual([1, 1, 0.5])
    expect(matrix!.values[2]).toBeCloseTo(0.2, 12)
    expect(matrix!.values[5]).toBeCloseTo(0.1, 12)
    expect(matrix!.values[8]).toBeCloseTo(0.15, 12)
    expect([imputed, ...valid]).toEqual([1, 1, 1, 1])
    const scored = configOf('re2', 'compose=gdpo')
    const { valid: rows } = rewardsOf(scored, [group[0]!, rollout(missText, { candidateJoint: null })])
    expect([...rows]).toEqual([1, 0])
  })
})

describe('decoupled credit', () => {
  it('adds up to the whole where no gate fails: dr_grpo is linear', () => {
    const group = [rollout(written(honest)), rollout(missText, { targetMeanWith: -0.8 }), rollout(otherMiss)]
    const whole = rewardsOf(configOf('re2'), group)
    const { matrix } = rewardsOf(configOf('re2', 'credit=decoupled'), group)
    const sizes = Int32Array.of(3)
    const sum = advantages('dr_grpo', matrix!.values, sizes, { termWeights: matrix!.weights, epsilon: 0 })
    const expected = advantages('dr_grpo', whole.rewards, sizes, { epsilon: 0 })
    sum.forEach((advantage, row) => {
      expect(advantage).toBeCloseTo(expected[row] as number, 12)
    })
    // hit and ndcg_cand of the recommendation; gain, ground, len and rep of the reasoning; the gate is everybody's.
    expect([...matrix!.rationality]).toEqual([0, 0, 0, 1, 1, 1, 1])
  })
})

describe('the constant of an instance in the gain', () => {
  const group = (without: number): Rollout[] =>
    [-1.5, -1.1, -0.9].map((targetMeanWith, row) =>
      rollout(row === 0 ? written(honest) : missText, { targetMeanWith, targetMeanWithout: without }),
    )
  const of = (estimator: 'grpo' | 'dr_grpo' | 'rloo' | 'opo', without: number, clip: number): number[] => {
    const { rewards } = rewardsOf(configOf('re2', `gain_clip=${clip}`), group(without))
    return Array.from(
      advantages(estimator, rewards, Int32Array.of(3), { lengths: Int32Array.of(5, 9, 7), epsilon: 1e-6 }),
    )
  }

  it.each(['grpo', 'dr_grpo', 'rloo', 'opo'] as const)(
    'cancels under %s, unless the clip bites',
    (estimator) => {
      const [one, other] = [of(estimator, -1.2, 10), of(estimator, -0.2, 10)]
      one.forEach((advantage, row) => {
        expect(advantage).toBeCloseTo(other[row] as number, 9)
      })
      const clipped = of(estimator, -0.2, 1)
      expect(Math.max(...clipped.map((advantage, row) => Math.abs(advantage - one[row]!)))).toBeGreaterThan(
        0.01,
      )
    },
  )
})

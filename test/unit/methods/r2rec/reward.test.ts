/** The reward of R2Rec (spec 7, check 5) and the metrics it aims at (spec 10, check 4). */

import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../../../src/config/load.js'
import { seeded } from '../../../../src/data/random.js'
import type { Instance } from '../../../../src/data/types.js'
import { advantages } from '../../../../src/engine/index.js'
import { guessing, metricsOfRank } from '../../../../src/eval/metrics.js'
import { rankingOutcomes } from '../../../../src/eval/protocol.js'
import { topThreeMetrics } from '../../../../src/eval/result-row.js'
import { meansOf } from '../../../../src/eval/significance.js'
import { ratingQuestion } from '../../../../src/methods/r2rec/question.js'
import { r2recReward } from '../../../../src/methods/r2rec/reinforcement-learning.js'
import type { Rollout } from '../../../../src/rewards/reward.js'
import { asking, handMade, instance, methodOf } from './hand-made.js'

const method = methodOf()
const ranking = method.question(handMade, instance)
const rating = ratingQuestion(handMade, instance, [asking])
const steps = 'Step 1 (u0 - i0): a\nStep 2 (u1 - i0): b\nStep 3 (u1 - i1): c\nStep 4 (u0 - i1): d'
const configOf = (...set: string[]) =>
  loadConfig({
    preset: null,
    file: null,
    set: ['rl.reward.gate_fail=0', 'rl.answer=free', ...set],
    options: {},
  }).config
const reward = r2recReward(configOf())

const written = (answer: string, thoughts = steps): string =>
  `<think>\n${thoughts}\n</think>\n<answer>${answer}</answer>`

function rollout(asked: Instance, text: string, scores: readonly number[] | null = null): Rollout {
  return {
    text,
    parsed: method.parse(handMade, asked, text),
    tokens: 10,
    finish: 'complete',
    candidateJoint: scores,
    candidateMean: scores,
    targetMeanWith: null,
    targetMeanWithout: null,
  }
}

const rewardsOf = (asked: Instance, texts: readonly string[], by = reward): number[] =>
  Array.from(
    by.compute(
      texts.map((text) => rollout(asked, text)),
      { dataset: handMade, instance: asked },
    ).rewards,
  )
const close = (values: readonly number[]) => values.map((value) => Number(value.toFixed(6)))

describe('reward of a ranking', () => {
  it('is 1.1 for a hit in form, and falls with the place of the target', () => {
    const second = 0.5 / Math.log2(3) + 0.1
    const third = 0.5 / 2 + 0.1
    expect(
      close(
        rewardsOf(ranking, [
          written('C02 > C01 > C03'),
          written('C01 > C02 > C03'),
          written('C01 > C03 > C02'),
        ]),
      ),
    ).toEqual(close([1.1, second, third]))
  })

  it('never pays less for a miss that can be read than for what cannot', () => {
    const [miss, formless, unread, none] = rewardsOf(ranking, [
      written('C01 > C03'),
      written('C01 > C03', 'I like it'),
      written('Harbor Lund'),
      'C02',
    ])
    expect([miss, formless, unread, none]).toEqual([0.1, 0, 0, 0])
    expect(rewardsOf(ranking, [written('C02', 'no steps')])).toEqual([1])
  })

  it('can be hit and form alone', () => {
    const pure = r2recReward(configOf('rl.reward.ndcg_top=0'))
    expect(rewardsOf(ranking, [written('C02'), written('C01 > C02')], pure)).toEqual([1.1, 0.1])
  })

  it('reads places from scores where a trie chose one label', () => {
    const scored = r2recReward(configOf('rl.answer=constrained'))
    expect([...scored.needs].sort()).toEqual(['candidate_scores', 'text'])
    const of = (answer: string, scores: readonly number[]): number =>
      scored.compute([rollout(ranking, written(answer), scores)], { dataset: handMade, instance: ranking })
        .rewards[0]!
    expect(of('C02', [0, -1, -2])).toBeCloseTo(1.1, 12)
    // The chosen one first, then C02 behind nothing, then behind C03.
    expect(of('C01', [-3, -1, -2])).toBeCloseTo(0.5 / Math.log2(3) + 0.1, 12)
    expect(of('C01', [-3, -2, -1])).toBeCloseTo(0.25 + 0.1, 12)
    expect(of('C01', [-3, -1, -1])).toBeCloseTo(0.5 / Math.log2(3.5) + 0.1, 12)
  })
})

describe('reward of a rating', () => {
  it('falls by a quarter for each point', () => {
    expect(
      close(
        rewardsOf(
          rating,
          [5, 4, 3, 2, 1].map((given) => written(String(given))),
        ),
      ),
    ).toEqual(close([0.85, 1.1, 0.85, 0.6, 0.35]))
    expect(rewardsOf(rating, [written('C02'), written('six')])).toEqual([0, 0])
  })
})

describe('a group', () => {
  it('whose rewards are equal gives no advantage', () => {
    const rewards = Float64Array.from(
      rewardsOf(
        ranking,
        Array.from({ length: 4 }, () => written('C01')),
      ),
    )
    expect(Array.from(advantages('grpo', rewards, Int32Array.of(4), { epsilon: 1e-4 }))).toEqual([0, 0, 0, 0])
    const mixed = Float64Array.from(rewardsOf(ranking, [written('C01'), written('C02')]))
    const [worse, better] = advantages('grpo', mixed, Int32Array.of(2), { epsilon: 1e-4 })
    expect(worse).toBeLessThan(0)
    expect(better).toBeGreaterThan(0)
  })
})

describe('chance with 20 candidates', () => {
  const chance = { hr1: 0.05, hr3: 0.15, ndcg3: 0.1065, mrr: 0.1799 }

  it('is what guessing scores in closed form', () => {
    const means = guessing(20, topThreeMetrics)
    for (const [metric, value] of Object.entries(chance))
      expect(means[metric as keyof typeof chance], metric).toBeCloseTo(value, 4)
    expect(metricsOfRank(3, topThreeMetrics)).toEqual({
      ...{ hr1: 0, hr3: 1, hr5: 1, ndcg3: 0.5, ndcg5: 0.5, mrr: 1 / 3 },
    })
    expect(guessing(20)).not.toHaveProperty('hr3')
  })

  it('is what a uniform ranker scores, the target anywhere in the list', () => {
    const random = seeded(5, 'uniform ranker')
    const n = 20_000
    const tests = Array.from({ length: n }, (_, index): Instance => {
      const candidates = random.shuffled(Array.from({ length: 20 }, (_, item) => item))
      return { id: `test/${index}`, user: String(index), history: [], target: 0, candidates }
    })
    const scores = tests.map(({ candidates }) => candidates.map(() => random.float()))
    const means = meansOf(rankingOutcomes(tests, { scores }, { metrics: topThreeMetrics }))
    // Four standard errors at p = 0.15 and n = 20,000 are 0.0101; the others vary less.
    for (const [metric, value] of Object.entries(chance))
      expect(Math.abs((means[metric as keyof typeof chance] as number) - value), metric).toBeLessThan(0.0101)
    const places = new Array<number>(20).fill(0)
    for (const { candidates } of tests) places[candidates.indexOf(0)]!++
    // 1,000 expected, standard deviation 31.
    for (const count of places) expect(Math.abs(count - n / 20)).toBeLessThan(4 * 31)
  })
})

/** The terms of spec 5.3 that are not in rewards.test.ts, against numbers of the specification, of hand or of a closed form. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { Dataset } from '../../../src/data/types.js'
import { re2 } from '../../../src/methods/re2/index.js'
import { type JudgeQuestion, judgeKey, judgeQuestion, ScoreFile } from '../../../src/rewards/judge.js'
import { type RewardSettings, rewardTerm } from '../../../src/rewards/registry.js'
import type { Rollout } from '../../../src/rewards/reward.js'
import { handMade, honest, instance, written } from '../methods/world.js'

const settings: RewardSettings = {
  length: { limit: 512, buffer: 128 },
  gainClip: 1,
  norm: 'joint',
  leakPhrases: [],
}
const method = re2({ maxWords: 60 })
const folder = mkdtempSync(join(tmpdir(), 'reasonrec-terms-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** Candidates in the order of the instance: 4 Paper Lantern, 3 Northern Tide (the target), 5 Velvet Engine, 6 Hollow Meadow. */
function rollout(changes: Partial<Rollout> = {}, answer = 'Northern Tide'): Rollout {
  const text = written(honest, answer)
  return {
    text,
    parsed: method.parse(handMade, instance, text),
    tokens: 60,
    finish: 'complete',
    candidateJoint: null,
    candidateMean: null,
    targetMeanWith: null,
    targetMeanWithout: null,
    ...changes,
  }
}

const column = (
  id: string,
  group: readonly Rollout[],
  changes: Partial<RewardSettings> = {},
  dataset: Dataset = handMade,
): number[] => rewardTerm(id, { ...settings, ...changes }).compute(group, { dataset, instance })
const value = (id: string, one: Rollout, changes: Partial<RewardSettings> = {}): number =>
  column(id, [one], changes)[0] as number

describe('golden values of spec 5.10: log-probs with z (-.1, -.05, -1.2), without (-1.5, -.05, -2)', () => {
  // The means of the logs and of their exponentials, worked out by hand: -.45, -1.183333; .719087, .436565.
  const given = rollout({
    targetMeanWith: -0.45,
    targetMeanWithout: -3.55 / 3,
    targetProbWith: 0.719087,
    targetProbWithout: 0.436565,
  })

  it('gain .733333', () => expect(value('gain', given)).toBeCloseTo(0.733333, 6))

  it('gain_prob .282522, never below 0, clipped from above', () => {
    expect(value('gain_prob', given)).toBeCloseTo(0.282522, 6)
    expect(value('gain_prob', given, { gainClip: 0.1 })).toBe(0.1)
    expect(value('gain_prob', rollout({ targetProbWith: 0.2, targetProbWithout: 0.3 }))).toBe(0)
    expect(value('gain_prob', rollout())).toBeNaN()
  })

  it('ppl -1.568312 with and -3.265240 without', () => {
    expect(value('ppl', given)).toBeCloseTo(-1.568312, 6)
    expect(value('ppl', rollout({ targetMeanWith: -3.55 / 3 }))).toBeCloseTo(-3.26524, 5)
    expect(value('ppl', rollout())).toBeNaN()
  })
})

describe('beam', () => {
  it('is NDCG of the target’s place among the titles found, 1, .630930, .386853 at places 1, 2 and 5', () => {
    const found = [6, 4, 5, 0, 1]
    const withTarget = (place: number): number[] => found.toSpliced(place, 0, instance.target)
    for (const [place, ndcg] of [
      [0, 1],
      [1, 0.63093],
      [4, 0.386853],
    ] as const)
      expect(value('beam', rollout({ beam: withTarget(place) }))).toBeCloseTo(ndcg, 6)
    expect(value('beam', rollout({ beam: found }))).toBe(0)
    expect(value('beam', rollout())).toBeNaN()
  })
})

describe('latro and suff', () => {
  it('latro is the sum of the target’s log-probs', () => {
    expect(value('latro', rollout({ targetJoint: -1.35 }))).toBe(-1.35)
    expect(value('latro', rollout())).toBeNaN()
  })

  it('suff is a difference of sums, clipped', () => {
    expect(value('suff', rollout({ blindJointWith: -1.5, blindJointWithout: -4 }))).toBe(2.5)
    expect(value('suff', rollout({ blindJointWith: -1.5, blindJointWithout: -9 }))).toBe(5)
    expect(value('suff', rollout({ blindJointWith: -9, blindJointWithout: -1 }), { suffClip: 2 })).toBe(-2)
    expect(value('suff', rollout())).toBeNaN()
  })
})

describe('post', () => {
  it('takes the scorer’s candidates where they are there', () => {
    // Two candidates count: e^0 of e^0 + e^-ln 3 is 3/4; without z all four are alike, 1/4.
    const one = rollout({
      candidateJoint: [0, -9, -9, -9],
      scorerJoint: [-Math.log(3), 0, -1e3, -1e3],
      candidateJointWithout: [-2, -2, -2, -2],
    })
    expect(value('post', one)).toBeCloseTo(0.5, 12)
  })
})

describe('ranks', () => {
  it('rerank_gain: places gained over the number of candidates', () => {
    // The target (place 1) is last of four by the direct prompt and first behind the reasoning.
    const up = rollout({ candidateJointWithout: [-1, -9, -2, -3], candidateJoint: [-5, -1, -6, -7] })
    expect(value('rerank_gain', up)).toBe(3 / 4)
    const down = rollout({ candidateJointWithout: [-5, -1, -6, -7], candidateJoint: [-1, -2, -6, -7] })
    expect(value('rerank_gain', down)).toBe(-1 / 4)
    expect(value('rerank_gain', rollout({ candidateJoint: [-5, -1, -6, -7] }))).toBeNaN()
  })

  it('ndcg_list: the place in the written list; one title is a list of one', () => {
    const listing = (ranking: readonly number[]): Rollout =>
      rollout({ parsed: { reasoning: honest, answer: '', item: ranking[0] ?? null, ranking } })
    expect(
      column('ndcg_list', [
        listing([3, 4]),
        listing([4, 3]),
        listing([4, 5, 3]),
        listing([4, 5]),
        rollout(),
        rollout({}, 'Paper Lantern'),
      ]),
    ).toEqual([1, 1 / Math.log2(3), 0.5, 0, 1, 0])
  })
})

describe('rankneg', () => {
  const miss = (joint: number): Rollout =>
    rollout({ candidateJoint: [joint, -50, -50, -50] }, 'Paper Lantern')
  const hit = (joint: number): Rollout => rollout({ candidateJoint: [-50, joint, -50, -50] })

  it('of four: -.3904 -.2463 -.1952 -.1681, and 0 for the hit', () => {
    const wanted = [-0.3904, -0.2463, -0.1952, -0.1681]
    for (const place of [0, 1, 2, 3]) {
      const group = [-1, -2, -3, -4].map((joint, row) => (row === place ? hit(joint) : miss(joint)))
      column('rankneg', group).forEach((got, row) => {
        expect(got).toBeCloseTo(row === place ? 0 : (wanted[row] as number), 4)
      })
    }
  })

  it('orders by the likelihood of the answer, whatever the order of sampling', () => {
    const got = column('rankneg', [miss(-4), hit(-2), miss(-1), miss(-3)])
    ;[-0.1681, 0, -0.3904, -0.1952].forEach((wanted, row) => {
      expect(got[row]).toBeCloseTo(wanted, 4)
    })
  })

  it('is 0 for a group without a hit, and has no value without a score', () => {
    expect(column('rankneg', [miss(-1), miss(-2)])).toEqual([0, 0])
    const got = column('rankneg', [miss(-1), hit(-2), rollout({}, 'Paper Lantern')])
    // Two rows have an order: u = 1 and 1 / log2(3).
    expect(got[0]).toBeCloseTo(-1 / (1 + 1 / Math.log2(3)), 12)
    expect(got.slice(1)).toEqual([0, Number.NaN])
  })
})

describe('popularity', () => {
  // Interactions: item 4 five times, items 3 and 5 once each, the other seven never.
  const counts = new Map([
    [4, 5],
    [3, 1],
    [5, 1],
  ])
  const world = {
    ...handMade,
    trainInteractions: [...counts].flatMap(([item, times]) =>
      Array.from({ length: times }, (_, k) => ({ user: `v${k}`, item, rating: null, timestamp: k })),
    ),
    train: [instance, { ...instance, id: 'other', target: 4 }],
  } as Dataset

  it('pop: minus the percentile of a miss, ties half; nothing for a hit', () => {
    // Of nine others: item 4 has 9 below, item 5 has 7 below and one alike, item 6 six alike of the seven without any.
    const group = ['Paper Lantern', 'Velvet Engine', 'Hollow Meadow', 'Northern Tide'].map((title) =>
      rollout({}, title),
    )
    const got = column('pop', group, {}, world)
    ;[-1, -7.5 / 9, -3 / 9, 0].forEach((wanted, row) => {
      expect(got[row]).toBeCloseTo(wanted, 12)
    })
  })

  it('pop_hit: rarer targets weigh more, mean 1 over the training targets', () => {
    // Targets: item 3 (once) and item 4 (five times); 1 and 5^-gamma before scaling.
    const raw = 5 ** -0.5
    const [miss, own] = column('pop_hit', [rollout({}, 'Paper Lantern'), rollout()], { popGamma: 0.5 }, world)
    expect(miss).toBe(0)
    expect(own).toBeCloseTo(1 / ((1 + raw) / 2), 12)
    expect(column('pop_hit', [rollout()], { popGamma: 0 }, world)).toEqual([1])
  })
})

describe('judge', () => {
  const question = judgeQuestion(rollout(), { dataset: handMade, instance }) as JudgeQuestion

  it('is shown lists, reasoning and answer, and never the target', () => {
    expect(question).toEqual({
      history: ['The Silent Harbour', 'Golden Orchard', 'Radiowave'],
      candidates: ['Paper Lantern', 'Northern Tide', 'Velvet Engine', 'Hollow Meadow'],
      reasoning: honest,
      answer: 'Northern Tide',
    })
    const elsewhere = judgeQuestion(rollout(), { dataset: handMade, instance: { ...instance, target: 5 } })
    expect(judgeKey(elsewhere as JudgeQuestion)).toBe(judgeKey(question))
    expect(
      judgeQuestion(rollout({ parsed: { reasoning: null, answer: null, item: null } }), {
        dataset: handMade,
        instance,
      }),
    ).toBeNull()
  })

  it('reads scores by hash; what is not there has no value', async () => {
    const file = join(folder, 'scores.jsonl')
    const key = judgeKey(question)
    writeFileSync(file, `${JSON.stringify({ key, score: 0.2 })}\n\n${JSON.stringify({ key, score: 0.75 })}\n`)
    const other = { ...question, answer: 'Paper Lantern' }
    expect(await new ScoreFile(file).scores([question, other])).toEqual([0.75, null])
    expect(value('judge', rollout({ judged: 0.75 }))).toBe(0.75)
    expect(value('judge', rollout({ judged: null }))).toBeNaN()
  })

  it.each([
    ['{"key": "a", "score": 7}', 1],
    ['{"key": "a", "score": 1}\nnonsense', 2],
    ['{"score": 1}', 1],
  ])('refuses %s', (text, line) => {
    const file = join(folder, 'bad.jsonl')
    writeFileSync(file, text)
    expect(() => new ScoreFile(file)).toThrow(
      expect.objectContaining({
        code: 'RR_CONFIG_JUDGE',
        message: expect.stringContaining(`bad.jsonl:${line}`),
      }),
    )
  })

  it('says which file is not there', () => {
    expect(() => new ScoreFile(join(folder, 'none.jsonl'))).toThrow(
      expect.objectContaining({ code: 'RR_CONFIG_JUDGE', message: expect.stringContaining('none.jsonl') }),
    )
  })
})

/**
 * Internalization of the embedded default under every kind of setting: two short steps each. What is asked for here
 * is that the numbers of a step reach the loss as they should; formulas are tested in test/native.
 */

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../../../src/config/load.js'
import { Adapter, advantages, linearNames } from '../../../src/engine/index.js'
import { re2Reward } from '../../../src/methods/re2/pattern-internalization.js'
import { presetFile } from '../../../src/methods/registry.js'
import { createRun } from '../../../src/methods/session.js'
import { answersOnly } from '../../../src/phases/evaluation/answers-only.js'
import { internalize } from '../../../src/phases/internalization/internalize.js'
import { policyBatches, preferenceBatches } from '../../../src/phases/internalization/policy-batch.js'
import { rolloutCredit } from '../../../src/phases/internalization/policy-credit.js'
import { tokenDivergence } from '../../../src/phases/internalization/policy-penalty.js'
import { type PolicySetting, preparePolicy } from '../../../src/phases/internalization/policy-setup.js'
import { rolledOut } from '../../../src/phases/internalization/rollout-rounds.js'
import type { RolloutGroup } from '../../../src/phases/internalization/rollouts.js'
import type { PhaseContext } from '../../../src/phases/run/context.js'
import { readJsonLines } from '../../../src/phases/run/files.js'
import { RunDirectory } from '../../../src/phases/run/run-directory.js'
import type { InternalizeMetrics } from '../../../src/phases/run/run-record.js'

const folder = mkdtempSync(join(tmpdir(), 'reasonrec-policy-'))
afterAll(() => rmSync(folder, { recursive: true }))

const quick = [
  'rl.steps=2',
  'rl.prompts=2',
  'rl.group=4',
  'rl.save_every=2',
  'rl.allfail=none',
  'sft.rank=2',
  'rl.min_std=0.0',
  'rl.dynamic_sampling=false',
]
const watcher = {
  progress: { start: () => {}, advance: () => {}, end: () => {}, note: () => {} },
  onSample: () => {},
  signal: new AbortController().signal,
}
const loadedWith = (set: readonly string[]) =>
  loadConfig({ preset: presetFile('re2-quickstart'), file: null, set: [...quick, ...set], options: {} })

let first: PhaseContext
let runs = 0

beforeAll(async () => {
  first = await createRun(loadedWith([]), join(folder, 'first'), ['internalize'], watcher)
  await giveReference(first)
})

async function giveReference(context: PhaseContext): Promise<void> {
  const targets = [...linearNames]
  const adapter = await Adapter.create(context.base, { rank: 2, alpha: 4, targets }, 5n)
  await adapter.save(context.run.file('reference-adapter'), { baseModel: context.base.dir ?? '' })
}

/** The same model and data in a run of its own. */
async function contextWith(...set: string[]): Promise<PhaseContext> {
  const loaded = loadedWith(set)
  const run = RunDirectory.create(join(folder, `run-${runs++}`), loaded, ['internalize'], () => {})
  const context = { ...first, config: loaded.config, run }
  await giveReference(context)
  return context
}

async function metricsWith(...set: string[]): Promise<InternalizeMetrics[]> {
  const context = await contextWith(...set)
  await internalize(context, re2Reward(context.config))
  return readJsonLines<InternalizeMetrics>(context.run.file('metrics.jsonl')).filter(
    ({ phase }) => phase === 'internalize',
  )
}

async function rolledOutWith(...set: string[]) {
  const context = await contextWith(...set)
  const setting = await preparePolicy(context, re2Reward(context.config))
  return { context, setting, groups: await rolledOut(context, setting, 0) }
}

describe('internalization', () => {
  it.each([
    ['remax', 'rl.adv=remax'],
    ['rf++ with the divergence in the reward', 'rl.adv=rf++', 'rl.kl.where=reward', 'rl.discount=0.95'],
    ['opo and cispo', 'rl.adv=opo', 'rl.loss=cispo'],
    ['passk_bonus and gspo', 'rl.adv=passk_bonus', 'rl.loss=gspo'],
    ['clip_cov on tokens of high entropy', 'rl.loss=clip_cov', 'rl.keep_entropy=0.5'],
    ['kl_cov, two passes, two mini-batches', 'rl.loss=kl_cov', 'rl.inner=2', 'rl.minibatches=2'],
    [
      'an unbiased divergence that is steered',
      'rl.kl.kind=unbiased',
      'rl.kl.target=0.5',
      'rl.entropy_target=9',
    ],
    ['gdpo over the reward terms', 'rl.adv=gdpo', 'rl.reward.compose=gdpo'],
    ['credit of reasoning and answer apart', 'rl.reward.credit=decoupled'],
    ['dpo', 'rl.arm=dpo', 'rl.preference.reward_margin=0'],
    ['sdpo', 'rl.arm=sdpo', 'rl.preference.reward_margin=0'],
    ['simpo', 'rl.arm=simpo', 'rl.preference.reward_margin=0'],
    ['pairs where nothing hit', 'rl.allfail=simpo'],
  ])('%s', async (what, ...set) => {
    const lines = await metricsWith(...set)
    expect(lines).toHaveLength(2)
    for (const line of lines) {
      expect(Number.isFinite(line.loss)).toBe(true)
      expect(line.grad_norm).toBeGreaterThan(0)
      // Sampled log-probs are the trained ones, to the bit, whatever the loss.
      expect(line.logprob_mismatch).toBe(0)
    }
    const [one, two] = lines as [InternalizeMetrics, InternalizeMetrics]
    if (what.startsWith('an unbiased')) {
      // No divergence before the first update: beta falls by a fifth of 8 rollouts' share of the horizon.
      expect(two.kl_beta).toBeCloseTo(one.kl_beta! * (1 - (0.2 * 8) / 10_000), 12)
      expect([one.entropy_weight, two.entropy_weight]).toEqual([0, 1e-3])
    } else expect(one).not.toHaveProperty('kl_beta')
    if (set.some((key) => /keep_entropy/.test(key))) expect(one.left_out).toBeGreaterThan(0.3)
    if (set.some((key) => /arm=|simpo/.test(key))) expect(one.preference_accuracy).toBeDefined()
    if (what.startsWith('kl_cov')) expect(one.ratio_mean).not.toBe(1)
    if (what.startsWith('opo')) expect([one.ratio_mean, one.kl]).toEqual([1, 0])
  })

  it('carries steered weights in its checkpoints', async () => {
    const context = await contextWith('rl.kl.target=0.5', 'rl.steps=1')
    await internalize(context, re2Reward(context.config))
    const store = context.run.file('checkpoints', 'internalize')
    const [step] = readdirSync(store).filter((name) => name.startsWith('step-'))
    const state = JSON.parse(readFileSync(join(store, step!, 'state.json'), 'utf8'))
    expect(state.weights.beta).toBeCloseTo(context.config.rl.kl.beta * (1 - (0.2 * 8) / 10_000), 12)
  })

  it('trains the control that answers without reasoning under the same estimator and loss', async () => {
    const context = await contextWith('rl.adv=remax', 'rl.loss=clip_cov', 'rl.keep_entropy=0.5')
    const stages = await answersOnlyOf(context)
    expect([...stages.keys()]).toEqual(['answers_only_rl'])
  })
})

/** Its supervised part is not what is asked for here: a fresh adapter stands for it. */
async function answersOnlyOf(context: PhaseContext) {
  const adapter = await Adapter.create(context.base, { rank: 2, alpha: 4, targets: [...linearNames] }, 5n)
  await adapter.save(context.run.file('answers-only-sft'), { baseModel: context.base.dir ?? '' })
  return answersOnly(context, new Set(['answers_only_rl']))
}

describe('what a rollout is credited with', () => {
  let at: { context: PhaseContext; setting: PolicySetting; groups: RolloutGroup[] }
  beforeAll(async () => {
    at = await rolledOutWith('rl.adv=remax')
  })
  const withRl = (rl: Partial<PhaseContext['config']['rl']>): PhaseContext => ({
    ...at.context,
    config: { ...at.context.config, rl: { ...at.context.config.rl, ...rl } },
  })

  it('remax: its reward less that of a greedy rollout', () => {
    for (const { greedyReward, asked } of at.groups) {
      expect(greedyReward).toBeTypeOf('number')
      expect(asked.responses).toHaveLength(4)
    }
    const credit = rolloutCredit(at.context, at.groups)
    at.groups.forEach(({ rewards: { rewards }, greedyReward }, g) => {
      rewards.forEach((reward, i) => {
        expect(credit[g]![i]).toBeCloseTo(reward - greedyReward!, 12)
      })
    })
  })

  it('a divergence in the reward: the policy’s own log-probs less the reference’s', async () => {
    const { context, setting, groups } = at
    // The policy begins as the reference.
    const none = await tokenDivergence(context, setting, groups)
    expect(none.flat().every((own) => own.every((x) => x === 0))).toBe(true)
    const penalties = groups.map(({ asked }) =>
      asked.responses.map(({ sample }, i) =>
        Float32Array.from(sample.kinds, (kind) => (kind === 1 ? 0 : 0.01 * i)),
      ),
    )
    const credit = rolloutCredit(withRl({ adv: 'dr_grpo' }), groups, penalties)
    groups.forEach(({ rewards: { rewards } }, g) => {
      const earned = rewards.map((reward, i) => reward - penalties[g]![i]!.reduce((sum, x) => sum + x, 0))
      const mean = earned.reduce((sum, x) => sum + x, 0) / earned.length
      earned.forEach((x, i) => {
        expect(credit[g]![i]).toBeCloseTo(x - mean, 9)
      })
    })
    const returns = rolloutCredit(withRl({ adv: 'rf++' }), groups, penalties) as Float32Array[][]
    const spread = returns.flat().flatMap((own, row) => {
      const { sample } = groups.flatMap(({ asked }) => asked.responses)[row]!
      return Array.from(own).filter((_, t) => sample.kinds[t] !== 1)
    })
    const mean = spread.reduce((sum, x) => sum + x, 0) / spread.length
    const variance = spread.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (spread.length - 1)
    // fp32 advantages over some hundred tokens
    expect(Math.abs(mean)).toBeLessThan(1e-5)
    expect(variance).toBeCloseTo(1, 4)
  })

  it('decoupled: reasoning earns both kinds of terms, the answer one', () => {
    const { groups } = at
    const weights = Float64Array.of(1, 0.5)
    const values = (g: number) => Float64Array.from([1, 0, 0, 1, 0, 0.5, 1, g])
    const matrices = groups.map((group, g) => ({
      ...group,
      rewards: {
        ...group.rewards,
        matrix: { values: values(g), weights, rationality: Uint8Array.of(0, 1), use: 'decoupled' as const },
      },
    }))
    const context = withRl({ adv: 'dr_grpo' })
    const credit = rolloutCredit(context, matrices) as Float32Array[][]
    groups.forEach(({ asked }, g) => {
      const alone = (term: 0 | 1) =>
        advantages(
          'dr_grpo',
          Float64Array.from([0, 1, 2, 3], (row) => values(g)[2 * row + term]! * weights[term]!),
          Int32Array.of(4),
          { epsilon: 1e-6 },
        )
      asked.responses.forEach(({ sample, choiceBegin }, i) => {
        const [rec, rat] = [alone(0)[i]!, alone(1)[i]!]
        expect(credit[g]![i]![choiceBegin - 1]).toBeCloseTo(rec + rat, 6)
        expect(credit[g]![i]![choiceBegin]).toBeCloseTo(rec, 6)
        expect(credit[g]![i]).toHaveLength(sample.tokens.length)
      })
    })
    const gdpo = matrices.map((group) => ({
      ...group,
      rewards: { ...group.rewards, matrix: { ...group.rewards.matrix, use: 'gdpo' as const } },
    }))
    expect(
      rolloutCredit(context, gdpo)
        .flat()
        .every((one) => typeof one === 'number'),
    ).toBe(true)
  })

  it('pairs: the best before the worst, none where rewards or lengths forbid it', () => {
    const { groups } = at
    const with_ = (preference: object, arm: 'dpo' | 'sdpo' = 'dpo') =>
      withRl({ arm, preference: { ...at.context.config.rl.preference, ...preference } })
    const any = { reward_margin: 0, length_tolerance: 1 }
    const [batch] = preferenceBatches(with_(any), groups)
    expect(batch!.groups).toHaveLength(2)
    batch!.groups.forEach(({ completions }, g) => {
      const { rewards } = groups[g]!.rewards
      const rewardOf = (ids: unknown) =>
        rewards[groups[g]!.asked.responses.findIndex(({ sample }) => sample.tokens === ids)]
      expect(rewardOf(completions[0]!.ids)).toBe(Math.max(...rewards))
      expect(rewardOf(completions[1]!.ids)).toBe(Math.min(...rewards))
    })
    expect(Array.from(batch!.weights)).toEqual(Array(4).fill(1 / 2))
    expect(preferenceBatches(with_({ ...any, reward_margin: 99 }), groups)).toEqual([])
    const many = preferenceBatches(with_({ ...any, negatives: 2 }, 'sdpo'), groups)
    expect(many[0]!.groups.map(({ completions }) => completions.length)).toEqual([3, 3])
  })

  it('without a hit: right answers before the chosen ones, after the same reasoning', () => {
    const context = withRl({ allfail: 'simpo', adv: 'grpo' })
    const [batch] = policyBatches(context, [], at.groups, { step: 0, penalties: null })
    expect(batch!.groups).toHaveLength(0)
    const closed = at.groups.flatMap(({ asked }) => asked.responses.filter(({ closed: own }) => own))
    expect(batch!.pairs!.groups).toHaveLength(closed.length)
    batch!.pairs!.groups.forEach(({ prompt, completions }, i) => {
      const { sample, choiceBegin } = closed[i]!
      expect(Array.from(prompt).slice(-choiceBegin)).toEqual(
        Array.from(sample.tokens.subarray(0, choiceBegin)),
      )
      expect(Array.from(completions[1]!.ids)).toEqual(
        Array.from(sample.tokens).filter((_, t) => sample.kinds[t] === 2),
      )
    })
  })
})

it.each([
  [['rl.adv=rf++'], /takes the divergence from the reward/],
  [['rl.discount=0.9'], /rf\+\+ only/],
  [['rl.adv=passk_bonus', 'rl.pass_k=9'], /above rl.group/],
  [['rl.adv=gdpo'], /term by term/],
  [['rl.adv=rloo', 'rl.reward.compose=gdpo'], /of its own/],
  [['rl.adv=remax', 'rl.reward.credit=decoupled'], /one greedy reward/],
  [['rl.kl.where=reward', 'rl.reward.compose=gdpo'], /no place among/],
  [['rl.kl.where=reward', 'rl.kl.beta=0'], /without a weight/],
  [['rl.kl.target=1', 'rl.kl.beta=0'], /starts at 0/],
  [['rl.loss=two_sided', 'rl.delta=1.1'], /clip range/],
  [['rl.arm=dpo', 'rl.kl.where=reward'], /preferences/],
  [['rl.arm=simpo', 'rl.entropy=0.1'], /rl.arm policy/],
  [['rl.allfail=simpo', 'rl.answer=free'], /among the candidates/],
])('%s is refused', (set, why) => {
  expect(() => loadedWith(set)).toThrow(why)
})

/** What terms need beside the text, against the log-probs of whole sequences; and that nothing is computed that no term asks for. */

import { beforeAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../../../src/config/load.js'
import type { Instance } from '../../../src/data/types.js'
import { Adapter, type Adapters, sequenceLogprobs } from '../../../src/engine/index.js'
import { methodOf, presetFile } from '../../../src/methods/registry.js'
import { openDataset, openModel } from '../../../src/methods/session.js'
import { scoredByPolicy } from '../../../src/phases/internalization/rollout-scores.js'
import { type RolloutGroup, rollOut } from '../../../src/phases/internalization/rollouts.js'
import type { ModelContext, StageModel } from '../../../src/phases/run/context.js'
import { Encoding } from '../../../src/phases/run/encoding.js'
import { joined } from '../../../src/prompts/tokenizer.js'
import { untrustedPassage } from '../../../src/prompts/untrusted-text.js'
import type { ComposedReward } from '../../../src/rewards/composition.js'
import { rewardOf } from '../../../src/rewards/weights.js'

const method = { weights: { hit: 1 }, gate: 'fmt', floor: false, leakPhrases: [] } as const
const loaded = (...set: string[]) =>
  loadConfig({
    preset: presetFile('re2-quickstart'),
    file: null,
    set: ['rl.group=3', 'model.threads=1', ...set],
    options: {},
  }).config

let context: ModelContext
let policy: StageModel
let instances: readonly Instance[]
const reference: Adapters = {}

beforeAll(async () => {
  const config = loaded()
  const [{ base, tokenizer }, dataset] = await Promise.all([openModel(config), openDataset(config)])
  const re2 = methodOf(config)
  context = {
    config,
    dataset,
    method: re2,
    tokenizer,
    encoding: new Encoding(dataset, re2, tokenizer),
    vocabularyBytes: tokenizer.vocabularyBytes(base.vocab),
    signal: new AbortController().signal,
  }
  const adapter = await Adapter.create(base, { rank: 2, alpha: 4, targets: ['q_proj', 'v_proj'] }, 5n)
  adapter.setValues(Float32Array.from(adapter.values(), (_, i) => 0.02 * Math.sin(i)))
  policy = { model: base, adapters: { trained: adapter } }
  instances = dataset.train.slice(0, 2)
})

function reward(...set: string[]): { readonly reward: ComposedReward; readonly context: ModelContext } {
  const config = loaded(...set)
  return { reward: rewardOf(config, method, []), context: { ...context, config } }
}

async function rolledOut(...set: string[]): Promise<RolloutGroup[]> {
  const made = reward(...set)
  return rollOut(made.context, { policy, reference, reward: made.reward }, instances, {
    purpose: 'rollout',
    step: 0,
    firstPrompt: 0,
  })
}

/** Log-probs of `choice` behind `before`, by the plain forward. */
async function plain(adapters: Adapters, before: Int32Array[], choice: Int32Array): Promise<number[]> {
  const { logprobs } = await sequenceLogprobs(policy.model, adapters, [joined([...before, choice])])
  return Array.from(logprobs[0]!.slice(-choice.length))
}
const sum = (values: readonly number[]): number => values.reduce((total, x) => total + x, 0)
const mean = (values: readonly number[]): number => sum(values) / values.length

describe.each([['constrained'], ['free']])('scores of rollouts (%s)', (style) => {
  it('are those of the whole sequences, by the model that is meant', async () => {
    const groups = await rolledOut(
      `rl.answer=${style}`,
      'rl.reward.scorer=ref',
      'rl.reward.weights={gain: 1, gain_prob: 1, post: 1, latro: 1, suff: 1, rerank_gain: 1, ndcg_cand: 1}',
    )
    let compared = 0
    for (const { instance, asked, rollouts } of groups) {
      const { encoding } = context
      const right = encoding.rightChoice(instance)
      const blind = { ...instance, history: [] }
      const [direct, blindDirect, blindReason] = [
        encoding.prompt(instance, 'direct'),
        encoding.prompt(blind, 'direct'),
        encoding.prompt(blind, 'reason'),
      ]
      const without = await plain(reference, [direct, encoding.frame.directOpen], right)
      for (const [row, one] of rollouts.entries()) {
        if (one.candidateJoint === null || one.parsed.item === null) continue
        compared++
        const { sample, choiceBegin } = asked.responses[row]!
        // A free answer is scored behind the canonical ids of what was read.
        const prefix =
          choiceBegin >= 0
            ? sample.tokens.subarray(0, choiceBegin)
            : encoding.beforeAnswer(untrustedPassage(one.parsed.reasoning ?? ''))
        const own = encoding.choices(instance)[instance.candidates.indexOf(one.parsed.item)]!
        const byPolicy = await plain(policy.adapters, [asked.prompt, prefix], right)
        const byFrozen = await plain(reference, [asked.prompt, prefix], right)
        const target = instance.candidates.indexOf(instance.target)
        const blindWith = await plain(reference, [blindReason, prefix], own)
        const blindWithout = await plain(reference, [blindDirect, encoding.frame.directOpen], own)
        const expected = {
          targetJoint: sum(byPolicy),
          candidateJoint: sum(byPolicy),
          scorerJoint: sum(byFrozen),
          candidateJointWithout: sum(without),
          targetMeanWith: mean(byFrozen),
          targetMeanWithout: mean(without),
          targetProbWith: mean(byFrozen.map(Math.exp)),
          targetProbWithout: mean(without.map(Math.exp)),
          blindJointWith: sum(blindWith),
          blindJointWithout: sum(blindWithout),
        }
        for (const [field, wanted] of Object.entries(expected)) {
          const got = one[field as keyof typeof expected]
          // Sums of at most a dozen fp32 log-probs, in another order of their products.
          expect(typeof got === 'number' ? got : got?.[target], field).toBeCloseTo(wanted, 4)
        }
      }
    }
    expect(compared).toBeGreaterThan(2)
  })
})

describe('the search of the catalogue behind a rollout', () => {
  it('finds titles outside the history, in the order of their whole sequences by the policy', async () => {
    const groups = await rolledOut('rl.reward.weights={beam: 1}', 'rl.reward.beam_width=6')
    let compared = 0
    for (const { instance, asked, rollouts } of groups)
      for (const [row, { beam }] of rollouts.entries()) {
        if (!beam) continue
        expect(beam).toHaveLength(6)
        expect(beam.filter((item) => instance.history.includes(item))).toEqual([])
        const { sample, choiceBegin } = asked.responses[row]!
        const before = [asked.prompt, sample.tokens.subarray(0, choiceBegin)]
        const titles = context.encoding.catalogue().titles
        const joint: number[] = []
        for (const item of beam) joint.push(sum(await plain(policy.adapters, before, titles[item]!)))
        for (let place = 1; place < joint.length; place++)
          expect(joint[place]).toBeLessThanOrEqual(joint[place - 1]! + 1e-4)
        compared++
      }
    expect(compared).toBeGreaterThan(2)
  })
})

describe('terms with weight 0 cost nothing', () => {
  const fieldsOf = (group: RolloutGroup): string[] =>
    Object.entries(group.rollouts[0]!)
      .filter(([, value]) => value !== null && value !== undefined)
      .map(([field]) => field)
      .filter((field) => !['text', 'parsed', 'tokens', 'finish'].includes(field))
      .sort()

  it.each([
    ['{gain: 0, ndcg_cand: 0, suff: 0, judge: 0}', []],
    ['{latro: 0.1}', ['candidateJoint', 'candidateMean', 'targetJoint']],
    ['{gain: 0.5}', ['targetMeanWith', 'targetMeanWithout', 'targetProbWith', 'targetProbWithout']],
    ['{ppl: 0.5}', ['targetMeanWith', 'targetProbWith']],
    ['{suff: 0.5}', ['blindJointWith', 'blindJointWithout']],
  ])('%s', async (weights, fields) => {
    const [group] = await rolledOut('rl.reward.scorer=ref', `rl.reward.weights=${weights}`)
    expect(fieldsOf(group!)).toEqual(fields)
  })

  it('and the policy is not asked for scores of its choices', () => {
    const asked = (...set: string[]): boolean => {
      const made = reward(...set)
      return scoredByPolicy(made.context, made.reward)
    }
    expect(asked('rl.reward.weights={gain: 0}')).toBe(false)
    expect(asked('rl.reward.weights={gain: 1}', 'rl.reward.scorer=ref')).toBe(false)
    expect(asked('rl.reward.weights={gain: 1}', 'rl.reward.scorer=policy')).toBe(true)
    expect(asked('rl.reward.weights={mrr_cand: 1}')).toBe(true)
  })
})

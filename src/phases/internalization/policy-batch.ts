/**
 * From rewarded groups to what the policy step takes: groups whose rewards are all alike are dropped,
 * advantages are taken within groups, given tokens and truncated rollouts are masked, and token weights carry
 * the aggregation over the whole mini-batch. The preference arms take pairs of rollouts in place of advantages.
 */

import { aggregationWeights, type PolicyCompletion, type PolicyGroup } from '../../engine/index.js'
import { joined } from '../../prompts/tokenizer.js'
import { untrustedPassage } from '../../prompts/untrusted-text.js'
import { isRight, type Rollout } from '../../rewards/reward.js'
import type { Response } from '../prediction/responses.js'
import type { PhaseContext } from '../run/context.js'
import { type Credit, rolloutCredit } from './policy-credit.js'
import { answerPairs, preferredRollouts } from './policy-pairs.js'
import { type SampledCompletion, withTreatment } from './policy-selection.js'
import type { RolloutGroup } from './rollouts.js'

/** Groups with one weight per completion. */
export interface WeightedGroups {
  readonly groups: readonly PolicyGroup[]
  readonly weights: Float64Array
}

export interface PolicyBatch extends WeightedGroups {
  readonly instances: readonly string[]
  /** rl.allfail simpo: right answers before chosen ones. */
  readonly pairs: WeightedGroups | null
}

/** Standard deviation (n - 1) of a group's valid rewards; 0 for fewer than two. */
export function rewardDeviation({ rewards: { rewards, valid } }: RolloutGroup): number {
  const known = Array.from(rewards).filter((_, index) => valid[index] === 1)
  if (known.length < 2) return 0
  const mean = known.reduce((sum, reward) => sum + reward, 0) / known.length
  return Math.sqrt(known.reduce((sum, reward) => sum + (reward - mean) ** 2, 0) / (known.length - 1))
}

export function teaches(context: PhaseContext, group: RolloutGroup): boolean {
  return rewardDeviation(group) >= context.config.rl.min_std
}

/** Groups that never gave the right answer. */
export function withoutHit(groups: readonly RolloutGroup[]): RolloutGroup[] {
  return groups.filter(({ rollouts, instance }) => rollouts.every(({ parsed }) => !isRight(parsed, instance)))
}

/** What is known about a step beside its groups. */
export interface BatchSetting {
  readonly step: number
  /** beta * k1 per token of every kept rollout, where the divergence is in the reward. */
  readonly penalties: readonly (readonly Float32Array[])[] | null
}

/** `kept`: groups for the policy loss; `failed`: groups without a hit, which may get the right answer taught. */
export function policyBatches(
  context: PhaseContext,
  kept: readonly RolloutGroup[],
  failed: readonly RolloutGroup[],
  { step, penalties }: BatchSetting,
): PolicyBatch[] {
  const rewarded = kept.length > 0 ? rolloutCredit(context, kept, penalties) : []
  const members = [
    ...kept.map((group, index) => ({
      group,
      advantage: rewarded[index] as readonly Credit[],
      teach: failed.includes(group),
    })),
    ...failed
      .filter((group) => !kept.includes(group))
      .map((group) => ({ group, advantage: null, teach: true })),
  ].filter(({ group, advantage, teach }) => advantage !== null || (teach && bestComplete(group) >= 0))
  return miniBatches(context, members)
    .map((part, index, { length }) => policyBatch(context, part, BigInt(step * length + index)))
    .filter(({ groups, pairs }) => groups.length > 0 || pairs !== null)
}

/** One group of a winner and its losers per prompt that has such a pair. */
export function preferenceBatches(context: PhaseContext, kept: readonly RolloutGroup[]): PolicyBatch[] {
  const compared = kept.flatMap((group) => {
    const all = sampledCompletions(context, group, 0)
    const usable = all.map(({ mask }) => mask.includes(1))
    const pair = preferredRollouts(context, group, usable)
    if (!pair) return []
    const { prompt, trie } = group.asked
    const completions = [pair.winner, ...pair.losers].map((place) => all[place] as PolicyCompletion)
    return [{ id: group.instance.id, group: { prompt, trie, completions } }]
  })
  return miniBatches(context, compared)
    .filter((part) => part.length > 0)
    .map((part) => ({
      ...equalWeights(
        part.map(({ group }) => group),
        1,
      ),
      instances: part.map(({ id }) => id),
      pairs: null,
    }))
}

function miniBatches<T>({ config }: PhaseContext, members: readonly T[]): T[][] {
  const { minibatches } = config.rl
  const size = Math.ceil(members.length / minibatches)
  return Array.from({ length: minibatches }, (_, part) => members.slice(part * size, (part + 1) * size))
}

/** Together the groups weigh `total`. */
export function equalWeights(groups: readonly PolicyGroup[], total: number): WeightedGroups {
  const completions = groups.reduce((sum, group) => sum + group.completions.length, 0)
  return { groups, weights: new Float64Array(completions).fill(total / groups.length) }
}

interface Member {
  readonly group: RolloutGroup
  readonly advantage: readonly Credit[] | null
  readonly teach: boolean
}

function policyBatch(context: PhaseContext, members: readonly Member[], stream: bigint): PolicyBatch {
  const { agg, max_new, gt_weight, allfail } = context.config.rl
  // Rollouts without a trained token are left out: they would cost a forward and change nothing.
  const policy = members.map(({ group, advantage }) =>
    advantage === null
      ? []
      : sampledCompletions(context, group, advantage).filter(({ mask }) => mask.includes(1)),
  )
  const trained = policy.flat().reduce((sum, { mask }) => sum + unmasked(mask), 0)
  const trainable = members.flatMap(({ group, teach }, index) => {
    const adds = teach && allfail === 'add_gt'
    const taught = adds ? taughtCompletion(context, group, gt_weight / Math.max(1, trained)) : []
    const own = [...policy[index]!, ...taught.map((one) => ({ ...one, entropies: nothing }))]
    const { prompt, trie } = group.asked
    return own.length === 0 ? [] : [{ id: group.instance.id, group: { prompt, trie, completions: own } }]
  })
  const groups = withTreatment(
    context,
    trainable.map(({ group }) => group),
    stream,
  )
  const lengths = groups.flatMap((group) => group.completions.map(({ mask }) => unmasked(mask)))
  const pairs =
    allfail === 'simpo'
      ? members.flatMap(({ group, teach }) => (teach ? answerPairs(context, group) : []))
      : []
  return {
    groups,
    weights: aggregationWeights(agg, Int32Array.from(lengths), max_new),
    instances: trainable.map(({ id }) => id),
    pairs: pairs.length > 0 ? equalWeights(pairs, gt_weight) : null,
  }
}

const nothing = new Float32Array()

function sampledCompletions(
  context: PhaseContext,
  group: RolloutGroup,
  advantage: readonly Credit[] | 0,
): SampledCompletion[] {
  return group.asked.responses.map((response, index) => ({
    ids: response.sample.tokens,
    mask: lossMask(context, response, group.rollouts[index] as Rollout),
    oldLogprobs: response.sample.logprobs,
    entropies: response.sample.entropies,
    advantage: advantage === 0 ? 0 : (advantage[index] ?? 0),
    trieBegin: response.choiceBegin,
  }))
}

/**
 * 1 for tokens the model chose. An answer behind a reasoning that was closed by force had no part in the
 * reward, and a truncated rollout gives no gradient at all where rl.mask_truncated says so.
 */
function lossMask(context: PhaseContext, { sample, closed }: Response, { finish }: Rollout): Uint8Array {
  if (finish === 'length' && context.config.rl.mask_truncated) return new Uint8Array(sample.tokens.length)
  return Uint8Array.from(sample.kinds, (kind) => (kind === 0 || (kind === 2 && closed) ? 1 : 0))
}

/** The right answer behind the best reasoning of a group without a hit: supervised, its tokens only. */
function taughtCompletion(context: PhaseContext, group: RolloutGroup, sftWeight: number): PolicyCompletion[] {
  const best = bestComplete(group)
  const response = group.asked.responses[best]
  const reasoning = group.rollouts[best]?.parsed.reasoning ?? null
  if (!response || reasoning === null) return []
  const before =
    response.choiceBegin >= 0
      ? response.sample.tokens.subarray(0, response.choiceBegin)
      : context.encoding.beforeAnswer(untrustedPassage(reasoning))
  return [taughtChoice(before, context.encoding.rightChoice(group.instance), sftWeight)]
}

/** A choice behind what stands before it: supervised, its tokens only. */
export function taughtChoice(before: Int32Array, choice: Int32Array, sftWeight: number): PolicyCompletion {
  const ids = joined([before, choice])
  return {
    ids,
    mask: new Uint8Array(ids.length),
    oldLogprobs: new Float32Array(ids.length),
    advantage: 0,
    sftWeight,
    sftMask: new Uint8Array(ids.length).fill(1, before.length),
    trieBegin: -1,
  }
}

/** The well-formed rollout with the highest reward, the first of equals; -1 if none is well-formed. */
function bestComplete({ rollouts, rewards }: RolloutGroup): number {
  let best = -1
  rollouts.forEach(({ finish, parsed }, index) => {
    if (finish !== 'complete' || parsed.reasoning === null) return
    if (best < 0 || rewards.rewards[index]! > rewards.rewards[best]!) best = index
  })
  return best
}

function unmasked(mask: Uint8Array): number {
  return mask.reduce((sum, bit) => sum + bit, 0)
}

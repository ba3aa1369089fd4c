/** Rollouts of Internalization: G responses per prompt from the policy, read, scored (rollout-scores.ts) and rewarded. */

import type { Instance } from '../../data/types.js'
import type { Adapters } from '../../engine/index.js'
import type { ComposedReward, GroupRewards } from '../../rewards/composition.js'
import type { Rollout } from '../../rewards/reward.js'
import { type AskedGroup, askResponses, type Response } from '../prediction/responses.js'
import type { ModelContext, StageModel } from '../run/context.js'
import { derivedSeed, type StreamPurpose, streamId } from '../run/streams.js'
import { distinctFirst } from './distinct-answers.js'
import { type ReadResponse, scoredByPolicy, scoreRollouts } from './rollout-scores.js'

export interface RolloutGroup {
  readonly instance: Instance
  readonly asked: AskedGroup
  readonly rollouts: readonly Rollout[]
  readonly rewards: GroupRewards
  /** Reward of the prompt's greedy rollout, where the estimator compares with it (remax). */
  readonly greedyReward?: number
}

export interface RolloutSetting {
  readonly policy: StageModel
  /** The frozen model of Imitation. */
  readonly reference: Adapters
  readonly reward: ComposedReward
}

/** Where a group's random streams come from. */
export interface RolloutPlace {
  readonly purpose: StreamPurpose
  readonly step: number
  readonly firstPrompt: number
  /** One rollout of the likeliest tokens in place of rl.group sampled ones. */
  readonly greedy?: boolean
}

export async function rollOut(
  context: ModelContext,
  setting: RolloutSetting,
  instances: readonly Instance[],
  place: RolloutPlace,
): Promise<RolloutGroup[]> {
  const { rl, seed } = context.config
  const [count, temperature] = place.greedy
    ? [1, 0]
    : [Math.ceil(rl.group * rl.sampling.oversample), rl.temperature]
  const asks = instances.map((instance, index) => ({
    instance,
    mode: 'reason' as const,
    streams: Array.from({ length: count }, (_, sample) =>
      streamId(place.purpose, place.step, place.firstPrompt + index, sample),
    ),
  }))
  const drawn = await askResponses(context, setting.policy, asks, {
    style: rl.answer,
    maxNew: rl.max_new,
    sampling: { temperature },
    seed: derivedSeed(seed, 'rollout'),
    scored: scoredByPolicy(context, setting.reward),
  })
  const groups = drawn.map((group) => keptResponses(context, group))
  const read = groups.map((group) => readGroup(context, group))
  const scores = await scoreRollouts(context, setting, groups, read)
  return groups.map((asked, index) => {
    const instance = asked.ask.instance
    const rollouts = read[index]!.map((one, sample) => ({ ...one, ...scores[index]![sample]! }))
    return {
      instance,
      asked,
      rollouts,
      rewards: withoutOverlong(
        context,
        rollouts,
        setting.reward.compute(rollouts, { dataset: context.dataset, instance }),
      ),
    }
  })
}

/** The rl.group responses that make the group, where more were drawn. */
function keptResponses(context: ModelContext, group: AskedGroup): AskedGroup {
  const { rl } = context.config
  if (group.responses.length <= rl.group) return group
  const answers = readGroup(context, group).map(
    ({ parsed: { item, ratingError } }) => item ?? `${ratingError}`,
  )
  const kept = distinctFirst(answers, rl.group)
  return { ...group, responses: kept.map((place) => group.responses[place]!) }
}

/** rl.sampling.overlong leave_out: rollouts cut at max_new count in no statistic of their group. */
function withoutOverlong(
  { config }: ModelContext,
  rollouts: readonly Rollout[],
  rewards: GroupRewards,
): GroupRewards {
  if (config.rl.sampling.overlong === 'count') return rewards
  return {
    ...rewards,
    valid: rewards.valid.map((valid, row) => (rollouts[row]?.finish === 'length' ? 0 : valid)),
  }
}

function readGroup(context: ModelContext, { ask, responses }: AskedGroup): ReadResponse[] {
  return responses.map((response) => ({
    text: response.text,
    parsed: context.method.parse(context.dataset, ask.instance, response.text),
    tokens: response.written,
    finish: finishOf(response),
  }))
}

function finishOf({ sample, closed }: Response): Rollout['finish'] {
  if (closed) return 'complete'
  return sample.finishes[0] === 'length' ? 'length' : 'unclosed'
}

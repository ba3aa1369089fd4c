/**
 * Reward terms of a user's own: a function from a rollout to a number. They come from files (rl.reward.user, --reward) with a
 * weight of their own, or from registerReward, and then take part where rl.reward.weights names them. Null says that a
 * value is missing. Anything else that is not a finite number, and anything thrown, is an error that names rollout and term.
 */

import { ReasonrecError } from '../engine/errors.js'
import { rewardTermIds } from './registry.js'
import { type RewardContext, type RewardNeed, type RewardTerm, type Rollout, rewardNeeds } from './reward.js'
import type { OwnTerm } from './weights.js'

export interface UserRewardContext extends RewardContext {
  /** All rollouts of the same prompt, this one at `row`. */
  readonly group: readonly Rollout[]
  readonly row: number
}

export interface UserReward {
  /** Lower-case letters, digits and _; not the id of a term that is there. */
  readonly id: string
  /** Of a term from a file; rl.reward.weights goes before it. 1 unless told. */
  readonly weight?: number
  /** What the rollouts must carry beside their text; each costs forward passes. */
  readonly needs?: readonly RewardNeed[]
  /** The value that stands for "nothing to say"; 0 unless told. */
  readonly neutral?: number
  /** Rationality: withheld by `conditional` and `gated` where it is positive. */
  readonly rationality?: boolean
  /** Decoupled credit gives it to the reasoning's tokens alone, unless it says `recommendation`. */
  readonly credit?: RewardTerm['credit']
  score(rollout: Rollout, context: UserRewardContext): number | null
}

const registered = new Map<string, UserReward>()

/** Makes a term known to this process; it takes part where rl.reward.weights names it. @throws RR_CONFIG_REWARD */
export function registerReward(reward: UserReward): void {
  requireUserReward(reward, 'registerReward')
  registered.set(reward.id, reward)
}

/** With weight 0: rl.reward.weights, and so the configuration's hash, says whether they count. */
export function registeredTerms(): OwnTerm[] {
  return [...registered.values()].map((reward) => ({ term: userTerm(reward), weight: 0 }))
}

export function userTerm(reward: UserReward): RewardTerm {
  const { id, needs = [], neutral = 0, rationality = false, credit = 'reasoning' } = reward
  return {
    id,
    needs,
    core: false,
    rationality,
    credit,
    neutral,
    compute: (group, context) =>
      group.map((rollout, row) => scoreOf(reward, rollout, { ...context, group, row })),
  }
}

function scoreOf(reward: UserReward, rollout: Rollout, context: UserRewardContext): number {
  const place = `rollout ${context.row + 1} of ${context.instance.id}`
  let value: unknown
  try {
    value = reward.score(rollout, context)
  } catch (cause) {
    throw new ReasonrecError(
      'RR_CONFIG_REWARD_FAILED',
      `the reward term ${reward.id} failed at ${place}`,
      {
        got: cause instanceof Error ? cause.message : String(cause),
        remedy: 'correct the term’s score function',
      },
      { cause },
    )
  }
  if (value === null) return Number.NaN
  if (typeof value === 'number' && Number.isFinite(value)) return value
  throw new ReasonrecError(
    'RR_CONFIG_REWARD_VALUE',
    `the reward term ${reward.id} gave no number at ${place}`,
    {
      expected: 'a finite number, or null where there is no value',
      got: value instanceof Promise ? 'a promise' : String(value),
      remedy: 'correct the term’s score function',
    },
  )
}

/** @throws RR_CONFIG_REWARD naming `where` it came from */
export function requireUserReward(given: unknown, where: string): asserts given is UserReward {
  const { id, weight = 1, needs = [], neutral = 0, score } = (given ?? {}) as Partial<UserReward>
  const problem =
    typeof id !== 'string' || !/^[a-z][a-z0-9_]*$/.test(id)
      ? `id ${JSON.stringify(id)}`
      : (rewardTermIds as readonly string[]).includes(id)
        ? `id ${id}, which is a term of the library`
        : typeof score !== 'function'
          ? `no function score in ${id}`
          : !Number.isFinite(weight) || !Number.isFinite(neutral)
            ? `a weight or a neutral value of ${id} that is not a finite number`
            : !Array.isArray(needs) || needs.some((need) => !rewardNeeds.includes(need))
              ? `needs of ${id} other than ${rewardNeeds.join(', ')}`
              : null
  if (problem === null) return
  throw new ReasonrecError('RR_CONFIG_REWARD', `${where} holds no reward term`, {
    expected: '{ id: "lower_case", score(rollout, context) { return a number } }',
    got: problem,
    remedy: 'see docs/rewards.md',
  })
}

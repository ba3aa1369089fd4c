/**
 * The reward of a run from its configuration: a method's own weights, those by id in rl.reward.weights in their place or
 * beside them, and the terms of the user's own with the weight they come with.
 */

import { closest } from 'fastest-levenshtein'
import type { Config } from '../config/schema.js'
import { ReasonrecError } from '../engine/errors.js'
import { ComposedReward, type RewardComposition } from './composition.js'
import { formFloor } from './form.js'
import { noJudge, ScoreFile } from './judge.js'
import { type RewardSettings, rewardTermIds } from './registry.js'
import type { RewardTerm } from './reward.js'

/** What a method decides about its reward. */
export interface MethodReward {
  readonly weights: Readonly<Record<string, number>>
  readonly gate: NonNullable<RewardComposition['gate']>
  /** Does its gate ask for prose where rl.reward.floor leaves it to the method? */
  readonly floor: boolean
  readonly leakPhrases: readonly string[]
  readonly top?: NonNullable<RewardSettings['top']>
  /** Terms that its answers give no meaning. */
  readonly without?: readonly string[]
}

/** A user's term and the weight it has unless rl.reward.weights says otherwise. */
export interface OwnTerm {
  readonly term: RewardTerm
  readonly weight: number
}

/** Gates are no terms with a weight: they are computed anyway, and withhold all the others. */
const gates: readonly string[] = ['fmt', 'answered']

/** @throws RR_CONFIG_REWARD, RR_CONFIG_JUDGE */
export function rewardOf(
  { rl, judge: server }: Pick<Config, 'rl' | 'judge'>,
  method: MethodReward,
  own: readonly OwnTerm[],
): ComposedReward {
  const { reward } = rl
  if (reward.compose === 'gdpo' && reward.credit === 'decoupled') {
    throw new ReasonrecError('RR_CONFIG_REWARD', 'gdpo gives every token of a rollout the same advantage', {
      got: 'rl.reward.compose: gdpo with rl.reward.credit: decoupled',
      remedy: 'choose one of them',
    })
  }
  const weights: Record<string, number> = {
    ...method.weights,
    ...Object.fromEntries(own.map(({ term, weight }) => [term.id, weight])),
    ...knownWeights(reward.weights, own),
  }
  const meaningless = method.without?.find((id) => weights[id])
  if (meaningless !== undefined) {
    throw new ReasonrecError(
      'RR_CONFIG_REWARD',
      `the reward term ${meaningless} needs answers that are titles`,
      {
        remedy: `leave it out (rl.reward.weights.${meaningless}: 0)`,
      },
    )
  }
  // A judge behind a server is opened where it is asked (phases/internalization/reward-judge.ts).
  if (weights.judge && reward.judge_scores === null && server.model === null) throw noJudge()
  const judge = weights.judge && reward.judge_scores !== null ? new ScoreFile(reward.judge_scores) : null
  const floor = reward.floor === 'method' ? method.floor : reward.floor === 'on'
  return new ComposedReward(
    {
      compose: reward.compose,
      credit: reward.credit,
      gate: method.gate,
      gateFail: reward.gate_fail,
      weights,
    },
    {
      length: { limit: rl.max_new, buffer: reward.len_buffer },
      gainClip: reward.gain_clip,
      suffClip: reward.suff_clip,
      norm: 'joint',
      leakPhrases: method.leakPhrases,
      formFloor: floor ? formFloor : null,
      popGamma: reward.pop_gamma,
      ...(method.top && { top: method.top }),
      own: own.map(({ term }) => term),
    },
    judge,
  )
}

function knownWeights(
  weights: Readonly<Record<string, number>>,
  own: readonly OwnTerm[],
): Readonly<Record<string, number>> {
  const known = [...rewardTermIds.filter((id) => !gates.includes(id)), ...own.map(({ term }) => term.id)]
  const strange = Object.keys(weights).find((id) => !known.includes(id))
  if (strange === undefined) return weights
  throw new ReasonrecError(
    'RR_CONFIG_REWARD',
    `rl.reward.weights names ${strange}, which is no reward term`,
    {
      expected: known.join(', '),
      remedy: gates.includes(strange)
        ? 'a gate has no weight; see rl.reward.gate_fail'
        : `did you mean ${closest(strange, known)}? A term of your own needs its file: --reward FILE`,
    },
  )
}

/**
 * Step 3 of RE2, Pattern Internalization: reinforcement learning that improves both the recommendation and the
 * rationality of the reasoning. The reward (spec 5.4), for a response in the asked form:
 *   r = hit + 0.5 ndcg_cand + 0.5 clip(gain, -1, 1) + 0.2 (ground - 1) + 0.2 len + 0.2 rep,   else -1
 * hit and ndcg_cand are the recommendation, gain (how much the reasoning raises the true item) is the
 * rationality. Weights are configuration: rl.reward.
 */

import type { Config } from '../../config/schema.js'
import { internalize } from '../../phases/internalization/internalize.js'
import type { PhaseContext } from '../../phases/run/context.js'
import type { ComposedReward } from '../../rewards/composition.js'
import { type OwnTerm, rewardOf } from '../../rewards/weights.js'
import { re2Phrases } from './index.js'

export function patternInternalization(context: PhaseContext): Promise<void> {
  return internalize(context, re2Reward(context.config, context.ownTerms))
}

export function re2Reward(
  config: Pick<Config, 'rl' | 'judge'>,
  own: readonly OwnTerm[] = [],
): ComposedReward {
  const { hit, ndcg_cand, gain_kind, gain, ground, len, rep } = config.rl.reward
  return rewardOf(
    config,
    {
      weights: { hit, ndcg_cand, [gain_kind]: gain, ground, len, rep },
      gate: 'fmt',
      floor: true,
      leakPhrases: re2Phrases().leaks,
    },
    own,
  )
}

/**
 * Step 3 of RE2, Pattern Internalization: reinforcement learning that improves both the recommendation and the
 * rationality of the reasoning. The reward (spec 5.4), for a response in the asked form:
 *   r = hit + 0.5 ndcg_cand + 0.5 clip(gain, -1, 1) + 0.2 (ground - 1) + 0.2 len + 0.2 rep,   else -1
 * hit and ndcg_cand are the recommendation, gain (how much the reasoning raises the true item) is the
 * rationality. Weights are configuration: rl.reward.
 */

import type { Config } from '../../config/schema.js'
import type { PhaseContext } from '../../phases/context.js'
import { internalize } from '../../phases/internalize.js'
import { ComposedReward } from '../../rewards/composition.js'
import { re2Phrases } from './index.js'

export function patternInternalization(context: PhaseContext): Promise<void> {
  return internalize(context, re2Reward(context.config))
}

export function re2Reward({ rl }: Config): ComposedReward {
  const { reward } = rl
  const weights = {
    hit: reward.hit,
    ndcg_cand: reward.ndcg_cand,
    [reward.gain_kind]: reward.gain,
    ground: reward.ground,
    len: reward.len,
    rep: reward.rep,
  }
  return new ComposedReward(
    { compose: reward.compose, gateFail: reward.gate_fail, weights },
    {
      length: { limit: rl.max_new, buffer: reward.len_buffer },
      gainClip: reward.gain_clip,
      norm: 'joint',
      leakPhrases: re2Phrases().leaks,
    },
  )
}

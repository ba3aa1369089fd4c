/**
 * Step 3 of R2Rec, reinforcement learning with GRPO (spec 7), on ranking questions; a share of rating questions if
 * r2rec.rating_prompts asks for it. The reward of an answer that can be read, else rl.reward.gate_fail:
 *   ranking   hit + 0.5 (1 - hit) ndcg@3 + 0.1 fmt          rating   1 - |given - true| / 4 + 0.1 fmt
 * fmt: the thoughts are the steps of a walk. rl.reward.ndcg_top: 0 leaves hit + fmt, the most literal reading. Where a
 * trie chooses one label (rl.answer: constrained), the target's place is read from the labels' scores.
 */

import type { Config } from '../../config/schema.js'
import { internalize } from '../../phases/internalization/internalize.js'
import type { PhaseContext } from '../../phases/run/context.js'
import type { ComposedReward } from '../../rewards/composition.js'
import { type OwnTerm, rewardOf } from '../../rewards/weights.js'

export function reinforcementLearning(context: PhaseContext): Promise<void> {
  return internalize(context, r2recReward(context.config, context.ownTerms))
}

export function r2recReward(
  config: Pick<Config, 'rl' | 'judge'>,
  own: readonly OwnTerm[] = [],
): ComposedReward {
  const { hit, ndcg_top, steps, rating } = config.rl.reward
  return rewardOf(
    config,
    {
      weights: { hit, ndcg_top, steps, rating },
      gate: 'answered',
      floor: false,
      leakPhrases: [],
      without: ['beam'],
      top: { places: 3, by: config.rl.answer === 'constrained' ? 'scored' : 'listed' },
    },
    own,
  )
}

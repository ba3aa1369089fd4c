/**
 * Step 3 of R2Rec, reinforcement learning with GRPO (spec 7), on ranking questions; a share of rating questions if
 * r2rec.rating_prompts asks for it. The reward of an answer that can be read, else rl.reward.gate_fail:
 *   ranking   hit + 0.5 (1 - hit) ndcg@3 + 0.1 fmt          rating   1 - |given - true| / 4 + 0.1 fmt
 * fmt: the thoughts are the steps of a walk. rl.reward.ndcg_top: 0 leaves hit + fmt, the most literal reading. Where a
 * trie chooses one label (rl.answer: constrained), the target's place is read from the labels' scores.
 */

import type { Config } from '../../config/schema.js'
import type { PhaseContext } from '../../phases/context.js'
import { internalize } from '../../phases/internalize.js'
import { ComposedReward } from '../../rewards/composition.js'

export function reinforcementLearning(context: PhaseContext): Promise<void> {
  return internalize(context, r2recReward(context.config))
}

export function r2recReward({ rl }: Pick<Config, 'rl'>): ComposedReward {
  const { reward } = rl
  const { hit, ndcg_top, steps, rating } = reward
  return new ComposedReward(
    {
      compose: 'additive',
      gate: 'answered',
      gateFail: reward.gate_fail,
      weights: { hit, ndcg_top, steps, rating },
    },
    {
      length: { limit: rl.max_new, buffer: reward.len_buffer },
      gainClip: reward.gain_clip,
      norm: 'joint',
      leakPhrases: [],
      top: { places: 3, by: rl.answer === 'constrained' ? 'scored' : 'listed' },
    },
  )
}

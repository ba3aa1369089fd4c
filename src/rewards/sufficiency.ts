/**
 * suff = log q(a | C, z, no history) - log q(a | C, no z, no history), nats, clipped to [-clip, clip]: does the reasoning
 * alone lead to the answer a that the rollout gave? q is the frozen model of Imitation, which is shown the candidates and
 * an empty history. Faithfulness, not correctness: a wrong answer that follows from its reasoning scores as well.
 */

import { clipped } from './likelihood-gain.js'
import type { RewardTerm } from './reward.js'

export function sufficiency(clip = 5): RewardTerm {
  return {
    id: 'suff',
    needs: 'sufficiency',
    core: false,
    rationality: true,
    credit: 'reasoning',
    neutral: 0,
    compute: (group) =>
      group.map(({ blindJointWith, blindJointWithout }) =>
        clipped((blindJointWith ?? Number.NaN) - (blindJointWithout ?? Number.NaN), clip),
      ),
  }
}

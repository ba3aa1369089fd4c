/**
 * gain_prob = max(0, mean_t q(y_t | x, z) - mean_t q(y_t | x)), clipped from above (RLPR): the gain in probabilities instead
 * of nats. It does not reach far below: a reasoning that makes the true item unlikelier has 0, not less.
 */

import { clipped } from './likelihood-gain.js'
import type { RewardTerm } from './reward.js'

export function probabilityGain(clip = 1): RewardTerm {
  return {
    id: 'gain_prob',
    needs: 'gain',
    core: false,
    rationality: true,
    credit: 'reasoning',
    neutral: 0,
    compute: (group) =>
      group.map(({ targetProbWith, targetProbWithout }) =>
        Math.max(0, clipped((targetProbWith ?? Number.NaN) - (targetProbWithout ?? Number.NaN), clip)),
      ),
  }
}

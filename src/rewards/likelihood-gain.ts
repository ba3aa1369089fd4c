/**
 * Rationality by likelihood: how much the reasoning z raises the true next item y.
 *   gain = mean_t log q(y_t | x, z) - mean_t log q(y_t | x)      nats per token, clipped to [-clip, clip]
 * The second part is one constant per instance and cancels in group-relative advantages unless the clip bites
 * (spec 5.3); it is kept because the reports show the gain.
 */

import type { RewardTerm } from './reward.js'

export function likelihoodGain(clip = 1): RewardTerm {
  return {
    id: 'gain',
    needs: 'gain',
    core: false,
    rationality: true,
    credit: 'reasoning',
    neutral: 0,
    compute: (group) =>
      group.map(({ targetMeanWith, targetMeanWithout }) =>
        clipped((targetMeanWith ?? Number.NaN) - (targetMeanWithout ?? Number.NaN), clip),
      ),
  }
}

/** NaN stays NaN. */
export function clipped(value: number, clip: number): number {
  return Math.min(clip, Math.max(-clip, value))
}

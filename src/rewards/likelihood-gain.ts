/**
 * Rationality by likelihood: how much the reasoning z raises the true next item y.
 *   gain = mean_t log q(y_t | x, z) - mean_t log q(y_t | x)      nats per token, clipped to [-clip, clip]
 *   post = q(y | x, z) / sum_c q(c | x, z) - the same without z  clipped alike
 * The second part is one constant per instance and cancels in group-relative advantages unless the clip bites
 * (spec 5.3); it is kept because the reports show the gain.
 */

import type { RewardTerm, Rollout } from './reward.js'

export function likelihoodGain(clip = 1): RewardTerm {
  return {
    id: 'gain',
    needs: 'gain',
    core: false,
    rationality: true,
    neutral: 0,
    compute: (group) =>
      group.map(({ targetMeanWith, targetMeanWithout }) =>
        clipped((targetMeanWith ?? Number.NaN) - (targetMeanWithout ?? Number.NaN), clip),
      ),
  }
}

export function posteriorGain(clip = 1): RewardTerm {
  return {
    id: 'post',
    needs: 'gain',
    core: false,
    rationality: true,
    neutral: 0,
    compute: (group, { instance }) => {
      const target = instance.candidates.indexOf(instance.target)
      return group.map((rollout) => clipped(posteriorDifference(rollout, target), clip))
    },
  }
}

/** exp(joint of the target) over the sum of all, by log-sum-exp; NaN if not scored. */
export function posterior(joint: ArrayLike<number> | null | undefined, target: number): number {
  const own = joint?.[target]
  if (!joint || own === undefined) return Number.NaN
  const all = Array.from(joint)
  const largest = Math.max(...all)
  return Math.exp(own - largest) / all.reduce((sum, value) => sum + Math.exp(value - largest), 0)
}

function posteriorDifference(rollout: Rollout, target: number): number {
  return posterior(rollout.candidateJoint, target) - posterior(rollout.candidateJointWithout, target)
}

/** NaN stays NaN. */
function clipped(value: number, clip: number): number {
  return Math.min(clip, Math.max(-clip, value))
}

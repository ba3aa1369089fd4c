/**
 * post = q(y | x, z) / sum_c q(c | x, z) - the same without z, clipped to [-clip, clip]: the gain of the target's share among
 * the candidates. Calibrated across titles, so of use where they differ much in length.
 */

import { clipped } from './likelihood-gain.js'
import type { RewardTerm } from './reward.js'

export function posteriorGain(clip = 1): RewardTerm {
  return {
    id: 'post',
    needs: 'post',
    core: false,
    rationality: true,
    credit: 'reasoning',
    neutral: 0,
    compute: (group, { instance }) => {
      const target = instance.candidates.indexOf(instance.target)
      return group.map(({ scorerJoint, candidateJoint, candidateJointWithout }) =>
        clipped(
          posterior(scorerJoint ?? candidateJoint, target) - posterior(candidateJointWithout, target),
          clip,
        ),
      )
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

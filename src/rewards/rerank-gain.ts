/**
 * rerank_gain = (rank before - rank after) / |C| (GR2): places the target gains by the reasoning. Before: the candidates
 * as the frozen model ranks them by the direct prompt; after: as the policy does behind the reasoning. Ties share ranks.
 */

import { targetRank } from './ndcg-candidates.js'
import type { RewardTerm } from './reward.js'

export function rerankGain(): RewardTerm {
  return {
    id: 'rerank_gain',
    needs: 'rerank',
    core: false,
    rationality: false,
    credit: 'recommendation',
    neutral: 0,
    compute: (group, { instance: { candidates, target } }) => {
      const place = candidates.indexOf(target)
      return group.map(({ candidateJoint, candidateJointWithout }) => {
        const before = targetRank(candidateJointWithout ?? null, place)
        return (before - targetRank(candidateJoint, place)) / candidates.length
      })
    },
  }
}

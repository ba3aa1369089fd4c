/**
 * Terms of the target's rank r among the |C| candidates, scored after the reasoning:
 *   ndcg_cand = 1 / log2(r + 1)     mrr_cand = 1 / r     lin_cand = 1 - (r - 1) / (|C| - 1)
 * Equal scores share the mean of their ranks, so that a policy cannot gain by making all titles alike.
 */

import type { RewardTerm, RewardTermId, Rollout } from './reward.js'

/** joint: sums of log-probs, proper probabilities; mean: per token, favours long titles. */
export type CandidateNorm = 'joint' | 'mean'

const formulas = {
  ndcg_cand: (rank: number) => 1 / Math.log2(rank + 1),
  mrr_cand: (rank: number) => 1 / rank,
  lin_cand: (rank: number, candidates: number) => (candidates > 1 ? 1 - (rank - 1) / (candidates - 1) : 1),
} as const satisfies Partial<Record<RewardTermId, (rank: number, candidates: number) => number>>

export function candidateRank(id: keyof typeof formulas, norm: CandidateNorm = 'joint'): RewardTerm {
  return {
    id,
    needs: 'candidate_scores',
    core: true,
    rationality: false,
    credit: 'recommendation',
    neutral: 0,
    compute: (group, { instance }) =>
      group.map((rollout) => {
        const rank = targetRank(scores(rollout, norm), instance.candidates.indexOf(instance.target))
        return Number.isNaN(rank) ? Number.NaN : formulas[id](rank, instance.candidates.length)
      }),
  }
}

/** Rank from 1; ties share their mean rank; NaN if a score is missing. */
export function targetRank(scored: ArrayLike<number> | null, target: number): number {
  const own = scored?.[target]
  if (!scored || own === undefined || Number.isNaN(own)) return Number.NaN
  let rank = 1
  for (let k = 0; k < scored.length; k++) {
    const other = scored[k] as number
    if (Number.isNaN(other)) return Number.NaN
    if (k !== target) rank += other > own ? 1 : other === own ? 0.5 : 0
  }
  return rank
}

function scores(rollout: Rollout, norm: CandidateNorm): ArrayLike<number> | null {
  return norm === 'joint' ? rollout.candidateJoint : rollout.candidateMean
}

/**
 * ndcg_top = (1 - hit) / log2(1 + r) if the target stands at place r <= K of the answer, else 0 (R2Rec, K = 3): a group in
 * which nobody hits still tells a near miss from a far one. Two readings of the place:
 *   listed   in the ranking that the answer wrote; what it left out has no place
 *   scored   the chosen candidate first, the others by their scores behind the reasoning: where a trie chose one label.
 *            Equal scores share the mean of their places
 */

import type { RewardTerm, Rollout } from './reward.js'

export type RankedBy = 'listed' | 'scored'

export function ndcgTop(k: number, by: RankedBy): RewardTerm {
  return {
    id: 'ndcg_top',
    needs: by === 'scored' ? 'candidate_scores' : 'text',
    core: false,
    rationality: false,
    credit: 'recommendation',
    neutral: 0,
    compute: (group, { instance }) =>
      group.map((rollout) => {
        if (rollout.parsed.item === null || rollout.parsed.item === instance.target) return 0
        const place = by === 'listed' ? listed(rollout, instance.target) : scored(rollout, instance)
        return place <= k ? 1 / Math.log2(1 + place) : Number.isNaN(place) ? Number.NaN : 0
      }),
  }
}

function listed({ parsed }: Rollout, target: number): number {
  const place = parsed.ranking?.indexOf(target) ?? -1
  return place < 0 ? Number.POSITIVE_INFINITY : place + 1
}

/** NaN where the candidates were not scored. */
function scored(
  { candidateJoint, parsed }: Rollout,
  { candidates, target }: { readonly candidates: readonly number[]; readonly target: number },
): number {
  const own = candidateJoint?.[candidates.indexOf(target)]
  if (!candidateJoint || own === undefined || Number.isNaN(own)) return Number.NaN
  let place = 2
  candidates.forEach((item, index) => {
    if (item === target || item === parsed.item) return
    const other = candidateJoint[index] as number
    place += other > own ? 1 : other === own ? 0.5 : 0
  })
  return place
}

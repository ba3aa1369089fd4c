/**
 * beam = 1 / log2(r + 1) if the target stands at place r of a constrained beam over the whole catalogue behind the
 * reasoning (policy, rl.reward.beam_width titles, the history left out), else 0: NDCG@B. For rewards without a list of
 * candidates; NaN where nothing was searched.
 */

import type { RewardTerm } from './reward.js'

export function beamRank(): RewardTerm {
  return {
    id: 'beam',
    needs: 'beam',
    core: true,
    rationality: false,
    credit: 'recommendation',
    neutral: 0,
    compute: (group, { instance }) =>
      group.map(({ beam }) => {
        if (!beam) return Number.NaN
        const place = beam.indexOf(instance.target)
        return place < 0 ? 0 : 1 / Math.log2(place + 2)
      }),
  }
}

/**
 * ppl = -exp(-mean_t log q(y_t | x, z)) (LatentR3): minus the perplexity of the true title behind the reasoning. -1 is
 * certainty; it falls without bound, so a bad reasoning of one rollout can outweigh the rest of its group.
 */

import type { RewardTerm } from './reward.js'

export function perplexity(): RewardTerm {
  return {
    id: 'ppl',
    needs: 'likelihood',
    core: false,
    rationality: true,
    credit: 'reasoning',
    neutral: 0,
    compute: (group) => group.map(({ targetMeanWith }) => -Math.exp(-(targetMeanWith ?? Number.NaN))),
  }
}

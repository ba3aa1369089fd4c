/**
 * ndcg_list = 1 / log2(r + 1) if the target stands at place r of the list that the answer wrote, 0 if it is not there.
 * An answer that names one item is a list of one.
 */

import type { RewardTerm } from './reward.js'

export function listedRank(): RewardTerm {
  return {
    id: 'ndcg_list',
    needs: 'text',
    core: true,
    rationality: false,
    credit: 'recommendation',
    neutral: 0,
    compute: (group, { instance }) =>
      group.map(({ parsed: { item, ranking } }) => {
        const place = (ranking ?? [item]).indexOf(instance.target)
        return place < 0 ? 0 : 1 / Math.log2(place + 2)
      }),
  }
}

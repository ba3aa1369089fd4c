/** rating = 1 - |given - true| / 4 for an answer that is a rating from 1 to 5; 0 for other answers, NaN where the true one is unknown. */

import type { RewardTerm } from './reward.js'

const widest = 4

export function rating(): RewardTerm {
  return {
    id: 'rating',
    needs: 'text',
    core: false,
    rationality: false,
    credit: 'recommendation',
    neutral: 0,
    compute: (group) =>
      group.map(({ parsed: { ratingError } }) => {
        if (ratingError === undefined) return 0
        return ratingError === null ? Number.NaN : 1 - ratingError / widest
      }),
  }
}

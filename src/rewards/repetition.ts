/** rep = -(1 - distinct 4-grams / all 4-grams) of the reasoning's words; NaN without a reasoning. */

import { words } from '../data/title.js'
import type { RewardTerm } from './reward.js'
import { repeatedShare } from './text-statistics.js'

export function repetition(): RewardTerm {
  return {
    id: 'rep',
    needs: 'text',
    core: false,
    rationality: false,
    credit: 'reasoning',
    neutral: 0,
    compute: (group) =>
      group.map(({ parsed }) =>
        parsed.reasoning === null ? Number.NaN : 0 - repeatedShare(words(parsed.reasoning)),
      ),
  }
}

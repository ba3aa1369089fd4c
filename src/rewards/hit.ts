/** hit = 1 if the answer is the target (equal normalised title), else 0. */

import type { RewardTerm } from './reward.js'

export function hit(): RewardTerm {
  return {
    id: 'hit',
    needs: 'text',
    core: true,
    rationality: false,
    credit: 'recommendation',
    neutral: 0,
    compute: (group, { instance }) => group.map(({ parsed }) => (parsed.item === instance.target ? 1 : 0)),
  }
}

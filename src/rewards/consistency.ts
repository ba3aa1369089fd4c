/** consist = 1 if the last title named in the reasoning is the answer, or none is named, else 0. */

import { type RewardTerm, rolloutCitations } from './reward.js'

export function consistency(): RewardTerm {
  return {
    id: 'consist',
    needs: 'text',
    core: false,
    rationality: true,
    credit: 'reasoning',
    neutral: 1,
    compute: (group, context) =>
      group.map((rollout) => {
        const cites = rolloutCitations(rollout, context)
        if (cites === null) return Number.NaN
        return cites.last === null || cites.last === rollout.parsed.item ? 1 : 0
      }),
  }
}

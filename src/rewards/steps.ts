/** steps = 1 if the reasoning has the steps that were asked for, in order (R2Rec's fmt beyond a readable answer), else 0. */

import type { RewardTerm } from './reward.js'

export function steps(): RewardTerm {
  return {
    id: 'steps',
    needs: 'text',
    core: false,
    rationality: false,
    credit: 'reasoning',
    neutral: 0,
    compute: (group) => group.map(({ parsed }) => (parsed.steps === true ? 1 : 0)),
  }
}

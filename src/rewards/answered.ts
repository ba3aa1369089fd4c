/**
 * answered = 1 if the model closed its reasoning and its answer can be read (labels of the question, or a rating), else 0.
 * R2Rec's gate: what cannot be read earns nothing, so it never earns more than a miss that can.
 */

import { isAnswered, type RewardTerm } from './reward.js'

export function answered(): RewardTerm {
  return {
    id: 'answered',
    needs: 'text',
    core: false,
    rationality: false,
    neutral: 0,
    compute: (group) =>
      group.map(({ parsed, finish }) =>
        finish === 'complete' && parsed.reasoning !== null && isAnswered(parsed) ? 1 : 0,
      ),
  }
}

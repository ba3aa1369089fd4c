/**
 * answered = 1 if the model closed its reasoning and its answer can be read (labels of the question, or a rating), else 0.
 * R2Rec's gate: what cannot be read earns nothing, so it never earns more than a miss that can. With a floor
 * (rl.reward.floor: on) the reasoning must also be prose, as in form.ts.
 */

import { type FormFloor, hasProse } from './form.js'
import { isAnswered, type RewardTerm } from './reward.js'

export function answered(floor: FormFloor | null = null): RewardTerm {
  return {
    id: 'answered',
    needs: 'text',
    core: false,
    rationality: false,
    credit: 'recommendation',
    neutral: 0,
    compute: (group, context) =>
      group.map((rollout) => {
        const { parsed, finish } = rollout
        const read = finish === 'complete' && parsed.reasoning !== null && isAnswered(parsed)
        return read && (floor === null || hasProse(rollout, context, floor)) ? 1 : 0
      }),
  }
}

/**
 * latro = sum_t log pi(y_t | x, z) (LaTRO), nats: the policy's own log-prob of the true title behind the reasoning; long
 * titles weigh more. LaTRO trains the title by a supervised term beside it: rl.allfail add_gt with rl.sampling.teach all.
 */

import type { RewardTerm } from './reward.js'

export function latro(): RewardTerm {
  return {
    id: 'latro',
    needs: 'target',
    core: false,
    rationality: true,
    credit: 'reasoning',
    neutral: 0,
    compute: (group) => group.map(({ targetJoint }) => targetJoint ?? Number.NaN),
  }
}

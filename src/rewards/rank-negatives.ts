/**
 * rankneg (ReRe, MiniOneRec): what separates the misses of a group in which somebody hits. Its n rollouts stand in order,
 * the answer that the policy finds likeliest behind its own reasoning first (equal ones in the order they were sampled):
 *   a miss at place j (from 0)  -u_j / sum u,  u_j = 1 / log2(j + 2)      a hit  0
 * A group without a hit has 0 throughout. A confident miss loses most. Added to `hit`. NaN where the answer has no score.
 */

import type { RewardContext, RewardTerm, Rollout } from './reward.js'

export function rankNegatives(): RewardTerm {
  return {
    id: 'rankneg',
    needs: 'candidate_scores',
    core: false,
    rationality: false,
    credit: 'recommendation',
    neutral: 0,
    compute: (group, context) => {
      const likelihoods = group.map((rollout) => answerLikelihood(rollout, context))
      const order = group
        .map((_, row) => row)
        .filter((row) => !Number.isNaN(likelihoods[row]))
        .sort((a, b) => likelihoods[b]! - likelihoods[a]! || a - b)
      const hit = (row: number): boolean => group[row]?.parsed.item === context.instance.target
      const values = new Array<number>(group.length).fill(Number.NaN)
      const someHit = order.some(hit)
      const discounts = order.map((_, place) => 1 / Math.log2(place + 2))
      const total = discounts.reduce((sum, discount) => sum + discount, 0)
      order.forEach((row, place) => {
        values[row] = hit(row) || !someHit ? 0 : -discounts[place]! / total
      })
      return values
    },
  }
}

function answerLikelihood({ candidateJoint, parsed }: Rollout, { instance }: RewardContext): number {
  if (!candidateJoint || parsed.item === null) return Number.NaN
  return candidateJoint[instance.candidates.indexOf(parsed.item)] ?? Number.NaN
}

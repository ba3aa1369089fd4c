/**
 * What every sampled token is credited with: the advantage of its rollout (spec 5.5, native/rl/advantage.h), or one of
 * its own:
 *   decoupled credit (spec 5.4)   A_rec + A_rat on the tokens of the reasoning, A_rec on those of the answer, where A_rat is
 *                                 the advantage of the rationality terms and A_rec that of all others
 *   rf++                          discounted returns, less beta * k1 of every token
 * With other estimators a divergence in the reward is taken from the rollout's reward as a sum.
 */

import { advantages, tokenAdvantages } from '../../engine/index.js'
import type { RewardMatrix } from '../../rewards/composition.js'
import { isRight } from '../../rewards/reward.js'
import type { Response } from '../prediction/responses.js'
import type { PhaseContext } from '../run/context.js'
import type { RolloutGroup } from './rollouts.js'

/** Of a rollout: one advantage for every token, or one per token. */
export type Credit = number | Float32Array

/** credit[group][rollout]; `penalties`: beta * k1 of every token, where the divergence is in the reward. */
export function rolloutCredit(
  context: PhaseContext,
  groups: readonly RolloutGroup[],
  penalties: readonly (readonly Float32Array[])[] | null = null,
): Credit[][] {
  const { adv, discount } = context.config.rl
  const matrices = groups.flatMap(({ rewards: { matrix } }) => (matrix ? [matrix] : []))
  const [first] = matrices
  if (!first || matrices.length < groups.length) {
    const rewards = concatenated(groups.map(({ rewards: own }) => own.rewards))
    if (adv === 'rf++' && (penalties || discount < 1)) return returns(context, groups, rewards, penalties)
    const taken = penalties?.flat().map((tokens) => tokens.reduce((sum, penalty) => sum + penalty, 0))
    const earned = taken ? rewards.map((reward, row) => reward - (taken[row] ?? 0)) : rewards
    return perGroup(groups, estimated(context, groups, earned, Float64Array.of(1)))
  }
  const values = concatenated(matrices.map((matrix) => matrix.values))
  if (first.use === 'gdpo') {
    const { adv_epsilon: epsilon } = context.config.rl
    const { valid } = rowsOf(groups)
    const options = { termWeights: first.weights, valid, epsilon }
    return perGroup(groups, advantages('gdpo', values, sizesOf(groups), options))
  }
  const recommendation = estimated(context, groups, values, weightsOf(first, 0))
  const rationality = estimated(context, groups, values, weightsOf(first, 1))
  const answers = perGroup(groups, recommendation)
  const reasonings = perGroup(groups, rationality)
  return groups.map(({ asked }, index) =>
    asked.responses.map((response, place) => {
      const answer = answers[index]?.[place] ?? 0
      const begin = answerBegin(context, response)
      const reasoning = answer + (reasonings[index]?.[place] ?? 0)
      return Float32Array.from(response.sample.tokens, (_, t) => (t < begin ? reasoning : answer))
    }),
  )
}

/** Tokens of a response that the model itself chose. */
export function chosenTokens({ sample }: Response): number {
  return sample.kinds.reduce((count, kind) => count + (kind === 1 ? 0 : 1), 0)
}

/** rf++ per token: given tokens stand between the chosen ones and are credited with nothing. */
function returns(
  context: PhaseContext,
  groups: readonly RolloutGroup[],
  rewards: Float64Array,
  penalties: readonly (readonly Float32Array[])[] | null,
): Float32Array[][] {
  const chosen = groups.map(({ asked }) =>
    asked.responses.map(({ sample }) => Array.from(sample.kinds, (kind) => kind !== 1)),
  )
  const taken = penalties?.flatMap((group, g) =>
    group.flatMap((tokens, place) => Array.from(tokens).filter((_, t) => chosen[g]?.[place]?.[t])),
  )
  const flat = tokenAdvantages(rewards, sizesOf(groups), {
    ...rowsOf(groups),
    discount: context.config.rl.discount,
    ...(taken && { penalties: Float64Array.from(taken) }),
  })
  let next = 0
  return chosen.map((group) =>
    group.map((tokens) => Float32Array.from(tokens, (own) => (own ? (flat[next++] ?? 0) : 0))),
  )
}

function estimated(
  context: PhaseContext,
  groups: readonly RolloutGroup[],
  rewards: Float64Array,
  termWeights: Float64Array,
): Float64Array {
  const { adv, adv_epsilon: epsilon, pass_k: passK, pass_std: passStd } = context.config.rl
  const options = { ...rowsOf(groups), termWeights, epsilon, passK, passStd }
  return advantages(adv, rewards, sizesOf(groups), options)
}

function rowsOf(groups: readonly RolloutGroup[]) {
  return {
    valid: Uint8Array.from(groups.flatMap(({ rewards: { valid } }) => Array.from(valid))),
    lengths: Int32Array.from(groups.flatMap(({ asked }) => asked.responses.map(chosenTokens))),
    hits: Uint8Array.from(
      groups.flatMap(({ rollouts, instance }) =>
        rollouts.map(({ parsed }) => (isRight(parsed, instance) ? 1 : 0)),
      ),
    ),
    baselines: Float64Array.from(groups.flatMap(({ greedyReward }) => greedyReward ?? [])),
  }
}

function weightsOf({ weights, rationality }: RewardMatrix, kind: 0 | 1): Float64Array {
  return weights.map((weight, term) => (rationality[term] === kind ? weight : 0))
}

/** First token of the answer: where the reasoning has closed. */
function answerBegin(context: PhaseContext, { sample, choiceBegin }: Response): number {
  if (choiceBegin >= 0) return choiceBegin
  const close = context.method.form.thinkClose.trim()
  const closedWithin = (count: number): boolean =>
    context.tokenizer.decode(sample.tokens.subarray(0, count)).includes(close)
  let [open, closed] = [0, sample.tokens.length]
  if (!closedWithin(closed)) return closed
  while (closed - open > 1) {
    const middle = (open + closed) >> 1
    if (closedWithin(middle)) closed = middle
    else open = middle
  }
  return closed
}

function sizesOf(groups: readonly RolloutGroup[]): Int32Array {
  return Int32Array.from(groups, ({ rollouts }) => rollouts.length)
}

function perGroup(groups: readonly RolloutGroup[], rows: Float64Array): number[][] {
  let next = 0
  return groups.map(({ rollouts }) => rollouts.map(() => rows[next++] ?? 0))
}

function concatenated(parts: readonly Float64Array[]): Float64Array {
  return Float64Array.from(parts.flatMap((part) => Array.from(part)))
}

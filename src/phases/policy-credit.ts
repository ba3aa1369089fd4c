/**
 * What every sampled token is credited with: the advantage of its rollout (spec 5.5, native/rl/advantage.h), or, with
 * decoupled credit (spec 5.4), A_rec + A_rat on the tokens of the reasoning and A_rec on those of the answer, where
 * A_rat is the advantage of the rationality terms and A_rec that of all others.
 */

import { advantages } from '../engine/index.js'
import type { RewardMatrix } from '../rewards/composition.js'
import { isRight } from '../rewards/reward.js'
import type { PhaseContext } from './context.js'
import type { Response } from './responses.js'
import type { RolloutGroup } from './rollouts.js'

/** Of a rollout: one advantage for every token, or one per token. */
export type Credit = number | Float32Array

/** credit[group][rollout]. */
export function rolloutCredit(context: PhaseContext, groups: readonly RolloutGroup[]): Credit[][] {
  const matrices = groups.flatMap(({ rewards: { matrix } }) => (matrix ? [matrix] : []))
  const [first] = matrices
  if (!first || matrices.length < groups.length) {
    const rewards = concatenated(groups.map(({ rewards: own }) => own.rewards))
    return perGroup(groups, estimated(context, groups, rewards, Float64Array.of(1)))
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

function estimated(
  context: PhaseContext,
  groups: readonly RolloutGroup[],
  rewards: Float64Array,
  termWeights: Float64Array,
): Float64Array {
  const { adv, adv_epsilon: epsilon } = context.config.rl
  return advantages(adv, rewards, sizesOf(groups), { ...rowsOf(groups), termWeights, epsilon })
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

/** Which prompts a step of Internalization rolls out, and the rounds that replace groups without a signal. */

import type { Instance } from '../../data/types.js'
import type { PhaseContext } from '../run/context.js'
import { EpochOrders, promptsOfStep, shownInstance } from '../run/instances.js'
import { hashUnit } from '../run/streams.js'
import { teaches } from './policy-batch.js'
import { type RolloutGroup, type RolloutPlace, type RolloutSetting, rollOut } from './rollouts.js'

/**
 * Prompts as a pure function of (seed, purpose, step), with negatives of their own in every epoch; with weights, drawn by
 * hash in proportion to them, each time with other negatives.
 */
export class PromptSource {
  private readonly orders = new Map<string, EpochOrders>()

  constructor(
    private readonly context: PhaseContext,
    private readonly instances: readonly Instance[],
    private readonly weights: readonly number[] | null = null,
  ) {}

  of(step: number, purpose: string, count: number): Instance[] {
    const { dataset, config, method } = this.context
    if (this.weights) return this.drawn(this.weights, step, purpose, count)
    const orders = this.orders.get(purpose) ?? new EpochOrders(this.instances, config.seed, purpose)
    this.orders.set(purpose, orders)
    return promptsOfStep(this.instances, orders, step, count).map(({ instance, epoch }) =>
      method.question(dataset, shownInstance(dataset, instance, epoch), 'practice'),
    )
  }

  private drawn(weights: readonly number[], step: number, purpose: string, count: number): Instance[] {
    const { dataset, config, method } = this.context
    const total = weights.reduce((sum, weight) => sum + weight, 0)
    return Array.from({ length: count }, (_, index) => {
      let left = hashUnit(config.seed, purpose, step, index) * total
      const place = weights.findIndex((weight) => {
        left -= weight
        return left < 0
      })
      // Rounding may leave a trace behind the last one.
      const instance = this.instances.at(place) as Instance
      return method.question(dataset, shownInstance(dataset, instance, step), 'practice')
    })
  }
}

export async function rolledOut(
  context: PhaseContext,
  setting: RolloutSetting & { readonly prompts: PromptSource },
  step: number,
): Promise<RolloutGroup[]> {
  const { rl } = context.config
  const groups = await withGreedyRewards(context, setting, setting.prompts.of(step, 'prompts', rl.prompts), {
    purpose: 'rollout',
    step,
    firstPrompt: 0,
  })
  for (let round = 0; round < rl.refill_rounds; round++) {
    const missing = rl.prompts - groups.filter((group) => teaches(context, group)).length
    if (missing <= 0) break
    const further = setting.prompts.of(step, `refill ${round}`, rl.prompts).slice(0, missing)
    groups.push(
      ...(await withGreedyRewards(context, setting, further, {
        purpose: 'rollout_refill',
        step,
        firstPrompt: round * rl.prompts,
      })),
    )
  }
  return groups
}

/** Rollouts, and beside each group the reward of one greedy rollout where rl.adv asks for it. */
async function withGreedyRewards(
  context: PhaseContext,
  setting: RolloutSetting,
  instances: readonly Instance[],
  place: RolloutPlace,
): Promise<RolloutGroup[]> {
  const groups = await rollOut(context, setting, instances, place)
  if (context.config.rl.adv !== 'remax') return groups
  const greedy = await rollOut(context, setting, instances, { ...place, greedy: true })
  return groups.map((group, index) => ({ ...group, greedyReward: greedy[index]?.rewards.rewards[0] ?? 0 }))
}

/**
 * Pattern Internalization (spec section 5): roll out, reward, advantage, step.
 *   for each step: P prompts, G rollouts each; rewards; group-relative advantages; clipped policy loss with
 *   KL to the model as it left Imitation; AdamW.
 * A step is a pure function of (seed, step) and of the adapter before it.
 */

import type { ComposedReward } from '../../rewards/composition.js'
import { isRight } from '../../rewards/reward.js'
import { titlesOf } from '../prediction/responses.js'
import { validate } from '../prediction/validate.js'
import type { PhaseContext } from '../run/context.js'
import { constantRate } from '../training/learning-rate.js'
import { internalizeMetrics } from './internalize-metrics.js'
import { policyBatches, preferenceBatches, teaches, withoutHit } from './policy-batch.js'
import { chosenTokens } from './policy-credit.js'
import { isSteered, type PolicyWeights, startingWeights, steeredWeights } from './policy-loss.js'
import { tokenDivergence } from './policy-penalty.js'
import { type PolicySetting, preparePolicy, publishPolicy } from './policy-setup.js'
import { updatePolicy } from './policy-update.js'
import { rewardInUse } from './reward-judge.js'
import { rolledOut } from './rollout-rounds.js'
import type { RolloutGroup } from './rollouts.js'
import { watchPrompts } from './watched-prompts.js'

export async function internalize(context: PhaseContext, reward: ComposedReward): Promise<void> {
  const { config, run, progress } = context
  if (run.isDone('internalize')) return
  const inUse = await rewardInUse(context, reward)
  try {
    const setting = await preparePolicy(context, inUse.reward)
    const { training } = setting
    progress.start('internalize', config.rl.steps, 'steps')
    progress.advance(training.step, 0)
    await training.guarded(async () => {
      if (training.step === 0) await watchPrompts(context, setting.policy, 0)
      while (training.step < config.rl.steps) await internalizeStep(context, setting)
      await publishPolicy(context, training)
    })
  } finally {
    await inUse.close()
  }
  progress.end()
  run.finish('internalize')
}

async function internalizeStep(context: PhaseContext, setting: PolicySetting): Promise<void> {
  const { rl } = context.config
  const { training } = setting
  context.signal.throwIfAborted()
  const began = performance.now()
  const step = training.step

  // Roll out and reward.
  const groups = await rolledOut(context, setting, step)

  // Advantage: groups whose rewards are all alike teach nothing.
  const kept = rl.dynamic_sampling ? groups.filter((group) => teaches(context, group)) : groups
  const weights = training.weights ?? startingWeights(rl)
  const taken = await takenDivergence(context, setting, kept, weights)
  const batches =
    rl.arm === 'policy'
      ? policyBatches(context, kept, rl.allfail === 'none' ? [] : helped(context, groups), { step, ...taken })
      : preferenceBatches(context, kept)

  // Step.
  const learningRate = constantRate(rl.lr, step, rl.warmup)
  const sums = await updatePolicy(context, setting, batches, { learningRate, weights })

  const seconds = (performance.now() - began) / 1000
  const { divergence } = taken
  const at = { step, learningRate, seconds, weights, divergence }
  const metrics = internalizeMetrics(context, groups, sums, at)
  if (isSteered(rl))
    training.weights = steeredWeights(rl, weights, { ...metrics, rollouts: rl.group * kept.length })
  context.run.metrics(metrics)
  showSample(context, groups, step)
  await validateStep(context, setting, step + 1)
  await watchPrompts(context, setting.policy, step + 1)
  const prompts = groups.map(({ instance }) => instance.id)
  await training.stepDone(rl.steps, sums.skipped, prompts)
  context.progress.advance(1, metrics.tokens)
}

/** The divergence as part of the reward: every token's share, and its mean over all of them. */
async function takenDivergence(
  context: PhaseContext,
  setting: PolicySetting,
  kept: readonly RolloutGroup[],
  { beta }: PolicyWeights,
): Promise<{ readonly penalties: Float32Array[][] | null; readonly divergence: number | null }> {
  if (context.config.rl.kl.where === 'loss' || kept.length === 0) return { penalties: null, divergence: null }
  const k1 = await tokenDivergence(context, setting, kept)
  const tokens = kept.flatMap(({ asked }) => asked.responses.map(chosenTokens)).reduce((sum, n) => sum + n, 0)
  const total = k1.flat().reduce((sum, own) => sum + own.reduce((part, x) => part + x, 0), 0)
  return {
    penalties: k1.map((group) => group.map((own) => own.map((x) => beta * x))),
    divergence: total / Math.max(1, tokens),
  }
}

/** Groups that rl.allfail helps. */
function helped({ config: { rl } }: PhaseContext, groups: readonly RolloutGroup[]): readonly RolloutGroup[] {
  return rl.allfail === 'add_gt' && rl.sampling.teach === 'all' ? groups : withoutHit(groups)
}

async function validateStep(context: PhaseContext, { policy }: PolicySetting, step: number): Promise<void> {
  const { valid_every, valid_instances: instances } = context.config.rl
  if (valid_every === 0 || step % valid_every !== 0) return
  await validate(context, policy, { name: `internalize@${step}`, after: 'internalize', step, instances })
}

function showSample(context: PhaseContext, groups: readonly RolloutGroup[], step: number): void {
  const { report, rl } = context.config
  const group = groups[0]
  if (!group || report.samples === 0 || step % Math.max(1, Math.ceil(rl.steps / report.samples)) !== 0) return
  const rollout = group.rollouts[0]!
  context.show({
    phase: 'internalize',
    model: 'internalized',
    step: step + 1,
    instance: group.instance.id,
    history: titlesOf(context, group.instance.history),
    candidates: titlesOf(context, group.instance.candidates),
    target: titlesOf(context, [group.instance.target])[0] ?? '',
    reasoning: rollout.parsed.reasoning ?? rollout.text,
    answer: rollout.parsed.answer ?? '',
    hit: isRight(rollout.parsed, group.instance),
    reward: group.rewards.rewards[0] ?? 0,
  })
}

/**
 * Pattern Internalization (spec section 5): roll out, reward, advantage, step.
 *   for each step: P prompts, G rollouts each; rewards; group-relative advantages; clipped policy loss with
 *   KL to the model as it left Imitation; AdamW. Sampled log-probs serve as the old ones, so before the
 *   first update of a step the ratio is 1, which is checked.
 */

import { Adapter, ReasonrecError } from '../engine/index.js'
import type { ComposedReward } from '../rewards/composition.js'
import type { PhaseContext } from './context.js'
import { EpochOrders, promptsOfStep, shownInstance, trainingParts } from './instances.js'
import { emptySums, internalizeMetrics, type StepSums, withSums } from './internalize-metrics.js'
import { constantRate } from './learning-rate.js'
import { policyBatches, teaches } from './policy-batch.js'
import { type RolloutGroup, type RolloutSetting, rollOut } from './rollouts.js'
import { titlesOf } from './responses.js'
import { adapterFolder, imitatedStage } from './stage-models.js'
import { derivedSeed } from './streams.js'
import { publishFolder, Training } from './training.js'
import { validate } from './validate.js'

/** Sampled and trained log-probs come from one engine and may differ by rounding only. */
const largestMismatch = 1e-3

interface Setting extends RolloutSetting {
  readonly training: Training
  readonly prompts: PromptSource
}

export async function internalize(context: PhaseContext, reward: ComposedReward): Promise<void> {
  const { config, run, progress } = context
  if (run.isDone('internalize')) return
  const setting = await prepare(context, reward)
  const { training } = setting
  progress.start('internalize', config.rl.steps, 'steps')
  progress.advance(training.step, 0)
  await training.guarded(async () => {
    while (training.step < config.rl.steps) await internalizeStep(context, setting)
    await publish(context, training)
  })
  progress.end()
  run.finish('internalize')
}

async function internalizeStep(context: PhaseContext, setting: Setting): Promise<void> {
  const { config, run, progress, signal } = context
  const { rl } = config
  const { training } = setting
  signal.throwIfAborted()
  const began = performance.now()
  const step = training.step

  // Roll out and reward.
  const groups = await rolledOut(context, setting, step)

  // Advantage.
  const kept = rl.dynamic_sampling ? groups.filter((group) => teaches(context, group)) : groups
  const failed = rl.allfail === 'add_gt' ? groups.filter(({ rollouts, instance }) => !rollouts.some(({ parsed }) => parsed.item === instance.target)) : []
  const batches = policyBatches(context, kept, failed)

  // Step.
  const learningRate = constantRate(rl.lr, step, rl.warmup)
  const sums = await update(context, setting, batches, learningRate)
  run.metrics(internalizeMetrics(context, groups, sums, { step, learningRate, seconds: (performance.now() - began) / 1000 }))
  showSample(context, groups, step)
  if (rl.valid_every > 0 && (step + 1) % rl.valid_every === 0) {
    await validate(context, setting.policy, { name: `internalize@${step + 1}`, after: 'internalize', step: step + 1, instances: rl.valid_instances })
  }
  await training.stepDone(rl.steps, sums.skipped, groups.map(({ instance }) => instance.id))
  progress.advance(1, sums.rows + groups.reduce((sum, { rollouts }) => sum + rollouts.reduce((own, { tokens }) => own + tokens, 0), 0))
}

async function prepare(context: PhaseContext, reward: ComposedReward): Promise<Setting> {
  const { config } = context
  const { rl, sft } = config
  const imitated = await imitatedStage(context)
  const stacked = rl.adapter === 'stack' || imitated.adapter === null
  const reference = imitated.adapter ? { frozen: imitated.adapter } : {}
  const fresh = (): Promise<Adapter> =>
    stacked || !imitated.adapter
      ? Adapter.create(imitated.model, { rank: rl.rank, alpha: rl.alpha, targets: sft.targets }, derivedSeed(config.seed, 'policy adapter'))
      : imitated.adapter.clone()
  const frozen = stacked ? imitated.adapter : null
  const training = await Training.start(context, { phase: 'internalize', model: imitated.model, frozen, fresh, saveEvery: rl.save_every })
  const { internalization } = trainingParts(context.dataset, config)
  const adapters = { frozen, trained: training.adapter }
  return { training, reward, reference, policy: { model: imitated.model, adapters }, prompts: new PromptSource(context, internalization) }
}

/** The prompts of a step, and of the rounds that replace groups without a signal. */
class PromptSource {
  private readonly orders = new Map<string, EpochOrders>()

  constructor(
    private readonly context: PhaseContext,
    private readonly instances: ReturnType<typeof trainingParts>['internalization'],
  ) {}

  of(step: number, purpose: string, count: number) {
    const { dataset, config } = this.context
    const orders = this.orders.get(purpose) ?? new EpochOrders(this.instances, config.seed, purpose)
    this.orders.set(purpose, orders)
    return promptsOfStep(this.instances, orders, step, count).map(({ instance, epoch }) => shownInstance(dataset, instance, epoch))
  }
}

async function rolledOut(context: PhaseContext, setting: Setting, step: number): Promise<RolloutGroup[]> {
  const { rl } = context.config
  const groups = await rollOut(context, setting, setting.prompts.of(step, 'prompts', rl.prompts), { purpose: 'rollout', step, firstPrompt: 0 })
  for (let round = 0; round < rl.refill_rounds; round++) {
    const missing = rl.prompts - groups.filter((group) => teaches(context, group)).length
    if (missing <= 0) break
    const further = setting.prompts.of(step, `refill ${round}`, rl.prompts).slice(0, missing)
    groups.push(...(await rollOut(context, setting, further, { purpose: 'rollout_refill', step, firstPrompt: round * rl.prompts })))
  }
  return groups
}

async function update(
  context: PhaseContext,
  { training, reference }: Setting,
  batches: ReturnType<typeof policyBatches>,
  learningRate: number,
): Promise<StepSums> {
  const { rl } = context.config
  let sums = emptySums()
  for (let inner = 0; inner < rl.inner; inner++) {
    for (const [index, batch] of batches.entries()) {
      const options = { temperature: rl.temperature, reference, signal: context.signal }
      const result = await training.trainer.accumulatePolicy(batch.groups, policyLoss(context), batch.weights, options)
      if (inner === 0 && index === 0) checkMismatch(result.sums.maxAbsLogRatio, batch.instances)
      const settings = { learningRate, weightDecay: rl.weight_decay, clipNorm: rl.clip_norm }
      const done = await training.update(result.sums.loss + result.sftLoss, settings)
      sums = withSums(sums, result, done, inner === 0 && index === 0)
    }
  }
  return sums
}

function policyLoss(context: PhaseContext) {
  const { rl } = context.config
  return {
    loss: rl.loss,
    clipLow: rl.eps[0],
    clipHigh: rl.eps[1],
    dualClip: rl.dual_c,
    aggregation: rl.agg,
    maxLength: rl.max_new,
    kl: rl.kl.kind,
    beta: rl.kl.beta,
    entropyBonus: rl.entropy,
  } as const
}

function checkMismatch(mismatch: number, instances: readonly string[]): void {
  if (mismatch < largestMismatch) return
  throw new ReasonrecError('RR_NUMERIC_MISMATCH', 'sampled and trained log-probs differ before the update', {
    expected: `at most ${largestMismatch}`,
    got: `${mismatch} among ${instances.slice(0, 4).join(' ')}`,
    remedy: 'please report this with the run folder',
  })
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
    hit: rollout.parsed.item === group.instance.target,
    reward: group.rewards.rewards[0] ?? 0,
  })
}

/** adapter/ in PEFT's format; stacked adapters become one. */
async function publish(context: PhaseContext, training: Training): Promise<void> {
  const { run, config } = context
  const { model, adapter: sft } = await imitatedStage(context)
  const trained = training.adapter as Adapter
  const whole = config.rl.adapter === 'stack' && sft ? await Adapter.concatenate(model, sft, trained) : trained
  await publishFolder(run.file(adapterFolder), (folder) => whole.save(folder, { baseModel: model.dir ?? '' }))
}

/** Where a run ends with Imitation (rl.steps 0), its adapter is the result. */
export async function publishImitated(context: PhaseContext): Promise<void> {
  const { adapter, model } = await imitatedStage(context)
  if (adapter) await publishFolder(context.run.file(adapterFolder), (folder) => adapter.save(folder, { baseModel: model.dir ?? '' }))
}

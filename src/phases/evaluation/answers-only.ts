/**
 * The control that tells what reasoning adds: the same adapter trained on answers alone, by the direct prompt, with the
 * budget of the run it stands beside.
 *   answers_only_sft  as many updates of as many examples as Imitation had, on the true titles of the instances
 *                     that Collection asked (all of them, not only those with a kept trace)
 *   answers_only_rl   from there, as many policy steps as Internalization: P prompts, G titles each chosen among
 *                     the candidates, reward 1 for the true one; the true title taught where rl.allfail says so.
 *                     Estimator and loss are the run's (rl.adv, rl.loss), with the divergence in the loss; rl.arm and
 *                     rl.allfail simpo have no counterpart here
 * Both are trained within the evaluation of a run and kept as adapters in its folder. A sitting that is
 * interrupted here trains the control again.
 */

import { existsSync } from 'node:fs'
import type { Instance } from '../../data/types.js'
import {
  Adapter,
  advantages,
  aggregationWeights,
  createTrie,
  type DecodeGroup,
  generate,
  type PolicyGroup,
  type Sample,
  Trainer,
} from '../../engine/index.js'
import { BatchPlan, directExample, imitationPlan } from '../imitation/examples.js'
import { taughtChoice } from '../internalization/policy-batch.js'
import { policyLoss } from '../internalization/policy-loss.js'
import { type SampledCompletion, withTreatment } from '../internalization/policy-selection.js'
import { PromptSource } from '../internalization/rollout-rounds.js'
import { decodeOptions, onTraining, type PhaseContext, type StageModel } from '../run/context.js'
import { askedInstances, trainingParts } from '../run/instances.js'
import { derivedSeed, streamId } from '../run/streams.js'
import { constantRate, cosineRate } from '../training/learning-rate.js'
import { publishFolder } from '../training/training.js'

export const answersOnlyFolders = { sft: 'answers-only-sft', rl: 'answers-only-rl' } as const

export interface AnswersOnly {
  readonly sft: StageModel
  /** Null where the run has no Internalization. */
  readonly rl: StageModel | null
}

/** Trains what is not there yet. */
export async function answersOnly(given: PhaseContext): Promise<AnswersOnly> {
  const context = onTraining(given)
  const { run, base, config } = context
  const [sftFolder, rlFolder] = [run.file(answersOnlyFolders.sft), run.file(answersOnlyFolders.rl)]
  const publish = (folder: string, adapter: Adapter): Promise<void> =>
    publishFolder(folder, (temporary) => adapter.save(temporary, { baseModel: base.dir ?? '' }))
  if (!existsSync(rlFolder)) context.progress.note('training the control that answers without reasoning')
  if (!existsSync(sftFolder)) await publish(sftFolder, await imitateAnswers(context))
  const sft = await Adapter.load(base, sftFolder)
  if (config.rl.steps > 0 && !existsSync(rlFolder))
    await publish(rlFolder, await internalizeAnswers(context, sft))
  const rl = config.rl.steps > 0 ? await Adapter.load(base, rlFolder) : null
  return { sft: stage(context, sft), rl: rl && stage(context, rl) }
}

function stage({ base }: PhaseContext, adapter: Adapter): StageModel {
  return { model: base, adapters: { trained: adapter } }
}

async function imitateAnswers(context: PhaseContext): Promise<Adapter> {
  const { config, base, signal } = context
  const { sft, seed } = config
  const { rank, alpha, rslora, targets } = sft
  const adapter = await Adapter.create(
    base,
    { rank, alpha, rslora, targets },
    derivedSeed(seed, 'imitation adapter'),
  )
  const trainer = await Trainer.forAdapter(base, { tokenBudget: config.model.token_budget, adapter })
  const examples = askedInstances(context).map((instance) => directExample(context, instance, 1))
  const { steps } = imitationPlan(context).plan
  const plan = new BatchPlan(
    examples,
    seed,
    sft.batch,
    Math.ceil(steps / Math.ceil(examples.length / sft.batch)),
  )
  for (let step = 0; step < steps; step++) {
    const batch = plan.at(step)
    const normaliser = batch.reduce((sum, { responseTokens }) => sum + responseTokens, 0)
    await trainer.accumulateSft(batch, normaliser, { signal })
    const learningRate = cosineRate(sft.lr ?? 2e-4, step, steps, Math.ceil(sft.warmup * steps), sft.final_lr)
    await trainer.apply({ ...adam, learningRate, weightDecay: sft.weight_decay, clipNorm: sft.clip_norm })
  }
  return adapter
}

async function internalizeAnswers(context: PhaseContext, reference: Adapter): Promise<Adapter> {
  const { config, base, dataset, signal } = context
  const { rl } = config
  const adapter = await reference.clone()
  const trainer = await Trainer.forAdapter(base, { tokenBudget: config.model.token_budget, adapter })
  const prompts = new PromptSource(context, trainingParts(dataset, config).internalization)
  const loss = policyLoss({ ...rl, kl: { ...rl.kl, where: 'loss' } })
  for (let step = 0; step < rl.steps; step++) {
    signal.throwIfAborted()
    const groups = await chosenTitles(context, adapter, prompts.of(step, 'prompts', rl.prompts), step)
    if (groups.length === 0) continue
    const lengths = groups.flatMap(({ completions }) =>
      completions.map(({ mask }) => mask.reduce((sum, bit) => sum + bit, 0)),
    )
    const weights = aggregationWeights(rl.agg, Int32Array.from(lengths), rl.max_new)
    await trainer.accumulatePolicy(groups, loss, weights, {
      temperature: rl.temperature,
      reference: { frozen: reference },
      signal,
    })
    const learningRate = constantRate(rl.lr, step, rl.warmup)
    await trainer.apply({ ...adam, learningRate, weightDecay: rl.weight_decay, clipNorm: rl.clip_norm })
  }
  return adapter
}

/** A step's groups with advantages; groups of hits or misses alone carry only what is taught. */
async function chosenTitles(
  context: PhaseContext,
  adapter: Adapter,
  instances: readonly Instance[],
  step: number,
): Promise<PolicyGroup[]> {
  const { encoding, base, config, signal } = context
  const { rl } = config
  const asked = instances.map((instance, index) => ({
    prompt: encoding.prompt(instance, 'direct'),
    trie: createTrie(encoding.choices(instance)),
    samples: Array.from({ length: rl.group }, (_, sample) => ({
      stream: streamId('answers_only', step, index, sample),
      given: encoding.frame.directOpen,
    })),
  }))
  const script = [{ kind: 'choose', sampling: { temperature: rl.temperature } }] as const
  const samples = await generate(
    base,
    { trained: adapter },
    asked,
    script,
    decodeOptions(context, derivedSeed(config.seed, 'answers only')),
    { signal },
  )
  const trained = samples
    .flat()
    .reduce((sum, { kinds }) => sum + kinds.filter((kind) => kind === 2).length, 0)
  const rewards = samples.map((own, index) => hitsOf(context, instances[index] as Instance, own))
  const baselines =
    rl.adv === 'remax' ? await greedyHits(context, adapter, instances, asked.map(alone)) : new Float64Array()
  const mixed = rewards.map((own) => own.includes(0) && own.includes(1))
  const shown = mixed.map((one) => one || !rl.dynamic_sampling)
  const credit = creditOf(context, samples, rewards, baselines, shown)
  const groups = asked.flatMap(({ prompt, trie }, index) => {
    const instance = instances[index] as Instance
    const failed = !rewards[index]?.includes(1)
    const sampled = (samples[index] ?? []).map(
      ({ tokens, kinds, logprobs, entropies }, sample): SampledCompletion => ({
        ids: tokens,
        mask: Uint8Array.from(kinds, (kind) => (kind === 2 ? 1 : 0)),
        oldLogprobs: logprobs,
        entropies,
        advantage: credit[index]?.[sample] ?? 0,
        trieBegin: kinds.indexOf(2),
      }),
    )
    const taught = (): SampledCompletion => ({
      ...taughtChoice(encoding.frame.directOpen, encoding.rightChoice(instance), rl.gt_weight / trained),
      entropies: new Float32Array(),
    })
    const completions = [
      ...(shown[index] ? sampled : []),
      ...(failed && rl.allfail === 'add_gt' ? [taught()] : []),
    ]
    return completions.length === 0 ? [] : [{ prompt, trie, completions }]
  })
  return withTreatment(context, groups, BigInt(step))
}

/** Advantages of the groups that are shown to the loss; the others take no part in anything. */
function creditOf(
  { config: { rl } }: PhaseContext,
  samples: readonly (readonly Sample[])[],
  rewards: readonly Float64Array[],
  baselines: Float64Array,
  shown: readonly boolean[],
): Float64Array[] {
  const only = <T>(values: readonly T[]): T[] => values.filter((_, index) => shown[index])
  const flat = Float64Array.from(only(rewards).flatMap((own) => Array.from(own)))
  const sizes = Int32Array.from(only(rewards), (own) => own.length)
  const all = advantages(rl.adv, flat, sizes, {
    epsilon: rl.adv_epsilon,
    passK: rl.pass_k,
    passStd: rl.pass_std,
    lengths: Int32Array.from(
      only(samples).flatMap((own) => own.map(({ kinds }) => kinds.filter((kind) => kind === 2).length)),
    ),
    hits: Uint8Array.from(flat),
    baselines: Float64Array.from(only(Array.from(baselines))),
  })
  let next = 0
  return rewards.map((own, index) => {
    if (!shown[index]) return new Float64Array(own.length)
    next += own.length
    return all.subarray(next - own.length, next)
  })
}

function hitsOf({ method, dataset }: PhaseContext, instance: Instance, own: readonly Sample[]): Float64Array {
  const right = method.rightChoice(dataset, instance)
  return Float64Array.from(own, ({ choice }) => (choice === right ? 1 : 0))
}

function alone(group: DecodeGroup): DecodeGroup {
  return { ...group, samples: group.samples.slice(0, 1) }
}

/** 1 where the likeliest choice is right. */
async function greedyHits(
  context: PhaseContext,
  adapter: Adapter,
  instances: readonly Instance[],
  groups: readonly DecodeGroup[],
): Promise<Float64Array> {
  const script = [{ kind: 'choose', sampling: { temperature: 0 } }] as const
  const { base, signal } = context
  const options = decodeOptions(context, 0n)
  const greedy = await generate(base, { trained: adapter }, groups, script, options, { signal })
  return Float64Array.from(greedy, (own, index) => hitsOf(context, instances[index] as Instance, own)[0] ?? 0)
}

const adam = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const

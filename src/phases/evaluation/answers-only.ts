/**
 * Language models that answer without reasoning, trained within an evaluation: the same adapter on answers alone, by the
 * direct prompt, with the budget of the run it stands beside. They are the control that tells what reasoning adds, and
 * the baselines that the field calls SFT-direct, S-DPO and GRPO-direct.
 *   answers_only_sft   as many updates of as many examples as Imitation had, on the true titles of the instances
 *                      that Collection asked (all of them, not only those with a kept trace) and of those it filled up
 *                      with; sft.epochs passes over the asked ones in a run without Imitation
 *   answers_only_sdpo  from there, as many preference steps as Internalization has policy steps (answers-only-preferences.ts)
 *   answers_only_rl    from there, as many policy steps as Internalization (answers-only-policy.ts)
 * Their adapters are kept in the run's folder.
 */

import type { Instance } from '../../data/types.js'
import { Adapter } from '../../engine/index.js'
import { keptTraces } from '../collection/traces.js'
import { BatchPlan, directExample, imitationPlan } from '../imitation/examples.js'
import { isBaselinesOnly, onTraining, type PhaseContext, type StageModel } from '../run/context.js'
import { askedInstances, collectInstances, shownInstance } from '../run/instances.js'
import { derivedSeed } from '../run/streams.js'
import { constantRate, cosineRate } from '../training/learning-rate.js'
import { answerPolicy } from './answers-only-policy.js'
import { answerPreferences } from './answers-only-preferences.js'
import { type AnswersOnlyTraining, trainedAnswers } from './answers-only-training.js'

export const answersOnlyRows = ['answers_only_sft', 'answers_only_sdpo', 'answers_only_rl'] as const
export type AnswersOnlyRow = (typeof answersOnlyRows)[number]

/** Trains those of `rows` that are not there yet, and what they start from. */
export async function answersOnly(
  given: PhaseContext,
  rows: ReadonlySet<AnswersOnlyRow>,
): Promise<ReadonlyMap<AnswersOnlyRow, StageModel>> {
  const context = onTraining(given)
  const stages = new Map<AnswersOnlyRow, StageModel>()
  if (rows.size === 0) return stages
  const sft = await trainedAnswers(context, folderOf('answers_only_sft'), () => answerImitation(context))
  const add = (row: AnswersOnlyRow, adapter: Adapter): void => {
    if (rows.has(row)) stages.set(row, { model: context.base, adapters: { trained: adapter } })
  }
  add('answers_only_sft', sft)
  for (const row of ['answers_only_sdpo', 'answers_only_rl'] as const) {
    const training = (): AnswersOnlyTraining => furtherTraining(context, row, sft)
    if (rows.has(row)) add(row, await trainedAnswers(context, folderOf(row), training))
  }
  return stages
}

function folderOf(row: AnswersOnlyRow): string {
  return row.replaceAll('_', '-')
}

function answerImitation(context: PhaseContext): AnswersOnlyTraining {
  const { config, base, signal } = context
  const { sft, seed } = config
  const { rank, alpha, rslora, targets } = sft
  const examples = answeredInstances(context).map((instance) => directExample(context, instance, 1))
  const perEpoch = Math.ceil(examples.length / sft.batch)
  const steps = isBaselinesOnly(context) ? sft.epochs * perEpoch : imitationPlan(context).plan.steps
  const plan = new BatchPlan(examples, seed, sft.batch, Math.ceil(steps / perEpoch))
  return {
    label: 'answers only, SFT',
    steps,
    saveEvery: sft.save_every,
    fresh: () =>
      Adapter.create(base, { rank, alpha, rslora, targets }, derivedSeed(seed, 'imitation adapter')),
    accumulate: async (trainer, _, step) => {
      const batch = plan.at(step)
      const normaliser = batch.reduce((sum, { responseTokens }) => sum + responseTokens, 0)
      const { loss } = await trainer.accumulateSft(batch, normaliser, { signal })
      return { value: loss, learns: true }
    },
    update: (step) => ({
      learningRate: cosineRate(sft.lr ?? 2e-4, step, steps, Math.ceil(sft.warmup * steps), sft.final_lr),
      weightDecay: sft.weight_decay,
      clipNorm: sft.clip_norm,
    }),
  }
}

/** The asked instances, and further ones that Imitation has traces of. */
export function answeredInstances(context: PhaseContext): Instance[] {
  const { config, dataset, method, run } = context
  const asked = askedInstances(context)
  if (isBaselinesOnly(context) || config.sft.epochs === 0) return asked
  const known = new Set(asked.map(({ id }) => id))
  const filled = new Set(keptTraces(run).flatMap(({ instance }) => (known.has(instance) ? [] : [instance])))
  const further = collectInstances(dataset, config, config.collect.fill_to).filter(({ id }) => filled.has(id))
  return [
    ...asked,
    ...further.map((instance) => method.question(dataset, shownInstance(dataset, instance, 0))),
  ]
}

function furtherTraining(
  context: PhaseContext,
  row: 'answers_only_sdpo' | 'answers_only_rl',
  sft: Adapter,
): AnswersOnlyTraining {
  const { rl } = context.config
  const own =
    row === 'answers_only_rl'
      ? { ...answerPolicy(context, sft), label: 'answers only, RL' }
      : { ...answerPreferences(context, sft), label: 'answers only, S-DPO' }
  return {
    ...own,
    fresh: () => sft.clone(),
    steps: rl.steps,
    saveEvery: rl.save_every,
    update: (step) => ({
      learningRate: constantRate(rl.lr, step, rl.warmup),
      weightDecay: rl.weight_decay,
      clipNorm: rl.clip_norm,
    }),
  }
}

/**
 * What Internalization starts from and what it leaves. The policy continues a copy of the imitation adapter, or a
 * fresh adapter stacked on it (rl.adapter); the reference is the model as it left Imitation, frozen.
 */

import { Adapter } from '../../engine/index.js'
import type { ComposedReward } from '../../rewards/composition.js'
import type { PhaseContext } from '../run/context.js'
import { trainingParts } from '../run/instances.js'
import { adapterFolder, imitatedStage } from '../run/stage-models.js'
import { derivedSeed } from '../run/streams.js'
import { publishFolder, Training } from '../training/training.js'
import { difficultyBand } from './difficulty-band.js'
import { PromptSource } from './rollout-rounds.js'
import type { RolloutSetting } from './rollouts.js'

export interface PolicySetting extends RolloutSetting {
  readonly training: Training
  readonly prompts: PromptSource
}

export async function preparePolicy(context: PhaseContext, reward: ComposedReward): Promise<PolicySetting> {
  const { config } = context
  const { rl, sft } = config
  const imitated = await imitatedStage(context)
  const stacked = rl.adapter === 'stack' || imitated.adapter === null
  const reference = imitated.adapter ? { frozen: imitated.adapter } : {}
  const fresh = (): Promise<Adapter> =>
    stacked || !imitated.adapter
      ? Adapter.create(
          imitated.model,
          { rank: rl.rank, alpha: rl.alpha, targets: sft.targets },
          derivedSeed(config.seed, 'policy adapter'),
        )
      : imitated.adapter.clone()
  const frozen = stacked ? imitated.adapter : null
  const training = await Training.start(context, {
    phase: 'internalize',
    model: imitated.model,
    frozen,
    fresh,
    saveEvery: rl.save_every,
  })
  const { internalization } = trainingParts(context.dataset, config)
  const band = await difficultyBand(context, { model: imitated.model, adapters: reference }, internalization)
  const adapters = { frozen, trained: training.adapter }
  return {
    training,
    reward,
    reference,
    policy: { model: imitated.model, adapters },
    prompts: new PromptSource(context, band.instances, band.weights),
  }
}

/** adapter/ in PEFT's format; stacked adapters become one. */
export async function publishPolicy(context: PhaseContext, training: Training): Promise<void> {
  const { run, config } = context
  const { model, adapter: sft } = await imitatedStage(context)
  const trained = training.adapter as Adapter
  const whole =
    config.rl.adapter === 'stack' && sft ? await Adapter.concatenate(model, sft, trained) : trained
  await publishFolder(run.file(adapterFolder), (folder) => whole.save(folder, { baseModel: model.dir ?? '' }))
}

/** Where a run ends with Imitation (rl.steps 0), its adapter is the result. */
export async function publishImitated(context: PhaseContext): Promise<void> {
  const { adapter, model } = await imitatedStage(context)
  if (adapter)
    await publishFolder(context.run.file(adapterFolder), (folder) =>
      adapter.save(folder, { baseModel: model.dir ?? '' }),
    )
}

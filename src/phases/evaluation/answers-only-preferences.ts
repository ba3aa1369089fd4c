/**
 * answers_only_sdpo, S-DPO (Chen et al. 2024) on answers alone: a prompt's true title against rl.preference.negatives
 * others of its list, drawn anew at every step, from the model as answers_only_sft left it, which is also the reference:
 *   -log sigmoid(-log sum_l exp(beta (D_l - D_w))),   D = log pi(answer) - log pi_ref(answer)
 * over the whole vocabulary. beta is rl.preference.sdpo_beta. Nothing is sampled.
 */

import type { Instance } from '../../data/types.js'
import type { Adapter, PolicyGroup } from '../../engine/index.js'
import { joined } from '../../prompts/tokenizer.js'
import { equalWeights } from '../internalization/policy-batch.js'
import { preferenceLoss } from '../internalization/policy-loss.js'
import { comparedAnswer } from '../internalization/policy-pairs.js'
import { PromptSource } from '../internalization/rollout-rounds.js'
import type { PhaseContext } from '../run/context.js'
import { trainingParts } from '../run/instances.js'
import { hashOrder } from '../run/streams.js'
import type { AnswersOnlyTraining } from './answers-only-training.js'

/** What it learns in a step; the curve is the loss. */
export function answerPreferences(
  context: PhaseContext,
  reference: Adapter,
): Pick<AnswersOnlyTraining, 'accumulate'> {
  const { config, dataset, signal } = context
  const { rl } = config
  const prompts = new PromptSource(context, trainingParts(dataset, config).internalization)
  const loss = preferenceLoss(rl, 'sdpo')
  return {
    accumulate: async (trainer, _, step) => {
      const asked = prompts.of(step, 'prompts', rl.prompts)
      const { groups, weights } = equalWeights(
        asked.flatMap((instance) => preferredTitle(context, instance, step) ?? []),
        1,
      )
      if (groups.length === 0) return { value: null, learns: false }
      const options = { temperature: rl.temperature, reference: { frozen: reference }, signal }
      const { sums } = await trainer.accumulatePolicy(groups, loss, weights, options)
      return { value: sums.loss, learns: true }
    },
  }
}

/** The winner and its losers behind the direct prompt; null where the right answer is not known. */
export function preferredTitle(
  { encoding, method, dataset, config }: PhaseContext,
  instance: Instance,
  step: number,
): PolicyGroup | null {
  const right = method.rightChoice(dataset, instance)
  const choices = encoding.choices(instance)
  const winner = choices[right]
  if (!winner) return null
  const others = choices.map((_, place) => place).filter((place) => place !== right)
  const drawn = hashOrder(others, String, config.seed, 'sdpo negatives', step, instance.id)
  const losers = drawn.slice(0, config.rl.preference.negatives).map((place) => choices[place] as Int32Array)
  return {
    prompt: joined([encoding.prompt(instance, 'direct'), encoding.frame.directOpen]),
    completions: [winner, ...losers].map(comparedAnswer),
  }
}

/**
 * A few prompts that are asked again and again while the policy is trained (rl.watch), so that one user's reasoning can be
 * followed: the likeliest response before the first step and at checkpoints, at most some twenty times in a run. They
 * come from the validation part, chosen by hash; nothing is drawn, so training has the same bits with and without them.
 */

import { chosen } from '../../data/random.js'
import type { Instance } from '../../data/types.js'
import { isRight } from '../../rewards/reward.js'
import { askResponses, titlesOf } from '../prediction/responses.js'
import type { PhaseContext, StageModel } from '../run/context.js'
import { streamId } from '../run/streams.js'

const mostTimes = 20

/** Asks where it is due after `step` finished steps; 0: before the first. */
export async function watchPrompts(context: PhaseContext, policy: StageModel, step: number): Promise<void> {
  if (!isDue(context, step)) return
  const { config, dataset, method } = context
  const instances = watchedInstances(context)
  const asks = instances.map((instance, index) => ({
    instance,
    mode: 'reason' as const,
    streams: [streamId('evaluate', 0, index, 0)],
  }))
  const groups = await askResponses(context, policy, asks, {
    style: config.rl.answer,
    maxNew: config.rl.max_new,
    sampling: { temperature: 0 },
    seed: 0n,
  })
  for (const { ask, responses } of groups) {
    const { instance } = ask
    const [response] = responses
    if (!response) continue
    const parsed = method.parse(dataset, instance, response.text)
    context.run.sample({
      phase: 'internalize',
      model: 'internalized',
      step,
      watched: true,
      instance: instance.id,
      history: titlesOf(context, instance.history),
      candidates: titlesOf(context, instance.candidates),
      target: titlesOf(context, [instance.target])[0] ?? '',
      reasoning: parsed.reasoning ?? response.text,
      answer: parsed.answer ?? '',
      hit: isRight(parsed, instance),
    })
  }
}

/** At every checkpoint, or at every second, third, ... one of a long run. */
function isDue({ config: { rl } }: Pick<PhaseContext, 'config'>, step: number): boolean {
  if (rl.watch === 0) return false
  const every = rl.save_every * Math.ceil(rl.steps / rl.save_every / mostTimes)
  return step % every === 0 || step === rl.steps
}

function watchedInstances({ config, dataset, method }: PhaseContext): Instance[] {
  const part = dataset.valid.length > 0 ? dataset.valid : dataset.test
  return chosen(part, config.rl.watch, ({ id }) => id, config.seed, 'watched').map((instance) =>
    method.question(dataset, instance),
  )
}

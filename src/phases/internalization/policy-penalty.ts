/**
 * Divergence in the reward (spec 5.6): k1 = log p(sampled) - log p(reference) of every token the model chose,
 * measured before the update. A token earns its reward less beta * k1.
 */

import type { PhaseContext } from '../run/context.js'
import { policyLoss } from './policy-loss.js'
import type { PolicySetting } from './policy-setup.js'
import type { RolloutGroup } from './rollouts.js'

/** k1[group][rollout], one number per token, 0 where the token was given. */
export async function tokenDivergence(
  context: PhaseContext,
  { training, reference }: Pick<PolicySetting, 'training' | 'reference'>,
  groups: readonly RolloutGroup[],
): Promise<Float32Array[][]> {
  const { rl } = context.config
  const asked = groups.map(({ asked: { prompt, trie, responses } }) => ({
    prompt,
    trie,
    completions: responses.map(({ sample, choiceBegin }) => ({
      ids: sample.tokens,
      mask: Uint8Array.from(sample.kinds, (kind) => (kind === 1 ? 0 : 1)),
      oldLogprobs: sample.logprobs,
      advantage: 0,
      trieBegin: choiceBegin,
    })),
  }))
  const all = asked.flatMap(({ completions }) => completions)
  const loss = { ...policyLoss(rl), loss: 'reinforce', kl: 'k1', beta: 1, entropyBonus: 0 } as const
  const { referenceLogprobs } = await training.trainer.accumulatePolicy(
    asked,
    loss,
    new Float64Array(all.length),
    { temperature: rl.temperature, reference, gradients: false, signal: context.signal },
  )
  let next = 0
  return asked.map(({ completions }) =>
    completions.map(({ ids, mask, oldLogprobs }) => {
      const own = referenceLogprobs.subarray(next, next + ids.length)
      next += ids.length
      return Float32Array.from(own, (value, t) => (mask[t] === 1 ? oldLogprobs[t]! - value : 0))
    }),
  )
}

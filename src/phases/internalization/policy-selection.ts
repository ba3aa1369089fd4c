/**
 * Tokens of a mini-batch with a treatment of their own (native/rl/token_selection.h): clip_cov and kl_cov choose by
 * covariance of log-prob and advantage, rl.keep_entropy by entropy. Numbers are those of the policy that sampled.
 */

import { type PolicyCompletion, type PolicyGroup, selectTokens } from '../../engine/index.js'
import type { PhaseContext } from '../run/context.js'
import { derivedSeed } from '../run/streams.js'

/** A completion with the entropies of the distributions its tokens were drawn from; empty where it was not sampled. */
export interface SampledCompletion extends PolicyCompletion {
  readonly entropies: Float32Array
}

export function selectsTokens({ config: { rl } }: Pick<PhaseContext, 'config'>): boolean {
  return rl.loss === 'clip_cov' || rl.loss === 'kl_cov' || rl.keep_entropy < 1
}

/** `stream` keeps the draws of mini-batches apart. */
export function withTreatment(
  context: Pick<PhaseContext, 'config'>,
  groups: readonly (Omit<PolicyGroup, 'completions'> & {
    readonly completions: readonly SampledCompletion[]
  })[],
  stream: bigint,
): PolicyGroup[] {
  const { rl, seed } = context.config
  if (!selectsTokens(context)) return [...groups]
  const tokens = groups.flatMap(({ completions }) =>
    completions.flatMap(({ mask, oldLogprobs, advantage, entropies }) =>
      Array.from(mask, (one, t) => ({
        one,
        logprob: oldLogprobs[t] ?? 0,
        advantage: typeof advantage === 'number' ? advantage : (advantage[t] ?? 0),
        entropy: entropies[t] ?? 0,
      })).filter(({ one }) => one === 1),
    ),
  )
  const selection = {
    loss: rl.loss,
    share: rl.cov.share,
    low: rl.cov.low,
    high: rl.cov.high,
    seed: derivedSeed(seed, 'token selection'),
    stream,
    keepEntropy: rl.keep_entropy,
  }
  const treated = selectTokens(selection, {
    logprobs: Float32Array.from(tokens, ({ logprob }) => logprob),
    advantages: Float32Array.from(tokens, ({ advantage }) => advantage),
    entropies: Float32Array.from(tokens, ({ entropy }) => entropy),
  })
  let next = 0
  return groups.map((group) => ({
    ...group,
    completions: group.completions.map((completion) => ({
      ...completion,
      treatment: completion.mask.map((one) => (one === 1 ? (treated[next++] ?? 0) : 0)),
    })),
  }))
}

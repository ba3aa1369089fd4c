/**
 * The configured loss in the engine's terms, and the two weights that may be steered from step to step (spec 5.6):
 *   beta <- beta (1 + clip(KL / target - 1, -0.2, 0.2) n / horizon), n the rollouts of the step
 *   entropy bonus c <- c + entropy_step while entropy is below its target, else max(0, c - entropy_step)
 */

import type { Config } from '../../config/schema.js'
import type { PolicyLossConfig } from '../../engine/index.js'

/** Weights of the divergence and of the entropy bonus at a step. */
export interface PolicyWeights {
  readonly beta: number
  readonly entropy: number
}

type Rl = Config['rl']

export function startingWeights({ kl, entropy }: Rl): PolicyWeights {
  return { beta: kl.beta, entropy }
}

/** Do the weights change during a run? Then a checkpoint has to carry them. */
export function isSteered({ kl, entropy_target }: Rl): boolean {
  return kl.target !== null || entropy_target !== null
}

export function steeredWeights(
  { kl, entropy_target, entropy_step }: Rl,
  { beta, entropy }: PolicyWeights,
  seen: { readonly kl: number; readonly entropy: number; readonly rollouts: number },
): PolicyWeights {
  const excess = kl.target === null ? 0 : Math.min(0.2, Math.max(-0.2, seen.kl / kl.target - 1))
  const step = entropy_target === null ? 0 : seen.entropy < entropy_target ? entropy_step : -entropy_step
  return {
    beta: beta * (1 + (excess * seen.rollouts) / kl.horizon),
    entropy: Math.max(0, entropy + step),
  }
}

/** The loss over rollouts. A divergence in the reward leaves none here. */
export function policyLoss(rl: Rl, { beta, entropy }: PolicyWeights = startingWeights(rl)): PolicyLossConfig {
  const [clipLow, clipHigh] = clipRange(rl)
  return {
    loss: rl.loss,
    clipLow,
    clipHigh,
    dualClip: rl.dual_c,
    aggregation: rl.agg,
    maxLength: rl.max_new,
    kl: rl.kl.kind,
    beta: rl.kl.where === 'loss' ? beta : 0,
    entropyBonus: entropy,
    ratioCap: rl.loss === 'two_sided' ? rl.delta : rl.loss === 'cispo' ? rl.cispo_cap : 0,
    tauGain: rl.sapo_tau[0],
    tauLoss: rl.sapo_tau[1],
    covPenalty: rl.cov.penalty,
    offPolicyLimit: rl.off_policy_limit,
  }
}

function clipRange({ loss, eps, gspo_eps, gmpo_eps }: Rl): readonly [number, number] {
  if (loss === 'gspo' || loss === 'gspo_token' || loss === 'luspo') return gspo_eps
  return loss === 'gmpo' ? gmpo_eps : eps
}

/** The loss over groups of a winner and its losers. */
export function preferenceLoss(rl: Rl, arm: Exclude<Rl['arm'], 'policy'>): PolicyLossConfig {
  const { dpo_beta, sdpo_beta, simpo_beta, simpo_margin } = rl.preference
  return {
    ...policyLoss(rl, { beta: 0, entropy: 0 }),
    loss: arm,
    preferenceBeta: { dpo: dpo_beta, sdpo: sdpo_beta, simpo: simpo_beta }[arm],
    preferenceMargin: arm === 'simpo' ? simpo_margin : 0,
  }
}

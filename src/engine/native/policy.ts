/** Advantages, losses and token selection of reinforcement learning: native/rl, native/ops/policy_loss.h. */

import type { NativeTrie } from './decode.js'

/** Formulas in native/rl/advantage.h. */
export type NativeAdvantageEstimator =
  | 'grpo'
  | 'dr_grpo'
  | 'batch_std'
  | 'rloo'
  | 'rf++'
  | 'rf++_baseline'
  | 'remax'
  | 'opo'
  | 'gpg'
  | 'passk_best'
  | 'passk_bonus'
  | 'gdpo'
  | 'latent_r3'

/** The rewards of a step: rows in groups of consecutive rollouts of one prompt. What an estimator needs not may be empty. */
export interface NativeRewardBatch {
  /** (rows x terms), row after row. */
  readonly rewards: Float64Array
  /** (terms): a row's reward is the weighted sum of its terms. */
  readonly termWeights: Float64Array
  readonly groupSizes: Int32Array
  /** (rows) 0: out of all statistics, advantage 0. */
  readonly valid: Uint8Array
  /** (rows) trained tokens. */
  readonly lengths: Int32Array
  /** (rows) */
  readonly hits: Uint8Array
  /** (groups) reward of the prompt's greedy rollout. */
  readonly baselines: Float64Array
}

/** Formulas in native/ops/policy_terms.h and preference_loss.h. A constant that is 0 is not given. */
export interface NativePolicyLossConfig {
  readonly loss:
    | 'ppo_clip'
    | 'two_sided'
    | 'gspo'
    | 'gspo_token'
    | 'luspo'
    | 'cispo'
    | 'gmpo'
    | 'sapo'
    | 'reinforce'
    | 'clip_cov'
    | 'kl_cov'
    | 'dpo'
    | 'sdpo'
    | 'simpo'
  readonly clipLow: number
  readonly clipHigh: number
  readonly dualClip: number
  readonly aggregation: 'token_mean' | 'seq_mean_token_mean' | 'seq_mean_token_sum' | 'const_norm'
  readonly maxLength: number
  readonly kl: 'k1' | 'k2' | 'k3' | 'abs' | 'k1+' | 'k3+' | 'abs+' | 'unbiased'
  readonly beta: number
  readonly entropyBonus: number
  /** two_sided: the ratio's cap; cispo: caps above only. */
  readonly ratioCap: number
  /** sapo, positive and other advantages. */
  readonly tauGain: number
  readonly tauLoss: number
  /** kl_cov: weight of |log-ratio| on the chosen tokens. */
  readonly covPenalty: number
  /** Above 0: negative advantages of sequences further than this from the sampling policy are left out, nats per token. */
  readonly offPolicyLimit: number
  /** dpo, sdpo, simpo. */
  readonly preferenceBeta: number
  readonly preferenceMargin: number
}

/** Tokens of whole sequences, one sequence after the other; what a loss needs not may be empty. */
export interface NativePolicyTokens {
  readonly logprob: Float32Array
  readonly oldLogprob: Float32Array
  readonly reference: Float32Array
  readonly advantage: Float32Array
  readonly weight: Float64Array
  readonly treatment: Uint8Array
  readonly lengths: Int32Array
  /** Sequences of each preference group, the winner first. */
  readonly groupSizes: Int32Array
}

export interface NativeTokenSelection {
  readonly loss: NativePolicyLossConfig['loss']
  readonly share: number
  readonly low: number
  readonly high: number
  readonly seed: bigint
  readonly stream: bigint
  /** 1: all. */
  readonly keepEntropy: number
}

export interface NativePolicyGroup {
  readonly prompt: Int32Array
  readonly trie: NativeTrie | null
  readonly completions: readonly {
    readonly ids: Int32Array
    readonly mask: Uint8Array
    readonly oldLogprobs: Float32Array
    readonly advantage: number
    /** One per token in place of `advantage`, or empty. */
    readonly tokenAdvantages: Float32Array
    /** Per token 0 plain, 1 left out of the policy term, 2 penalised by kl_cov; or empty. */
    readonly treatment: Uint8Array
    readonly sftWeight: number
    readonly sftMask: Uint8Array
    readonly trieBegin: number
  }[]
}

export interface NativePolicySums {
  readonly loss: number
  readonly policy: number
  readonly kl: number
  readonly entropy: number
  readonly klSum: number
  readonly ratioSum: number
  readonly entropySum: number
  readonly maxAbsLogRatio: number
  readonly tokens: number
  readonly clippedLow: number
  readonly clippedHigh: number
  /** Tokens whose policy term was masked. */
  readonly leftOut: number
  /** Preference groups, and those whose winner leads. */
  readonly preferences: number
  readonly correct: number
}

export interface NativePolicyResult {
  readonly sums: NativePolicySums
  readonly sftLoss: number
  readonly rows: number
  /** Flat in the order of groups, completions, tokens. */
  readonly logprobs: Float32Array
  readonly referenceLogprobs: Float32Array
  readonly entropies: Float32Array
}

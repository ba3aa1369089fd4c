/**
 * What a policy step takes and gives: sampled groups with their old log-probs and advantages
 * (native/rl), plus the small pure functions around it. The step itself is Trainer.accumulatePolicy.
 */

import { type Adapters, type TokenIds, type Trie, toIds } from './decoder.js'
import { callNative, type JobOptions } from './job.js'
import { loadAddon } from './load.js'
import type {
  NativePolicyGroup,
  NativePolicyLossConfig,
  NativePolicyResult,
  NativePolicySums,
} from './native.js'

export type PolicyLossConfig = NativePolicyLossConfig
export type PolicyResult = NativePolicyResult
export type AdvantageEstimator = 'grpo' | 'dr_grpo' | 'rloo'

export interface PolicyCompletion {
  /** Tokens after the prompt. */
  readonly ids: TokenIds
  /** 1: the token is trained. */
  readonly mask: Uint8Array
  /** As sampled, one per token. */
  readonly oldLogprobs: Float32Array
  readonly advantage: number
  /** Above 0: adds sftWeight * NLL of the tokens with sftMask (help for groups without a success). */
  readonly sftWeight?: number
  readonly sftMask?: Uint8Array
  /** From this token on the group's trie restricted the choice; -1 or left out: nowhere. */
  readonly trieBegin?: number
}

export interface PolicyGroup {
  readonly prompt: TokenIds
  readonly completions: readonly PolicyCompletion[]
  readonly trie?: Trie | null | undefined
}

export interface PolicyOptions extends JobOptions {
  /** The sampling temperature: log-probs are those of logits / temperature. */
  readonly temperature: number
  /** What KL is measured against: a frozen adapter, or {} for the base. Not computed where beta is 0. */
  readonly reference: Adapters
  /** False: only log-probs (scoring). */
  readonly gradients?: boolean
}

export function toPolicyGroup(group: PolicyGroup): NativePolicyGroup {
  return {
    prompt: toIds(group.prompt),
    trie: group.trie ?? null,
    completions: group.completions.map((completion) => ({
      ids: toIds(completion.ids),
      mask: completion.mask,
      oldLogprobs: completion.oldLogprobs,
      advantage: completion.advantage,
      sftWeight: completion.sftWeight ?? 0,
      sftMask: completion.sftMask ?? new Uint8Array(completion.ids.length),
      trieBegin: completion.trieBegin ?? -1,
    })),
  }
}

/**
 * Group-relative advantages of consecutive rewards; `valid` 0 leaves a row out of its group's statistics.
 * grpo (r - mean) / (std + epsilon), dr_grpo r - mean, rloo n / (n - 1) (r - mean). @throws RR_SHAPE_MISMATCH
 */
export function advantages(
  estimator: AdvantageEstimator,
  rewards: Float64Array,
  groupSizes: Int32Array,
  options: { readonly valid?: Uint8Array; readonly epsilon: number },
): Float64Array {
  const valid = options.valid ?? new Uint8Array(rewards.length).fill(1)
  return callNative(() => loadAddon().advantages(estimator, rewards, groupSizes, valid, options.epsilon))
}

/** Weight of each trained token of a sequence, given the trained lengths of the whole step's sequences. */
export function aggregationWeights(
  aggregation: PolicyLossConfig['aggregation'],
  lengths: Int32Array,
  maxLength: number,
): Float64Array {
  return callNative(() => loadAddon().aggregationWeights(aggregation, lengths, maxLength))
}

/** The loss over given per-token log-probs and its gradient. All arrays (n). @throws RR_SHAPE_MISMATCH */
export function policyLoss(
  config: PolicyLossConfig,
  tokens: {
    readonly logprob: Float32Array
    readonly oldLogprob: Float32Array
    readonly reference: Float32Array
    readonly advantage: Float32Array
    readonly weight: Float64Array
  },
): { readonly sums: NativePolicySums; readonly gradient: Float32Array } {
  const { logprob, oldLogprob, reference, advantage, weight } = tokens
  return callNative(() => loadAddon().policyLoss(config, logprob, oldLogprob, reference, advantage, weight))
}

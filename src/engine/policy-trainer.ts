/**
 * What a policy step takes and gives: sampled groups with their old log-probs and advantages
 * (native/rl), plus the small pure functions around it. The step itself is Trainer.accumulatePolicy.
 */

import { type Adapters, type TokenIds, type Trie, toIds } from './decoder.js'
import { callNative, type JobOptions } from './job.js'
import { loadAddon } from './load.js'
import type {
  NativeAdvantageEstimator,
  NativePolicyGroup,
  NativePolicyLossConfig,
  NativePolicyResult,
  NativePolicySums,
  NativePolicyTokens,
  NativeRewardBatch,
  NativeTokenSelection,
} from './native.js'

/** Constants beside those every loss shares; a loss that needs one refuses without it. */
type LossConstant =
  | 'ratioCap'
  | 'tauGain'
  | 'tauLoss'
  | 'covPenalty'
  | 'offPolicyLimit'
  | 'preferenceBeta'
  | 'preferenceMargin'
export type PolicyLossConfig = Omit<NativePolicyLossConfig, LossConstant> &
  Partial<Pick<NativePolicyLossConfig, LossConstant>>
export type PolicyResult = NativePolicyResult
export type AdvantageEstimator = NativeAdvantageEstimator

export interface PolicyCompletion {
  /** Tokens after the prompt. */
  readonly ids: TokenIds
  /** 1: the token is trained. */
  readonly mask: Uint8Array
  /** As sampled, one per token. */
  readonly oldLogprobs: Float32Array
  /** Of every token, or one per token. */
  readonly advantage: number | Float32Array
  /** Per token 0 plain, 1 left out of the policy term, 2 penalised by kl_cov (selectTokens). */
  readonly treatment?: Uint8Array
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

const noFloats = new Float32Array()
const noBytes = new Uint8Array()

export function toPolicyLoss(loss: PolicyLossConfig): NativePolicyLossConfig {
  const notGiven = {
    ratioCap: 0,
    tauGain: 0,
    tauLoss: 0,
    covPenalty: 0,
    offPolicyLimit: 0,
    preferenceBeta: 0,
    preferenceMargin: 0,
  }
  return { ...notGiven, ...loss }
}

export function toPolicyGroup(group: PolicyGroup): NativePolicyGroup {
  return {
    prompt: toIds(group.prompt),
    trie: group.trie ?? null,
    completions: group.completions.map((completion) => ({
      ids: toIds(completion.ids),
      mask: completion.mask,
      oldLogprobs: completion.oldLogprobs,
      advantage: typeof completion.advantage === 'number' ? completion.advantage : 0,
      tokenAdvantages: typeof completion.advantage === 'number' ? noFloats : completion.advantage,
      treatment: completion.treatment ?? noBytes,
      sftWeight: completion.sftWeight ?? 0,
      sftMask: completion.sftMask ?? new Uint8Array(completion.ids.length),
      trieBegin: completion.trieBegin ?? -1,
    })),
  }
}

/** What belongs to the rows and terms of a step's rewards; only `epsilon` is always needed. */
export interface AdvantageOptions extends Partial<Omit<NativeRewardBatch, 'rewards' | 'groupSizes'>> {
  /** Added to a standard deviation that is divided by. */
  readonly epsilon: number
  /** passk_bonus: the k of pass@k. */
  readonly passK?: number
  /** passk_best: divide by the group's standard deviation. */
  readonly passStd?: boolean
}

/**
 * One advantage per row of `rewards`, (rows x terms) with `termWeights`, or (rows) without; rows stand in groups of
 * consecutive rollouts of one prompt. `valid` 0 leaves a row out of all statistics. Formulas and needs (`lengths`
 * for rf++, rf++_baseline, opo; `hits` for passk_bonus; `baselines` for remax): native/rl/advantage.h.
 * @throws RR_SHAPE_MISMATCH, RR_NON_FINITE
 */
export function advantages(
  estimator: AdvantageEstimator,
  rewards: Float64Array,
  groupSizes: Int32Array,
  options: AdvantageOptions,
): Float64Array {
  const { epsilon, passK = 0, passStd = false } = options
  const batch = rewardBatch(rewards, groupSizes, options)
  return callNative(() => loadAddon().advantages(estimator, batch, { epsilon, passK, passStd }))
}

/**
 * rf++ per token, flat over `lengths`: discounted sums of what a token and its followers earn (the row's reward at its
 * last token, less a penalty per token), whitened over all tokens. @throws RR_SHAPE_MISMATCH
 */
export function tokenAdvantages(
  rewards: Float64Array,
  groupSizes: Int32Array,
  options: Omit<AdvantageOptions, 'epsilon'> & {
    readonly lengths: Int32Array
    readonly discount: number
    /** One per token, e.g. beta * k1. */
    readonly penalties?: Float64Array
  },
): Float64Array {
  const batch = rewardBatch(rewards, groupSizes, options)
  const { penalties = new Float64Array(), discount } = options
  return callNative(() => loadAddon().tokenAdvantages(batch, penalties, discount))
}

function rewardBatch(
  rewards: Float64Array,
  groupSizes: Int32Array,
  given: Partial<NativeRewardBatch>,
): NativeRewardBatch {
  const { termWeights = Float64Array.of(1) } = given
  return {
    rewards,
    groupSizes,
    termWeights,
    valid: given.valid ?? new Uint8Array(rewards.length / Math.max(1, termWeights.length)).fill(1),
    lengths: given.lengths ?? new Int32Array(),
    hits: given.hits ?? new Uint8Array(),
    baselines: given.baselines ?? new Float64Array(),
  }
}

/** Weight of each trained token of a sequence, given the trained lengths of the whole step's sequences. */
export function aggregationWeights(
  aggregation: PolicyLossConfig['aggregation'],
  lengths: Int32Array,
  maxLength: number,
): Float64Array {
  return callNative(() => loadAddon().aggregationWeights(aggregation, lengths, maxLength))
}

/**
 * The loss over given per-token log-probs and its gradient. All arrays (n), tokens of whole sequences one after the
 * other; without `lengths` every token is a sequence of its own. @throws RR_SHAPE_MISMATCH
 */
export function policyLoss(
  config: PolicyLossConfig,
  tokens: Pick<NativePolicyTokens, 'logprob' | 'oldLogprob' | 'advantage' | 'weight'> &
    Partial<NativePolicyTokens>,
): { readonly sums: NativePolicySums; readonly gradient: Float32Array } {
  const { reference = noFloats, treatment = noBytes, groupSizes = new Int32Array() } = tokens
  const lengths = tokens.lengths ?? new Int32Array(tokens.logprob.length).fill(1)
  const all = { ...tokens, reference, treatment, groupSizes, lengths }
  return callNative(() => loadAddon().policyLoss(toPolicyLoss(config), all))
}

export type TokenSelection = NativeTokenSelection

/** Treatment of every token of a mini-batch; arrays (n) from the sampling policy. @throws RR_SHAPE_MISMATCH */
export function selectTokens(
  selection: TokenSelection,
  tokens: {
    readonly logprobs: Float32Array
    readonly advantages: Float32Array
    readonly entropies: Float32Array
  },
): Uint8Array {
  const { logprobs, advantages: credit, entropies } = tokens
  return callNative(() => loadAddon().selectTokens(selection, logprobs, credit, entropies))
}

/**
 * What a reward term is (spec 5.3): a number per rollout of one group (G rollouts of one prompt). NaN says that
 * the value is missing, which composition.ts repairs; 0 is a value like any other.
 */

import type { Dataset, Instance, ItemIndex } from '../data/types.js'
import { type Citations, citations } from './citations.js'

export interface Rollout {
  /** Response text after the prompt, tags included, end-of-turn token left out. */
  readonly text: string
  readonly parsed: {
    readonly reasoning: string | null
    readonly answer: string | null
    readonly item: ItemIndex | null
    /** Candidates in the answer's order, distance from the true rating, the asked steps: where a method asks for them. */
    readonly ranking?: readonly ItemIndex[]
    readonly ratingError?: number | null
    readonly steps?: boolean
  }
  /** Tokens the model wrote. */
  readonly tokens: number
  /** complete: the model closed its reasoning itself; length: cut at the limit; unclosed: it ended its turn before. */
  readonly finish: 'complete' | 'length' | 'unclosed'
  /** Policy, behind the reasoning: sum of token log-probs (nats) per candidate, in the order of instance.candidates; null: not scored. */
  readonly candidateJoint: ArrayLike<number> | null
  /** The same per token. */
  readonly candidateMean: ArrayLike<number> | null
  /** The same as candidateJoint by the scorer of rationality, where it is not the policy. */
  readonly scorerJoint?: ArrayLike<number> | null
  /** Frozen model, direct prompt: sums of token log-probs of the candidates without reasoning. */
  readonly candidateJointWithout?: ArrayLike<number> | null
  /** Mean token log-prob (nats) of the target's title after the reasoning, by the scorer. */
  readonly targetMeanWith: number | null
  /** The same without reasoning (direct prompt, frozen scorer). */
  readonly targetMeanWithout: number | null
  /** Mean over the title's tokens of their probability, with and without, by the same scorers. */
  readonly targetProbWith?: number | null
  readonly targetProbWithout?: number | null
  /** Sum of token log-probs (nats) of the target's title after the reasoning, by the policy. */
  readonly targetJoint?: number | null
  /** Frozen model that is not shown the history: sum of token log-probs (nats) of the rollout's own answer, with and without the reasoning. */
  readonly blindJointWith?: number | null
  readonly blindJointWithout?: number | null
  /** Items that a beam over the catalogue finds behind the reasoning, best first. */
  readonly beam?: readonly ItemIndex[] | null
  /** Score of a judge, 0 to 1. */
  readonly judged?: number | null
}

export interface RewardContext {
  readonly dataset: Dataset
  readonly instance: Instance
}

export type RewardTermId =
  | 'fmt'
  | 'hit'
  | 'ndcg_list'
  | 'ndcg_cand'
  | 'mrr_cand'
  | 'lin_cand'
  | 'rankneg'
  | 'beam'
  | 'rerank_gain'
  | 'gain'
  | 'gain_prob'
  | 'post'
  | 'ppl'
  | 'latro'
  | 'judge'
  | 'ground'
  | 'len'
  | 'rep'
  | 'suff'
  | 'consist'
  | 'leak'
  | 'pop'
  | 'pop_hit'
  | 'answered'
  | 'steps'
  | 'ndcg_top'
  | 'rating'

/**
 * What a rollout must carry for a term; all but `text` cost forward passes:
 *   candidate_scores  candidateJoint, candidateMean      rerank       those and candidateJointWithout
 *   likelihood        targetMeanWith, targetProbWith     gain         those and their values without reasoning
 *   post              candidates by the scorer, with and without reasoning
 *   target            targetJoint                        sufficiency  blindJointWith, blindJointWithout
 *   judge             judged                             beam         beam
 */
export const rewardNeeds = [
  'text',
  'candidate_scores',
  'rerank',
  'likelihood',
  'gain',
  'post',
  'target',
  'sufficiency',
  'beam',
  'judge',
] as const
export type RewardNeed = (typeof rewardNeeds)[number]

export interface RewardTerm {
  /** A RewardTermId, or the id of a user's own. */
  readonly id: string
  readonly needs: RewardNeed | readonly RewardNeed[]
  /** A row without a value of a core term is taken out of its group. */
  readonly core: boolean
  /** Rationality terms are what `conditional` and `gated` withhold. */
  readonly rationality: boolean
  /** What decoupled credit gives it to: all tokens (recommendation), or those of the reasoning alone. */
  readonly credit: 'recommendation' | 'reasoning'
  /** The value that stands for "nothing to say"; composition adds weight * (value - neutral). */
  readonly neutral: number
  compute(group: readonly Rollout[], context: RewardContext): number[]
}

/** An answer of the asked kind: a candidate, or a rating. */
export function isAnswered({ item, ratingError }: Pick<Rollout['parsed'], 'item' | 'ratingError'>): boolean {
  return item !== null || ratingError !== undefined
}

/** The target is recommended, or the rating is the user's. */
export function isRight(
  { item, ratingError }: Pick<Rollout['parsed'], 'item' | 'ratingError'>,
  { target }: Pick<Instance, 'target'>,
): boolean {
  return item === target || ratingError === 0
}

const cited = new WeakMap<Rollout, Citations>()

/** Titles the rollout's reasoning cites; null without a reasoning. Computed once per rollout. */
export function rolloutCitations(rollout: Rollout, { dataset, instance }: RewardContext): Citations | null {
  if (rollout.parsed.reasoning === null) return null
  let found = cited.get(rollout)
  if (!found) {
    found = citations(dataset, instance, rollout.parsed.reasoning)
    cited.set(rollout, found)
  }
  return found
}

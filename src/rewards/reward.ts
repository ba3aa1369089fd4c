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
  /** Sum of token log-probs of each candidate title after the reasoning, aligned with instance.candidates; null: not scored. */
  readonly candidateJoint: ArrayLike<number> | null
  /** The same per token. */
  readonly candidateMean: ArrayLike<number> | null
  /** Sums of token log-probs of the candidates without reasoning; only `post` needs them. */
  readonly candidateJointWithout?: ArrayLike<number> | null
  /** Mean token log-prob (nats) of the target's title after the reasoning, by the scorer. */
  readonly targetMeanWith: number | null
  /** The same without reasoning (direct prompt, frozen scorer). */
  readonly targetMeanWithout: number | null
}

export interface RewardContext {
  readonly dataset: Dataset
  readonly instance: Instance
}

export type RewardTermId =
  | 'fmt'
  | 'hit'
  | 'ndcg_cand'
  | 'mrr_cand'
  | 'lin_cand'
  | 'gain'
  | 'post'
  | 'ground'
  | 'len'
  | 'rep'
  | 'consist'
  | 'leak'
  | 'answered'
  | 'steps'
  | 'ndcg_top'
  | 'rating'

/** text: the response alone; candidate_scores, gain: log-probs that cost a forward pass. */
export type RewardNeed = 'text' | 'candidate_scores' | 'gain'

export interface RewardTerm {
  readonly id: RewardTermId
  readonly needs: RewardNeed
  /** A row without a value of a core term is taken out of its group. */
  readonly core: boolean
  /** Rationality terms are what `conditional` and `gated` withhold. */
  readonly rationality: boolean
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

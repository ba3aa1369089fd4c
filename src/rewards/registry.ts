/** Every reward term by its id, made from the settings of a run. */

import { consistency } from './consistency.js'
import { type FormFloor, form, formFloor } from './form.js'
import { grounding } from './grounding.js'
import { hit } from './hit.js'
import { leak } from './leak.js'
import { type LengthLimits, length } from './length.js'
import { likelihoodGain, posteriorGain } from './likelihood-gain.js'
import { type CandidateNorm, candidateRank } from './ndcg-candidates.js'
import { repetition } from './repetition.js'
import type { RewardTerm, RewardTermId } from './reward.js'

export interface RewardSettings {
  readonly length: LengthLimits
  /** Nats per token (gain) or probability (post). */
  readonly gainClip: number
  readonly norm: CandidateNorm
  readonly leakPhrases: readonly string[]
  readonly formFloor?: FormFloor
}

const makers: Readonly<Record<RewardTermId, (settings: RewardSettings) => RewardTerm>> = {
  fmt: (settings) => form(settings.formFloor ?? formFloor),
  hit: () => hit(),
  ndcg_cand: ({ norm }) => candidateRank('ndcg_cand', norm),
  mrr_cand: ({ norm }) => candidateRank('mrr_cand', norm),
  lin_cand: ({ norm }) => candidateRank('lin_cand', norm),
  gain: ({ gainClip }) => likelihoodGain(gainClip),
  post: ({ gainClip }) => posteriorGain(gainClip),
  ground: () => grounding(),
  len: (settings) => length(settings.length),
  rep: () => repetition(),
  consist: () => consistency(),
  leak: ({ leakPhrases }) => leak(leakPhrases),
}

export const rewardTermIds = Object.keys(makers) as readonly RewardTermId[]

export function rewardTerm(id: RewardTermId, settings: RewardSettings): RewardTerm {
  return makers[id](settings)
}

/** Every reward term by its id, made from the settings of a run. */

import { answered } from './answered.js'
import { consistency } from './consistency.js'
import { type FormFloor, form, formFloor } from './form.js'
import { grounding } from './grounding.js'
import { hit } from './hit.js'
import { leak } from './leak.js'
import { type LengthLimits, length } from './length.js'
import { likelihoodGain, posteriorGain } from './likelihood-gain.js'
import { type CandidateNorm, candidateRank } from './ndcg-candidates.js'
import { ndcgTop, type RankedBy } from './ndcg-top.js'
import { rating } from './rating.js'
import { repetition } from './repetition.js'
import type { RewardTerm, RewardTermId } from './reward.js'
import { steps } from './steps.js'

export interface RewardSettings {
  readonly length: LengthLimits
  /** Nats per token (gain) or probability (post). */
  readonly gainClip: number
  readonly norm: CandidateNorm
  readonly leakPhrases: readonly string[]
  readonly formFloor?: FormFloor
  /** Places that ndcg_top looks at, and what gives an answer's places; 3 of what was listed unless told. */
  readonly top?: { readonly places: number; readonly by: RankedBy }
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
  answered: () => answered(),
  steps: () => steps(),
  ndcg_top: ({ top }) => ndcgTop(top?.places ?? 3, top?.by ?? 'listed'),
  rating: () => rating(),
}

export const rewardTermIds = Object.keys(makers) as readonly RewardTermId[]

export function rewardTerm(id: RewardTermId, settings: RewardSettings): RewardTerm {
  return makers[id](settings)
}

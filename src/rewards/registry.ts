/** Every reward term by its id, made from the settings of a run. docs/rewards.md has them in a table. */

import { answered } from './answered.js'
import { beamRank } from './beam.js'
import { consistency } from './consistency.js'
import { type FormFloor, form, formFloor } from './form.js'
import { grounding } from './grounding.js'
import { hit } from './hit.js'
import { judged } from './judge.js'
import { latro } from './latro.js'
import { leak } from './leak.js'
import { type LengthLimits, length } from './length.js'
import { likelihoodGain } from './likelihood-gain.js'
import { type CandidateNorm, candidateRank } from './ndcg-candidates.js'
import { listedRank } from './ndcg-list.js'
import { ndcgTop, type RankedBy } from './ndcg-top.js'
import { perplexity } from './perplexity.js'
import { popularMiss, rareHit } from './popularity.js'
import { posteriorGain } from './posterior-gain.js'
import { probabilityGain } from './probability-gain.js'
import { rankNegatives } from './rank-negatives.js'
import { rating } from './rating.js'
import { repetition } from './repetition.js'
import { rerankGain } from './rerank-gain.js'
import type { RewardTerm, RewardTermId } from './reward.js'
import { steps } from './steps.js'
import { sufficiency } from './sufficiency.js'

export interface RewardSettings {
  readonly length: LengthLimits
  /** Nats per token (gain) or probability (post, gain_prob). */
  readonly gainClip: number
  /** suff, nats; 5 unless told. */
  readonly suffClip?: number
  readonly norm: CandidateNorm
  readonly leakPhrases: readonly string[]
  /** What the gate asks of a reasoning beside its form; null: nothing. Left out: the gate's own. */
  readonly formFloor?: FormFloor | null
  /** Places that ndcg_top looks at, and what gives an answer's places; 3 of what was listed unless told. */
  readonly top?: { readonly places: number; readonly by: RankedBy }
  /** pop_hit; 0.25 unless told. */
  readonly popGamma?: number
  /** Terms of the user's own. */
  readonly own?: readonly RewardTerm[]
}

const makers: Readonly<Record<RewardTermId, (settings: RewardSettings) => RewardTerm>> = {
  fmt: ({ formFloor: floor = formFloor }) => form(floor),
  hit: () => hit(),
  ndcg_list: () => listedRank(),
  ndcg_cand: ({ norm }) => candidateRank('ndcg_cand', norm),
  mrr_cand: ({ norm }) => candidateRank('mrr_cand', norm),
  lin_cand: ({ norm }) => candidateRank('lin_cand', norm),
  rankneg: () => rankNegatives(),
  beam: () => beamRank(),
  rerank_gain: () => rerankGain(),
  gain: ({ gainClip }) => likelihoodGain(gainClip),
  gain_prob: ({ gainClip }) => probabilityGain(gainClip),
  post: ({ gainClip }) => posteriorGain(gainClip),
  ppl: () => perplexity(),
  latro: () => latro(),
  judge: () => judged(),
  ground: () => grounding(),
  suff: ({ suffClip }) => sufficiency(suffClip),
  len: (settings) => length(settings.length),
  rep: () => repetition(),
  consist: () => consistency(),
  leak: ({ leakPhrases }) => leak(leakPhrases),
  pop: () => popularMiss(),
  pop_hit: ({ popGamma }) => rareHit(popGamma ?? 0.25),
  answered: ({ formFloor: floor = null }) => answered(floor),
  steps: () => steps(),
  ndcg_top: ({ top }) => ndcgTop(top?.places ?? 3, top?.by ?? 'listed'),
  rating: () => rating(),
}

export const rewardTermIds = Object.keys(makers) as readonly RewardTermId[]

/** @throws RangeError for an id that is not registered; rewardOf (weights.ts) refuses those before. */
export function rewardTerm(id: string, settings: RewardSettings): RewardTerm {
  const own = settings.own?.find((term) => term.id === id)
  if (own) return own
  if (!Object.hasOwn(makers, id)) throw new RangeError(`there is no reward term ${id}`)
  return makers[id as RewardTermId](settings)
}

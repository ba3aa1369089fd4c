/**
 * fmt = 1 if the response has the asked form and answers with a candidate that is not in the history
 * (gates G1 and G2), else 0. Beyond the specification, the reasoning must be prose: at least five words outside of
 * titles and numbers, at least 30 % of all words, and at most half of its 4-grams repeated. Without this floor an empty
 * think block, a copied history or a pile of titles would score like an honest miss (spec 11.9).
 */

import { words } from '../data/title.js'
import { type RewardContext, type RewardTerm, type Rollout, rolloutCitations } from './reward.js'
import { repeatedShare } from './text-statistics.js'

export interface FormFloor {
  readonly proseWords: number
  readonly proseShare: number
  readonly repeatedShare: number
}

export const formFloor: FormFloor = { proseWords: 5, proseShare: 0.3, repeatedShare: 0.5 }

export function form(floor: FormFloor | null = formFloor): RewardTerm {
  return {
    id: 'fmt',
    needs: 'text',
    core: false,
    rationality: false,
    credit: 'recommendation',
    neutral: 0,
    compute: (group, context) => group.map((rollout) => (wellFormed(rollout, context, floor) ? 1 : 0)),
  }
}

function wellFormed(rollout: Rollout, context: RewardContext, floor: FormFloor | null): boolean {
  const { reasoning, item } = rollout.parsed
  if (rollout.finish !== 'complete' || reasoning === null || item === null) return false
  if (context.instance.history.includes(item)) return false
  return floor === null || hasProse(rollout, context, floor)
}

/** Is the reasoning more than titles, numbers and what was said before? */
export function hasProse(rollout: Rollout, context: RewardContext, floor: FormFloor): boolean {
  const cites = rolloutCitations(rollout, context)
  return (
    cites !== null &&
    cites.proseWords >= floor.proseWords &&
    cites.proseWords >= floor.proseShare * cites.words &&
    repeatedShare(words(rollout.parsed.reasoning ?? '')) <= floor.repeatedShare
  )
}

/** leak = -1 if the reasoning holds a phrase that gives away knowledge from outside the history (G4), else 0. */

import { words } from '../data/title.js'
import type { RewardTerm } from './reward.js'
import { containedPhrase } from './text-statistics.js'

export function leak(phrases: readonly string[]): RewardTerm {
  return {
    id: 'leak',
    needs: 'text',
    core: false,
    rationality: false,
    credit: 'reasoning',
    neutral: 0,
    compute: (group) =>
      group.map(({ parsed }) => {
        if (parsed.reasoning === null) return Number.NaN
        return containedPhrase(words(parsed.reasoning), phrases) === null ? 0 : -1
      }),
  }
}

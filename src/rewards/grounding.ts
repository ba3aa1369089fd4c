/**
 * ground = (titles cited that are in the history or among the candidates) / (all titles cited), 1 if none is cited,
 * minus 0.5 if no title of the history is cited. Quoted strings that are no title count as cited and foreign.
 * Range [-0.5, 1]; composition adds weight * (ground - 1), so the term only ever takes away.
 */

import { type RewardTerm, rolloutCitations } from './reward.js'

export function grounding(): RewardTerm {
  return {
    id: 'ground',
    needs: 'text',
    core: false,
    rationality: false,
    credit: 'reasoning',
    neutral: 1,
    compute: (group, context) =>
      group.map((rollout) => {
        const cites = rolloutCitations(rollout, context)
        if (cites === null) return Number.NaN
        const own = new Set([...cites.history, ...cites.candidates]).size
        const all = own + cites.foreign.length
        return (all === 0 ? 1 : own / all) - (cites.history.size === 0 ? 0.5 : 0)
      }),
  }
}

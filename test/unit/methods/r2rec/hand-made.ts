/** Three users and six albums by hand: small enough to write every question about them out. */

import type { Dataset, Instance, Interaction } from '../../../../src/data/types.js'
import type { Chain, ChainSource } from '../../../../src/methods/r2rec/chain.js'
import { type R2Rec, type R2RecOptions, r2rec } from '../../../../src/methods/r2rec/index.js'
import { untrusted } from '../../../../src/prompts/untrusted-text.js'

export const titles = ['Lagoon Orin', 'Vale Tamsin', 'Cove Pell', 'Glade Vell', 'Harbor Lund', 'Prairie Rao']

const rated = (user: string, ...choices: readonly (readonly [number, number])[]): Interaction[] =>
  choices.map(([item, rating], timestamp) => ({ user, item, rating, timestamp }))

const ann = rated('ann', [0, 5], [1, 3], [3, 2])
const bob = rated('bob', [0, 4], [1, 4], [2, 5])
const cam = rated('cam', [0, 1], [4, 2], [5, 5])

export const handMade: Dataset = {
  name: 'hand made',
  noun: 'album',
  items: titles.map((title, id) => ({ id: String(id), title: untrusted(title) })),
  trainInteractions: [...ann, ...bob, ...cam],
  train: [],
  valid: [],
  test: [],
  userInteractions: new Map([
    ['ann', [...ann, ...rated('ann', [2, 4])]],
    ['bob', bob],
    ['cam', cam],
  ]),
  notes: [],
}

/** Ann has chosen three albums; the next one is Cove Pell, which she rates 4. */
export const instance: Instance = {
  id: 'train/ann/3',
  user: 'ann',
  history: [0, 1],
  target: 2,
  candidates: [4, 2, 5],
  position: 3,
}

/** ann - Lagoon Orin - bob - Vale Tamsin - ann. */
export const loop: Chain = { users: ['ann', 'bob'], items: [0, 1], ratings: [5, 4, 4, 3], closed: true }
/** The same, ending in the target, whose rating is asked for. */
export const asking: Chain = { users: ['ann', 'bob'], items: [0, 2], ratings: [5, 4, 5, null], closed: true }

export const fixedChains: ChainSource = {
  amongHistory: (_, count) => [loop].slice(0, count),
  endingAt: (_, item, count) => (item === 2 ? [asking] : []).slice(0, count),
}

export function methodOf(options: Partial<R2RecOptions> = {}): R2Rec {
  return r2rec({
    wording: 'standard',
    labels: 20,
    stepWords: 40,
    chains: 3,
    source: () => fixedChains,
    rankingShare: 0.2,
    ratingPrompts: 0,
    seed: 0,
    requiredGates: ['form', 'steps', 'hops', 'early', 'leak', 'right'],
    ...options,
  })
}

/** What each step of a walk is asked to say (spec 4.2), in the standard wording. */

import type { Step } from './walk.js'

const first = 'What does the rating of i0 by u0 say about what u0 likes?'
const sameItem =
  'Compare the two ratings of this one: do u0 and the others of the chain agree on it, and on what?'
const nextItem = 'What does this rating say about how well it suits somebody with such a taste?'
const last = 'Carry the steps before over to u0, and state the rating of 5 you expect.'

export function stepInstruction(walk: readonly Step[], index: number): string {
  if (index === walk.length - 1) return last
  if (index === 0) return first
  return walk[index]?.hop.place === walk[index - 1]?.hop.place ? sameItem : nextItem
}

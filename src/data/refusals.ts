/**
 * What would make numbers from a dataset meaningless stops here: nothing to learn or test on, too few items
 * for a list, and leaks. A leak is one (user, place) in two parts, or an interaction used as a target of one
 * part while another part counts it as its own.
 */

import { ReasonrecError } from '../engine/errors.js'
import type { Drafts } from './drafts.js'
import type { Split } from './split.js'
import { type Part, partNames } from './types.js'

export function refuseLeaks(drafts: Drafts, split: Split): void {
  const seen = new Map<string, { part: Part; id: string }>()
  for (const part of partNames)
    for (const { id, user, position, history, target } of drafts[part]) {
      const key = JSON.stringify(position === null ? [user, history, target] : [user, position])
      const before = seen.get(key)
      if (before && before.part !== part)
        throw leak(
          `${id} is also ${before.id}`,
          'parts that share no target',
          `one target in ${before.part} and ${part}`,
        )
      seen.set(key, { part, id })
      const owner = position === null ? part : split.partOf(user, position)
      if (owner !== part && (part === 'train' || owner === 'train'))
        throw leak(
          `${id} uses an interaction of the ${owner} part`,
          `an interaction of the ${part} part`,
          `user ${user}, place ${position}`,
        )
    }
}

function leak(what: string, expected: string, got: string): ReasonrecError {
  return new ReasonrecError('RR_DATA_LEAK', what, {
    expected,
    got,
    remedy: 'correct the published lists or windows, or give the users their parts in split.csv',
  })
}

export function refuseTooFewItems(items: number, needed: number, folder: string): void {
  if (items >= needed) return
  throw new ReasonrecError('RR_DATA_TOO_FEW_ITEMS', `${folder} has too few items for lists of ${needed}`, {
    expected: `at least ${needed} items with interactions`,
    got: String(items),
    remedy: 'bring more items or ask for shorter lists (data.candidates)',
  })
}

export function refuseEmptyPart(part: Part, instances: number, folder: string, minHistory: number): void {
  if (instances > 0) return
  throw new ReasonrecError('RR_DATA_EMPTY', `${folder} gives no ${part} instance`, {
    expected: `users with at least ${minHistory} items before a target that they had not chosen just before`,
    got: 'none',
    remedy: 'bring longer histories or lower data.min_hist',
  })
}

/**
 * Which part each interaction belongs to (spec 7.2).
 *
 *   user           whole users, from split.csv or from the users of published test and validation lists
 *   loo            a user's last interaction is test, the one before it validation; users with fewer than
 *                  three train with all they have
 *   global81       all interactions by time, cut where 80 % and 90 % of the possible targets lie before
 *   user81         whole users by hash, 8:1:1; a validation or test user gives one target, the last item
 *
 * `auto` takes split.csv where there is one; else the users of test20 and valid20 are held out, if others
 * remain to train on; else loo.
 */

import { ReasonrecError } from '../engine/errors.js'
import { chosen } from './random.js'
import type { RawData } from './raw.js'
import type { Interaction, Part } from './types.js'

export type SplitRule = 'user' | 'loo' | 'global81' | 'user81'

export interface Split {
  readonly rule: SplitRule
  /** `position` counts from 0 in the user's sequence. */
  partOf(user: string, position: number): Part
  /** Whether this place may be the target of a validation or test instance; all may unless told. */
  asks?(user: string, position: number): boolean
}

type ByUser = ReadonlyMap<string, readonly Interaction[]>

export function splitInteractions(
  raw: RawData,
  byUser: ByUser,
  wanted: 'auto' | SplitRule,
  minHistory: number,
  seed: number,
): Split {
  if (wanted === 'loo') return leaveOneOut(byUser)
  if (wanted === 'user81') return user81(byUser, seed)
  if (wanted === 'global81') return global81(byUser, minHistory)
  const users = raw.userSplit ?? heldOutByLists(raw, byUser)
  if (users) return { rule: 'user', partOf: (user) => users.get(user) ?? 'train' }
  if (wanted === 'user')
    throw new ReasonrecError('RR_DATA_NOT_FOUND', 'a split by user is asked for and no user is assigned', {
      expected: 'split.csv with user,split, or published lists of held-out users',
      got: 'neither',
      remedy: 'add split.csv or choose loo',
    })
  return leaveOneOut(byUser)
}

function heldOutByLists({ valid, test }: RawData, byUser: ByUser): Map<string, Part> | null {
  if (!valid && !test) return null
  const parts = new Map<string, Part>()
  for (const { user } of valid?.rows ?? []) parts.set(user, 'valid')
  for (const { user } of test?.rows ?? []) parts.set(user, 'test')
  return [...byUser.keys()].some((user) => !parts.has(user)) ? parts : null
}

function leaveOneOut(byUser: ByUser): Split {
  const partOf = (user: string, position: number): Part => {
    const length = byUser.get(user)?.length ?? 0
    if (length < 3 || position < length - 2) return 'train'
    return position === length - 1 ? 'test' : 'valid'
  }
  return { rule: 'loo', partOf }
}

function global81(byUser: ByUser, minHistory: number): Split {
  const places = [...byUser].flatMap(([user, sequence]) =>
    sequence.map(({ timestamp }, position) => ({ user, position, timestamp })),
  )
  places.sort(
    (a, b) =>
      a.timestamp - b.timestamp || (a.user < b.user ? -1 : a.user > b.user ? 1 : a.position - b.position),
  )
  const targets = places.filter(({ position }) => position >= minHistory).length
  const parts = new Map<string, Part[]>()
  let before = 0
  for (const { user, position } of places) {
    const part = before < 0.8 * targets ? 'train' : before < 0.9 * targets ? 'valid' : 'test'
    if (position >= minHistory) before++
    const own = parts.get(user)
    if (own) own.push(part)
    else parts.set(user, [part])
  }
  return { rule: 'global81', partOf: (user, position) => parts.get(user)?.[position] ?? 'train' }
}

function user81(byUser: ByUser, seed: number): Split {
  const users = [...byUser.keys()]
  const heldOut = chosen(users, Math.round(0.2 * users.length), (user) => user, seed, 'user81')
  const tested = new Set(chosen(heldOut, Math.ceil(heldOut.length / 2), (user) => user, seed, 'user81 test'))
  const parts = new Map<string, Part>(heldOut.map((user) => [user, tested.has(user) ? 'test' : 'valid']))
  return {
    rule: 'user81',
    partOf: (user) => parts.get(user) ?? 'train',
    asks: (user, position) => !parts.has(user) || position === (byUser.get(user)?.length ?? 0) - 1,
  }
}

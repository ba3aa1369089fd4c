/**
 * C20 (spec 7.3): the target and 19 items drawn uniformly from those that occur in the data and that the
 * user never chose, in an order of the same draw. The generator is keyed by (seed, instance id, epoch), and
 * an id names a user and a place, never the target: lists drawn from the target's id give the answer away.
 * C20pop draws negatives in proportion to their interactions in the training part instead.
 * Published lists keep their set; only their order is drawn. Under `full` a test has no list of its own.
 */

import { ReasonrecError } from '../engine/errors.js'
import { type Random, seeded } from './random.js'
import type { Dataset, Instance, ItemIndex, NegativeSource, Part } from './types.js'

/** The part of an instance that decides its list. */
export type Asked = Pick<Instance, 'id' | 'user' | 'history' | 'target'>

const ownItems = new WeakMap<readonly ItemIndex[], ReadonlySet<ItemIndex>>()

function itemsOfUser(
  userItems: ReadonlyMap<string, readonly ItemIndex[]>,
  user: string,
): ReadonlySet<ItemIndex> {
  const items = userItems.get(user)
  if (!items) return new Set()
  let own = ownItems.get(items)
  if (!own) {
    own = new Set(items)
    ownItems.set(items, own)
  }
  return own
}

/** Null where the user chose so much that too few items are left. */
export function drawCandidates(
  source: NegativeSource,
  userItems: ReadonlyMap<string, readonly ItemIndex[]>,
  asked: Asked,
  epoch: number,
): ItemIndex[] | null {
  const { universe, count, seed } = source
  const own = source.exclude === 'window' ? new Set(asked.history) : itemsOfUser(userItems, asked.user)
  if (universe.length - own.size < count - 1) return null
  const random = seeded(seed, 'negatives', asked.id, epoch)
  const list = [asked.target]
  // Published histories may name items that the user's interactions lack, so they are kept out as well.
  const open = (item: ItemIndex): boolean =>
    !own.has(item) && !asked.history.includes(item) && !list.includes(item)
  for (let misses = 0; list.length < count; ) {
    const item = universe[place(source, random)] as ItemIndex
    if (open(item)) list.push(item)
    else if (++misses > 50 * count) return fromTheRest(universe.filter(open), list, count, random.shuffled)
  }
  return random.shuffled(list)
}

/** Where in the universe a draw falls. */
function place({ universe, runningCounts }: NegativeSource, random: Random): number {
  if (!runningCounts) return random.below(universe.length)
  const mark = random.float() * (runningCounts.at(-1) as number)
  let low = 0
  for (let high = universe.length - 1; low < high; ) {
    const middle = (low + high) >> 1
    if ((runningCounts[middle] as number) > mark) high = middle
    else low = middle + 1
  }
  return low
}

/** For users who chose most of the universe, where drawing and refusing would take long. */
function fromTheRest(
  rest: readonly ItemIndex[],
  list: readonly ItemIndex[],
  count: number,
  shuffled: <T>(values: readonly T[]) => T[],
): ItemIndex[] | null {
  if (list.length + rest.length < count) return null
  return shuffled([...list, ...shuffled(rest).slice(0, count - list.length)])
}

/** A published list in an order of our own: its printed order may depend on the target. */
export function shufflePublished(candidates: readonly ItemIndex[], seed: number, id: string): ItemIndex[] {
  return seeded(seed, 'order', id).shuffled([...candidates].sort((a, b) => a - b))
}

/**
 * The part's instances with the lists of another candidate seed; null where lists came with the data or the
 * whole catalogue is ranked, so that no seed plays a part. Instances that lose their list (too few items) go.
 */
export function withCandidateSeed(dataset: Dataset, part: Part, seed: number): Instance[] | null {
  const { negatives, userItems, fixedLists = [], fullRanking = false } = dataset
  if (!negatives || !userItems || fixedLists.includes(part) || fullRanking) return null
  return dataset[part].flatMap((instance) => {
    const candidates = drawCandidates({ ...negatives, seed }, userItems, instance, 0)
    return candidates ? [{ ...instance, candidates }] : []
  })
}

/**
 * The instance with the list of another epoch. Epoch 0 is the list it was loaded with. For training
 * instances only: the lists of validation and test never change.
 */
export function withFreshNegatives(dataset: Dataset, instance: Instance, epoch: number): Instance {
  if (!instance.id.startsWith('train/'))
    throw new ReasonrecError('RR_DATA_LEAK', `new negatives were asked for ${instance.id}`, {
      expected: 'a training instance',
      got: instance.id,
      remedy: 'keep the lists of validation and test as they are',
    })
  const { negatives, userItems } = dataset
  const candidates = negatives && userItems ? drawCandidates(negatives, userItems, instance, epoch) : null
  if (!candidates)
    throw new ReasonrecError('RR_DATA_TOO_FEW_ITEMS', `no negatives can be drawn for ${instance.id}`, {
      expected: 'a dataset from loadDataset',
      got: negatives
        ? 'too few items outside the history of the user'
        : 'a dataset without a source of negatives',
      remedy: 'load the data with loadDataset',
    })
  return { ...instance, candidates }
}

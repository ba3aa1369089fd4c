/**
 * Against popularity (spec 5.3); off by default, for RE2's claim is that the bias falls without such a term.
 *   pop      = -phi%(a) [a != y]      phi%: share of the catalogue with fewer training interactions, ties counted half
 *   pop_hit  = [a = y] w(y),  w(i) = max(1, phi(i))^-gamma over its mean on the training targets
 * phi counts interactions of the training part alone.
 */

import type { Dataset, ItemIndex } from '../data/types.js'
import { trainCounts } from '../eval/baselines/baseline.js'
import type { RewardTerm } from './reward.js'

export function popularMiss(): RewardTerm {
  return {
    id: 'pop',
    needs: 'text',
    core: false,
    rationality: false,
    credit: 'recommendation',
    neutral: 0,
    compute: (group, { dataset, instance }) =>
      group.map(({ parsed: { item } }) =>
        item === null || item === instance.target ? 0 : 0 - percentileOf(dataset, item),
      ),
  }
}

export function rareHit(gamma: number): RewardTerm {
  return {
    id: 'pop_hit',
    needs: 'text',
    core: true,
    rationality: false,
    credit: 'recommendation',
    neutral: 0,
    compute: (group, { dataset, instance }) => {
      const weight = rarity(dataset, instance.target, gamma)
      return group.map(({ parsed }) => (parsed.item === instance.target ? weight : 0))
    },
  }
}

const counted = new WeakMap<Dataset, Float64Array>()
const ranked = new WeakMap<Dataset, Float64Array>()
const meanRarity = new WeakMap<Dataset, Map<number, number>>()

function countsOf(dataset: Dataset): Float64Array {
  let counts = counted.get(dataset)
  if (!counts) {
    counts = trainCounts(dataset)
    counted.set(dataset, counts)
  }
  return counts
}

/** 0: the least popular of all, 1: the most popular; 0.5 throughout where all are alike. */
function percentileOf(dataset: Dataset, item: ItemIndex): number {
  const counts = countsOf(dataset)
  let ascending = ranked.get(dataset)
  if (!ascending) {
    ascending = Float64Array.from(counts).sort()
    ranked.set(dataset, ascending)
  }
  const own = counts[item] ?? 0
  const fewer = firstAtLeast(ascending, own)
  const others = firstAtLeast(ascending, own + 1) - fewer - 1
  return ascending.length < 2 ? 0.5 : (fewer + others / 2) / (ascending.length - 1)
}

/** How many of the ascending values lie below `bound`. */
function firstAtLeast(ascending: Float64Array, bound: number): number {
  let [low, high] = [0, ascending.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (ascending[middle]! < bound) low = middle + 1
    else high = middle
  }
  return low
}

function rarity(dataset: Dataset, item: ItemIndex, gamma: number): number {
  const counts = countsOf(dataset)
  const raw = (one: ItemIndex): number => Math.max(1, counts[one] ?? 0) ** -gamma
  const means = meanRarity.get(dataset) ?? new Map<number, number>()
  meanRarity.set(dataset, means)
  let mean = means.get(gamma)
  if (mean === undefined) {
    const targets = dataset.train.map(({ target }) => raw(target))
    mean = targets.length === 0 ? 1 : targets.reduce((sum, value) => sum + value, 0) / targets.length
    means.set(gamma, mean)
  }
  return raw(item) / mean
}

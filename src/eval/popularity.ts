/**
 * Popularity bias and diversity of recommendation lists (spec 7.6). phi(i) = interactions of item i in the
 * training part; R_u = the list shown for test u; P(i) = how often item i was recommended; S = sum of P.
 *
 *   ARP      mean_u mean_{i in R_u} phi(i)                 APLT  mean_u |R_u in tail| / |R_u|    ACLT  mean_u |R_u in tail|
 *   Gini     sum_j (2j - |I| - 1) P_(j) / (|I| S)          Coverage  share of items with P > 0
 *   Entropy  -sum q ln q, nats; _norm divides by ln |I|    DivRatio  distinct / S                ORRatio   share of the 3 most recommended
 *   MGU, DGU mean |p_g - h_g| and max - min of p_g - h_g over groups g; an item's mass is split over its groups
 *   PopLift  ARP(R) / ARP(H) - 1    GAP  ARP(R) - ARP(targets)    CandidateLift  ARP(R) / ARP(C) - 1
 *
 * Head: the smallest prefix of items by falling phi that holds 80 % of the interactions, the item that
 * crosses included; tail: all others. In candidate mode the attainable ARP depends on the candidates, so
 * read CandidateLift there.
 */

import type { ItemIndex } from '../data/types.js'
import { coverage } from './metrics.js'

export interface PopularityInput {
  /** phi, one per catalogue item. */
  readonly counts: ArrayLike<number>
  readonly recommendations: readonly (readonly ItemIndex[])[]
  readonly histories?: readonly (readonly ItemIndex[])[]
  readonly targets?: readonly ItemIndex[]
  readonly candidates?: readonly (readonly ItemIndex[])[]
  /** Groups of each item (genres); popularity quintiles where absent. */
  readonly groups?: readonly (readonly string[])[]
}

export interface PopularityMetrics {
  readonly arp: number
  readonly aplt: number
  readonly aclt: number
  readonly gini: number
  readonly coverage: number
  readonly entropy: number
  readonly entropy_norm: number
  readonly div_ratio: number
  readonly or_ratio: number
  readonly mgu?: number
  readonly dgu?: number
  readonly pop_lift?: number
  readonly gap?: number
  readonly candidate_lift?: number
}

type Lists = readonly (readonly ItemIndex[])[]

/** Item indices by falling count; equal counts keep the catalogue's order. */
function byFallingCount(counts: ArrayLike<number>): ItemIndex[] {
  return Array.from({ length: counts.length }, (_, item) => item).sort(
    (a, b) => (counts[b] as number) - (counts[a] as number) || a - b,
  )
}

/** Smallest prefix by falling count that reaches `share` of all interactions. */
export function shortHead(counts: ArrayLike<number>, share = 0.8): Set<ItemIndex> {
  const total = Array.from(counts).reduce((sum, count) => sum + count, 0)
  const head = new Set<ItemIndex>()
  let reached = 0
  for (const item of byFallingCount(counts)) {
    head.add(item)
    reached += counts[item] as number
    if (reached >= share * total) break
  }
  return head
}

/**
 * Which of `parts` equal shares of the interaction mass each item lies in, 0 = most popular: the share in
 * which the item's mass begins.
 */
export function massParts(counts: ArrayLike<number>, parts: number): Uint8Array {
  const total = Array.from(counts).reduce((sum, count) => sum + count, 0)
  const part = new Uint8Array(counts.length)
  let before = 0
  for (const item of byFallingCount(counts)) {
    part[item] = total > 0 ? Math.min(parts - 1, Math.floor((before * parts) / total)) : 0
    before += counts[item] as number
  }
  return part
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length

function averagePopularity(counts: ArrayLike<number>, lists: Lists): number {
  return mean(
    lists.filter((list) => list.length > 0).map((list) => mean(list.map((item) => counts[item] as number))),
  )
}

function recommendedTimes(items: number, lists: Lists): Float64Array {
  const times = new Float64Array(items)
  for (const list of lists) for (const item of list) times[item] = (times[item] as number) + 1
  return times
}

/** 0 = every item equally often, towards 1 = one item only; items never recommended count as 0. */
export function gini(times: ArrayLike<number>): number {
  const ascending = Float64Array.from(times).sort()
  const total = ascending.reduce((sum, value) => sum + value, 0)
  const items = ascending.length
  return ascending.reduce((sum, value, j) => sum + (2 * (j + 1) - items - 1) * value, 0) / (items * total)
}

function entropyNats(times: Float64Array, total: number): number {
  return times.reduce((sum, value) => (value > 0 ? sum - (value / total) * Math.log(value / total) : sum), 0)
}

/** Share of each group in the pooled lists, an item's mass split evenly over its groups. */
function groupShares(lists: Lists, groups: readonly (readonly string[])[]): Map<string, number> {
  const mass = new Map<string, number>()
  for (const list of lists)
    for (const item of list) {
      const own = groups[item] ?? []
      for (const group of own) mass.set(group, (mass.get(group) ?? 0) + 1 / own.length)
    }
  const total = [...mass.values()].reduce((sum, value) => sum + value, 0)
  return new Map([...mass].map(([group, value]) => [group, value / total]))
}

function groupUnfairness(
  lists: Lists,
  histories: Lists,
  groups: readonly (readonly string[])[],
): { mgu: number; dgu: number } {
  const recommended = groupShares(lists, groups)
  const chosen = groupShares(histories, groups)
  const names = [...new Set(groups.flat())].sort()
  const difference = names.map((name) => (recommended.get(name) ?? 0) - (chosen.get(name) ?? 0))
  return { mgu: mean(difference.map(Math.abs)), dgu: Math.max(...difference) - Math.min(...difference) }
}

function popularityQuintiles(counts: ArrayLike<number>): string[][] {
  return Array.from(massParts(counts, 5), (part) => [`popularity ${part + 1} of 5`])
}

export function popularityMetrics(input: PopularityInput): PopularityMetrics {
  const { counts, recommendations, histories, targets, candidates } = input
  const head = shortHead(counts)
  const times = recommendedTimes(counts.length, recommendations)
  const total = times.reduce((sum, value) => sum + value, 0)
  const distinct = times.filter((value) => value > 0).length
  const mostRecommended = Float64Array.from(times)
    .sort()
    .slice(-3)
    .reduce((sum, value) => sum + value, 0)
  const tail = recommendations.map((list) => list.filter((item) => !head.has(item)).length)
  const arp = averagePopularity(counts, recommendations)
  const entropy = entropyNats(times, total)
  return {
    arp,
    aplt: mean(
      recommendations.map((list, index) => (list.length > 0 ? (tail[index] as number) / list.length : 0)),
    ),
    aclt: mean(tail),
    gini: gini(times),
    coverage: coverage(recommendations, counts.length),
    entropy,
    entropy_norm: entropy / Math.log(counts.length),
    div_ratio: distinct / total,
    or_ratio: mostRecommended / total,
    ...(histories &&
      groupUnfairness(recommendations, histories, input.groups ?? popularityQuintiles(counts))),
    ...(histories && { pop_lift: arp / averagePopularity(counts, histories) - 1 }),
    ...(targets && { gap: arp - mean(targets.map((item) => counts[item] as number)) }),
    ...(candidates && { candidate_lift: arp / averagePopularity(counts, candidates) - 1 }),
  }
}

export interface StratifiedHits {
  readonly head: number | null
  readonly mid: number | null
  readonly tail: number | null
}

/** Mean of `hits` over the tests whose target lies in each third of the interaction mass; null where none does. */
export function stratifiedHitRate(
  counts: ArrayLike<number>,
  targets: readonly ItemIndex[],
  hits: readonly number[],
): StratifiedHits {
  const third = massParts(counts, 3)
  const rate = (part: number): number | null => {
    const own = hits.filter((_, index) => third[targets[index] as ItemIndex] === part)
    return own.length > 0 ? mean(own) : null
  }
  return { head: rate(0), mid: rate(1), tail: rate(2) }
}

/** Targets by decile of the interaction mass, rarest first (10 counts); about equal for targets drawn as users choose. */
export function targetDeciles(counts: ArrayLike<number>, targets: readonly ItemIndex[]): number[] {
  const decile = massParts(counts, 10)
  const histogram = new Array<number>(10).fill(0)
  for (const item of targets) {
    const place = 9 - (decile[item] as number)
    histogram[place] = (histogram[place] as number) + 1
  }
  return histogram
}

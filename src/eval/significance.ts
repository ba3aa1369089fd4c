/**
 * How sure a mean is (spec 7.4): the cluster bootstrap. Tests of one user are not independent, so whole
 * users are drawn with replacement, 2,000 times; a resample's mean is its summed metric over its number
 * of tests. The 95 % interval holds the 2.5 to 97.5 percentiles. A paired difference draws the same users
 * for both sides; p is two-sided, 2 min(share <= 0, share >= 0), each share counted with one more draw so
 * that it is never 0. With few users intervals are too short: with one user they have no width at all.
 */

import { type Random, seeded } from '../data/random.js'
import { ReasonrecError } from '../engine/errors.js'
import { each } from './metrics.js'
import { basicMetrics, type RankingMeans, type RankingMetric, rankingMetrics } from './result-row.js'

export const resamples = 2000
/** One test as scored. */
export interface Outcome extends RankingMeans {
  readonly instance: string
  readonly user: string
}

export interface Interval {
  readonly lo95: RankingMeans
  readonly hi95: RankingMeans
}

export interface Difference {
  readonly metric: RankingMetric
  /** Tests that both sides answered. */
  readonly n: number
  readonly difference: number
  readonly lo95: number
  readonly hi95: number
  readonly p: number
}

export function meansOf(outcomes: readonly RankingMeans[]): RankingMeans {
  return each(
    metricsIn(outcomes),
    (metric) => outcomes.reduce((sum, outcome) => sum + (outcome[metric] ?? 0), 0) / outcomes.length,
  )
}

/** What the outcomes hold, all of them the same. */
function metricsIn([first]: readonly RankingMeans[]): readonly RankingMetric[] {
  return first ? rankingMetrics.filter((metric) => first[metric] !== undefined) : basicMetrics
}

interface Clusters {
  readonly metrics: readonly RankingMetric[]
  /** Tests per user. */
  readonly sizes: Float64Array
  /** (users, metrics) row-major sums. */
  readonly sums: Float64Array
}

/** Users sorted by name, so that an interval does not depend on the order of the tests. */
function clustersByUser(outcomes: readonly Outcome[]): Clusters {
  const users = [...new Set(outcomes.map(({ user }) => user))].sort()
  const place = new Map(users.map((user, index) => [user, index]))
  const sizes = new Float64Array(users.length)
  const metrics = metricsIn(outcomes)
  const sums = new Float64Array(users.length * metrics.length)
  for (const outcome of outcomes) {
    const index = place.get(outcome.user) as number
    sizes[index] = (sizes[index] as number) + 1
    metrics.forEach((metric, column) => {
      const at = index * metrics.length + column
      sums[at] = (sums[at] as number) + (outcome[metric] ?? 0)
    })
  }
  return { metrics, sizes, sums }
}

/** Means of each metric in each resample, sorted ascending per metric. */
function resampledMeans({ metrics, sizes, sums }: Clusters, random: Random): Float64Array[] {
  const width = metrics.length
  const columns = metrics.map(() => new Float64Array(resamples))
  const total = new Float64Array(width)
  for (let round = 0; round < resamples; round++) {
    let tests = 0
    total.fill(0)
    for (let draw = 0; draw < sizes.length; draw++) {
      const user = random.below(sizes.length)
      tests += sizes[user] as number
      for (let column = 0; column < width; column++)
        total[column] = (total[column] as number) + (sums[user * width + column] as number)
    }
    columns.forEach((column, index) => {
      column[round] = (total[index] as number) / tests
    })
  }
  return columns.map((column) => column.sort())
}

/** Linear interpolation between order statistics; `sorted` ascending. */
function quantile(sorted: Float64Array, share: number): number {
  const at = share * (sorted.length - 1)
  const below = sorted[Math.floor(at)] as number
  const above = sorted[Math.ceil(at)] as number
  return below + (above - below) * (at - Math.floor(at))
}

export function interval(outcomes: readonly Outcome[], seed = 0): Interval {
  if (outcomes.length === 0) throw new ReasonrecError('RR_DATA_EMPTY', 'no tests to take an interval of')
  const clusters = clustersByUser(outcomes)
  const columns = resampledMeans(clusters, seeded(seed, 'bootstrap', 'interval'))
  const at = (share: number): RankingMeans =>
    each(clusters.metrics, (metric) =>
      quantile(columns[clusters.metrics.indexOf(metric)] as Float64Array, share),
    )
  return { lo95: at(0.025), hi95: at(0.975) }
}

/** Metric of `a` minus metric of `b`, test by test; both must hold the same instances in any order. */
export function pairedDifferences(a: readonly Outcome[], b: readonly Outcome[], seed = 0): Difference[] {
  const other = new Map(b.map((outcome) => [outcome.instance, outcome]))
  const metrics = metricsIn(a)
  const pairs = a.map((mine) => {
    const theirs = other.get(mine.instance)
    if (!theirs || a.length !== b.length || other.size !== b.length)
      throw new ReasonrecError('RR_DATA_UNPAIRED', 'two results hold different tests', {
        expected: `${a.length} tests on both sides`,
        got: theirs ? `${a.length} and ${b.length}` : `no ${mine.instance} on one side`,
        remedy: 'evaluate both on the same instances',
      })
    return {
      instance: mine.instance,
      user: mine.user,
      ...each(metrics, (metric) => (mine[metric] ?? 0) - (theirs[metric] ?? 0)),
    }
  })
  if (pairs.length === 0) throw new ReasonrecError('RR_DATA_EMPTY', 'no tests to compare')
  const means = meansOf(pairs)
  const columns = resampledMeans(clustersByUser(pairs), seeded(seed, 'bootstrap', 'paired'))
  return metrics.map((metric, index) => {
    const column = columns[index] as Float64Array
    return {
      metric,
      n: pairs.length,
      difference: means[metric] ?? 0,
      lo95: quantile(column, 0.025),
      hi95: quantile(column, 0.975),
      p: twoSided(column),
    }
  })
}

function twoSided(sorted: Float64Array): number {
  const notAbove = sorted.filter((value) => value <= 0).length
  const notBelow = sorted.filter((value) => value >= 0).length
  return Math.min(1, (2 * (Math.min(notAbove, notBelow) + 1)) / (sorted.length + 1))
}

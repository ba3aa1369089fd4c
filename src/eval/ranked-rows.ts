/**
 * Rows of scorers that need no language model, all on the same tests: counting baselines, models from outside,
 * imported scores. On a whole catalogue each row stands twice: with the items that the user chose before in the
 * ranking, and with them left out, because published tables do either. On drawn lists a row can carry the error of
 * the draw: the same tests with lists of further candidate seeds.
 */

import { withCandidateSeed } from '../data/candidates.js'
import type { Dataset, Instance } from '../data/types.js'
import type { Baseline } from './baselines/baseline.js'
import { each } from './metrics.js'
import { rankingOutcomes, resultRow, type Scores } from './protocol.js'
import {
  catalogueMetrics,
  listMetrics,
  type RankingMeans,
  type RankingMetric,
  type ResultRow,
  type RowId,
  rankingMetrics,
} from './result-row.js'
import { meansOf, type Outcome } from './significance.js'

export interface Scorer {
  readonly id: RowId
  /** Tells scorers of one id apart. */
  readonly name?: string
  /** One row for each instance, in their order. */
  scores(instances: readonly Instance[]): Promise<Scores>
  /** Answers only the lists it was made for: no further candidate seeds. */
  readonly fixed?: boolean
}

export interface RankedRow {
  readonly row: ResultRow
  readonly outcomes: readonly Outcome[]
}

export interface RankOptions {
  /** Of the bootstrap. */
  readonly seed: number
  /** By protocol unless told: lists to 10, a catalogue to 50. */
  readonly metrics?: readonly RankingMetric[]
  /** Further candidate seeds, beside the one of the tests. */
  readonly candidateSeeds?: readonly number[]
}

export function scorerOf({ id, score }: Baseline): Scorer {
  return { id, scores: async (instances) => instances.map((instance) => score(instance)) }
}

/** `tests`: of the dataset's test part. */
export async function rankedRows(
  dataset: Dataset,
  tests: readonly Instance[],
  scorers: readonly Scorer[],
  options: RankOptions,
): Promise<RankedRow[]> {
  const metrics = options.metrics ?? (dataset.fullRanking ? catalogueMetrics : listMetrics)
  const rows: RankedRow[] = []
  for (const scorer of scorers) {
    const [all, masked] = await outcomesOf(dataset, tests, scorer, metrics)
    const row = rowOf(scorer, all, options.seed)
    if (dataset.fullRanking)
      rows.push(
        { outcomes: all, row: { ...row, masked: false } },
        { outcomes: masked, row: { ...rowOf(scorer, masked, options.seed), masked: true } },
      )
    else
      rows.push({
        outcomes: all,
        row: await withSeedError(dataset, all, scorer, row, { ...options, metrics }),
      })
  }
  return rows
}

/** Tests scored together: a list may be a whole catalogue, and all of them would not fit. */
const together = 64

/** With everything ranked, and on a whole catalogue also without what the user chose before. */
async function outcomesOf(
  dataset: Dataset,
  tests: readonly Instance[],
  scorer: Scorer,
  metrics: readonly RankingMetric[],
): Promise<[all: Outcome[], masked: Outcome[]]> {
  const all: Outcome[] = []
  const masked: Outcome[] = []
  for (let from = 0; from < tests.length; from += together) {
    const some = tests.slice(from, from + together)
    const scores = await scorer.scores(some)
    all.push(...rankingOutcomes(some, { scores }, { metrics }))
    if (!dataset.fullRanking) continue
    const left = some.map((test, at) => withoutChosen(dataset, test, scores[at] ?? null))
    masked.push(...rankingOutcomes(some, { scores: left }, { metrics }))
  }
  return [all, masked]
}

function rowOf({ id, name }: Scorer, outcomes: readonly Outcome[], seed: number): ResultRow {
  return { ...resultRow(outcomes, { id, mode: 'none', seed }), ...(name !== undefined && { name }) }
}

/** Scores with the items the user chose before the test left out; the target stays. */
export function withoutChosen(
  dataset: Pick<Dataset, 'userItems'>,
  { user, position, history, target, candidates }: Instance,
  scores: readonly (number | null)[] | null,
): (number | null)[] | null {
  if (!scores) return null
  const own = dataset.userItems?.get(user)
  const before = new Set([...history, ...(position ? (own?.slice(0, position) ?? []) : [])])
  return scores.map((score, at) => {
    const item = candidates[at] as number
    return item !== target && before.has(item) ? null : score
  })
}

async function withSeedError(
  dataset: Dataset,
  outcomes: readonly Outcome[],
  scorer: Scorer,
  row: ResultRow,
  options: RankOptions & { readonly metrics: readonly RankingMetric[] },
): Promise<ResultRow> {
  const further = (options.candidateSeeds ?? []).filter((seed) => seed !== dataset.negatives?.seed)
  if (further.length === 0 || scorer.fixed) return row
  const wanted = new Set(outcomes.map(({ instance }) => instance))
  const means: RankingMeans[] = [meansOf(outcomes)]
  for (const seed of further) {
    const others = withCandidateSeed(dataset, 'test', seed)?.filter(({ id }) => wanted.has(id))
    if (!others) return row
    const [again] = await outcomesOf(dataset, others, scorer, options.metrics)
    means.push(meansOf(again))
  }
  const seeds = [dataset.negatives?.seed ?? 0, ...further]
  return { ...row, candidate_seeds: { seeds, ...spread(means) } }
}

/** Mean and standard deviation (n - 1) of each metric. */
export function spread(means: readonly RankingMeans[]): { mean: RankingMeans; sd: RankingMeans } {
  const metrics = rankingMetrics.filter((metric) => means[0]?.[metric] !== undefined)
  const mean = each(metrics, (metric) => meansOf(means)[metric] ?? 0)
  const sd = each(metrics, (metric) => {
    const squares = means.map((one) => ((one[metric] ?? 0) - (mean[metric] ?? 0)) ** 2)
    return Math.sqrt(squares.reduce((sum, square) => sum + square, 0) / Math.max(1, means.length - 1))
  })
  return { mean, sd }
}

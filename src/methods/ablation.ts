/**
 * A method's grid of ablations (<method>/ablations.yaml): named rows, each a change of the configuration or another
 * reading of a run that is made anyway; and what several seeds of a row come to.
 */

import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { z } from 'zod'
import { ReasonrecError } from '../engine/errors.js'
import type { RankingMetric, ResultRow } from '../eval/result-row.js'
import { topThreeMetrics } from '../eval/result-row.js'
import type { RunSummary } from '../phases/run/run-record.js'

export interface Ablation {
  readonly id: string
  readonly what: string
  /** The row whose run it reads: its own, or another's. */
  readonly run: string
  /** "a.b=c", of its own run. */
  readonly set: readonly string[]
  /** Row and mode of the result table. */
  readonly reads: string
  /** Null: the run's eval.mode. */
  readonly mode: string | null
}

const rowSchema = z.strictObject({
  what: z.string(),
  run: z.string().optional(),
  set: z.array(z.string()).default([]),
  reads: z.string().default('internalized'),
  mode: z.string().optional(),
})
const gridSchema = z.record(z.string(), rowSchema)

export function readAblations(file: URL): Ablation[] {
  const grid = gridSchema.parse(parse(readFileSync(file, 'utf8')))
  return Object.entries(grid).map(([id, { run = id, mode = null, ...row }]) => ({ id, run, mode, ...row }))
}

/** The rows of these names, in the grid's order. @throws RR_USAGE_ROWS */
export function chosenAblations(grid: readonly Ablation[], names: readonly string[]): Ablation[] {
  const known = grid.map(({ id }) => id)
  const strange = names.find((name) => !known.includes(name))
  if (strange === undefined && names.length > 0) return grid.filter(({ id }) => names.includes(id))
  throw new ReasonrecError(
    'RR_USAGE_ROWS',
    strange === undefined ? 'no rows are named' : `there is no row ${strange}`,
    {
      expected: known.join(', '),
      remedy: 'name some of them: --rows full,no_rl',
    },
  )
}

export interface AblationRow {
  readonly id: string
  readonly what: string
  readonly seeds: readonly number[]
  readonly n: number
  /** Means over the seeds. */
  readonly hr1: number
  /**
   * Means over the seeds of the bounds of each seed's 95 % interval. Seeds share their tests, so this is what one seed
   * leaves open; how far seeds lie apart is hr1_by_seed.
   */
  readonly lo95: Readonly<Partial<Record<RankingMetric, number>>>
  readonly hi95: Readonly<Partial<Record<RankingMetric, number>>>
  readonly hr1_by_seed: readonly number[]
}

/** One row over its seeds, each with the summary of its run. @throws RR_DATA_ROW where a run lacks what the row reads */
export function ablationRow(
  { id, what, reads, mode }: Ablation,
  runs: readonly { readonly seed: number; readonly summary: RunSummary; readonly evalMode: string }[],
): AblationRow {
  const rows = runs.map(({ summary, evalMode }) => rowOf(summary, reads, mode ?? evalMode))
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length
  const metrics = topThreeMetrics.filter((metric) => rows.every((row) => row[metric] !== undefined))
  const over = (
    of: (row: ResultRow) => Partial<Record<RankingMetric, number>>,
  ): Record<RankingMetric, number> =>
    Object.fromEntries(
      metrics.map((metric) => [metric, mean(rows.map((row) => of(row)[metric] ?? Number.NaN))]),
    ) as Record<RankingMetric, number>
  return {
    id,
    what,
    seeds: runs.map(({ seed }) => seed),
    n: rows[0]?.n ?? 0,
    ...over((row) => row),
    lo95: over(({ lo95 }) => lo95),
    hi95: over(({ hi95 }) => hi95),
    hr1_by_seed: rows.map(({ hr1 }) => hr1),
  }
}

function rowOf({ table, run }: RunSummary, id: string, mode: string): ResultRow {
  const found = table.find((row) => row.id === id && row.mode === mode)
  if (found) return found
  throw new ReasonrecError('RR_DATA_ROW', `${run} has no row ${id} (${mode})`, {
    expected: `one of ${table.map((row) => `${row.id} (${row.mode})`).join(', ')}`,
    remedy: 'run with rl.steps above 0, and with the controls that the row reads',
  })
}

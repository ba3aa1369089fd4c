/** predictions.jsonl: one answer a line, written by evaluation and read back for the result table. */

import type { Instance } from '../../data/types.js'
import { rankingOutcomes } from '../../eval/protocol.js'
import { basicMetrics, type RankingMetric, type RowId } from '../../eval/result-row.js'
import type { Outcome } from '../../eval/significance.js'
import type { ModelMode, Prediction } from '../prediction/predictions.js'
import { readJsonLines } from '../run/files.js'
import type { RunDirectory } from '../run/run-directory.js'
import type { ProbeName, ProbeValues } from './probes.js'

export interface PredictionLine extends Prediction {
  readonly row: RowId
  readonly mode: ModelMode
}

/** What a probe measured on one answer of a row (probes.ts). */
export interface ProbeLine {
  readonly row: RowId
  readonly mode: `probe ${ProbeName}`
  readonly instance: string
  readonly values: ProbeValues
}

export function readPredictions(run: RunDirectory): PredictionLine[] {
  return readLines(run).filter((line): line is PredictionLine => !isProbe(line))
}

export function readProbes(run: RunDirectory): ProbeLine[] {
  return readLines(run).filter(isProbe)
}

function readLines(run: RunDirectory): (PredictionLine | ProbeLine)[] {
  return readJsonLines<PredictionLine | ProbeLine>(run.file('predictions.jsonl'))
}

function isProbe(line: PredictionLine | ProbeLine): line is ProbeLine {
  return line.mode.startsWith('probe ')
}

/** Outcomes of one row's lines, in the order of the instances. */
export function outcomesOf(
  instances: readonly Instance[],
  lines: readonly PredictionLine[],
  metrics: readonly RankingMetric[] = basicMetrics,
): Outcome[] {
  const byInstance = new Map(lines.map((line) => [line.instance, line]))
  const ordered = instances.map(({ id }) => byInstance.get(id))
  if (ordered.some((line) => line && !line.scores)) {
    const ranks = instances.map(({ target }, index) => rankAmongNamed(ordered[index], target))
    return rankingOutcomes(instances, { ranks }, { metrics })
  }
  return rankingOutcomes(instances, { scores: ordered.map((line) => line?.scores ?? null) }, { metrics })
}

/** Place of the target in what was named; infinity where it was not. */
function rankAmongNamed(line: PredictionLine | undefined, target: number): number {
  const place = (line?.ranking ?? [line?.item]).indexOf(target)
  return place < 0 ? Number.POSITIVE_INFINITY : place + 1
}

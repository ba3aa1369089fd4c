/**
 * The baselines of a dataset alone, without a language model: counting rows, SASRec and a model from outside where they
 * are asked for, on the same tests; each trained or outside row against item-kNN in pairs; the leak audit's verdict.
 */

import { auditOf } from '../../eval/audit/audit.js'
import { countingBaselines } from '../../eval/baselines/counting.js'
import { type OnnxScorer, openOnnxScorer } from '../../eval/baselines/onnx-scorer.js'
import { type RankedRow, rankedRows, type Scorer, scorerOf } from '../../eval/ranked-rows.js'
import type { ResultRow } from '../../eval/result-row.js'
import { pairedDifferences } from '../../eval/significance.js'
import { testInstances } from '../run/instances.js'
import type { PairedDifference, RunAudit } from '../run/run-record.js'
import { type SasrecPlace, trainedSasrec } from './sasrec-baseline.js'

export interface BaselineTable {
  readonly table: readonly ResultRow[]
  readonly differences: readonly PairedDifference[]
  readonly audit: RunAudit
}

export async function baselineTable(place: SasrecPlace): Promise<BaselineTable> {
  const { config, dataset, signal } = place
  const tests = testInstances(dataset, config)
  const scorers: Scorer[] = countingBaselines(dataset, config.baselines).map(scorerOf)
  if (config.baselines.sasrec.enabled) {
    const trained = await trainedSasrec(place)
    scorers.push({ id: 'sasrec', scores: (instances) => trained.scores(instances, { signal }) })
  }
  const onnx: OnnxScorer | null =
    config.baselines.onnx === null ? null : await openOnnxScorer(config.baselines.onnx, dataset)
  try {
    if (onnx) scorers.push(onnx)
    const rows = await rankedRows(dataset, tests, scorers, {
      seed: config.seed,
      candidateSeeds: config.baselines.candidate_seeds,
    })
    const { verdict, findings } = auditOf(dataset)
    return {
      table: rows.map(({ row }) => row),
      differences: againstItemKnn(rows, config.seed),
      audit: { verdict, findings },
    }
  } finally {
    await onnx?.close()
  }
}

/** On a whole catalogue, rows without the chosen are compared with each other. */
function againstItemKnn(rows: readonly RankedRow[], seed: number): PairedDifference[] {
  return rows.flatMap(({ row, outcomes }) => {
    if (row.id !== 'sasrec' && row.id !== 'onnx') return []
    const other = rows.find(({ row: { id, masked } }) => id === 'item_knn' && masked === row.masked)
    if (!other || row.masked === false) return []
    const sides = { a: { id: row.id, mode: 'none' }, b: { id: 'item_knn', mode: 'none' } } as const
    return pairedDifferences(outcomes, other.outcomes, seed).map((difference) => ({
      ...difference,
      ...sides,
    }))
  })
}

/** The baselines of a dataset alone, without a language model: rows on its test part, and SASRec against item-kNN. */

import { candidateProtocol } from '../data/protocol.js'
import { countingBaselines } from '../eval/baselines/counting.js'
import { rankingOutcomes, resultRow } from '../eval/protocol.js'
import {
  catalogueMetrics,
  listMetrics,
  type RankingMetric,
  type ResultRow,
  type RowId,
} from '../eval/result-row.js'
import { type Outcome, pairedDifferences } from '../eval/significance.js'
import { testInstances } from './instances.js'
import type { PairedDifference } from './run-record.js'
import { type SasrecPlace, trainedSasrec } from './sasrec-baseline.js'

export interface BaselineTable {
  readonly table: readonly ResultRow[]
  readonly differences: readonly PairedDifference[]
}

export async function baselineTable(place: SasrecPlace): Promise<BaselineTable> {
  const { config, dataset, signal } = place
  const tests = testInstances(dataset, config)
  const { full } = candidateProtocol(config.data.candidates)
  const metrics: readonly RankingMetric[] = full ? catalogueMetrics : listMetrics
  const rows = new Map<RowId, readonly Outcome[]>()
  // One test at a time: a list may be a whole catalogue.
  for (const { id, score } of countingBaselines(dataset, config.baselines))
    rows.set(
      id,
      tests.flatMap((test) => rankingOutcomes([test], { scores: [score(test)] }, { metrics })),
    )
  if (config.baselines.sasrec.enabled)
    rows.set('sasrec', await (await trainedSasrec(place)).outcomes(tests, metrics, { signal }))
  const [mine, theirs] = [rows.get('sasrec'), rows.get('item_knn')]
  const sides = { a: { id: 'sasrec', mode: 'none' }, b: { id: 'item_knn', mode: 'none' } } as const
  return {
    table: [...rows].map(([id, outcomes]) => resultRow(outcomes, { id, mode: 'none', seed: config.seed })),
    differences:
      mine && theirs
        ? pairedDifferences(mine, theirs, config.seed).map((difference) => ({ ...difference, ...sides }))
        : [],
  }
}

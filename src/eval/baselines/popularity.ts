/** MostPop: interactions of the candidate in the training part. */

import type { Dataset } from '../../data/types.js'
import { type Baseline, trainCounts } from './baseline.js'

export function popularityBaseline(dataset: Dataset): Baseline {
  const counts = trainCounts(dataset)
  return { id: 'popularity', score: ({ candidates }) => candidates.map((item) => counts[item] as number) }
}

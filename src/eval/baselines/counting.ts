/** The counting rows by name, as the configuration asks for them. */

import type { Config } from '../../config/schema.js'
import type { Dataset } from '../../data/types.js'
import type { Baseline } from './baseline.js'
import { coOccurrenceBaseline } from './co-occurrence.js'
import { easeBaseline } from './ease.js'
import { itemKnnBaseline } from './item-knn.js'
import { markovBaseline } from './markov.js'
import { popularityBaseline, recentPopularityBaseline } from './popularity.js'
import { randomBaseline } from './random.js'

export function countingBaselines(dataset: Dataset, settings: Config['baselines']): Baseline[] {
  const made: Readonly<Record<Baseline['id'], () => Baseline>> = {
    random: randomBaseline,
    popularity: () => popularityBaseline(dataset),
    popularity_recent: () => recentPopularityBaseline(dataset, settings.recent_share),
    markov: () => markovBaseline(dataset),
    co_occurrence: () => coOccurrenceBaseline(dataset),
    item_knn: () => itemKnnBaseline(dataset, settings.knn_shrinkage),
    ease: () => easeBaseline(dataset, settings.ease_l2),
  }
  return settings.rows.map((id) => made[id]())
}

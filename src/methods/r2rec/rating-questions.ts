/** The rating questions of Collection about an instance, each with its right answer. */

import type { Config } from '../../config/schema.js'
import type { Dataset, Instance } from '../../data/types.js'
import type { R2Rec } from './index.js'
import { askingChains, evidenceOf, ratingQuestion, shownRating } from './question.js'

export interface RatingQuestion {
  readonly question: Instance
  readonly answer: number
}

/** One for each chain; one without a chain where there is none; none where the rating is not known. */
export function ratingQuestions(
  { r2rec: { triples, chains: wanted } }: Config,
  method: R2Rec,
  dataset: Dataset,
  instance: Instance,
): RatingQuestion[] {
  if (triples === 0) return []
  const chains = wanted === 0 ? [] : askingChains(method.chainSource(dataset), instance, triples)
  const shown = chains.length === 0 ? [[]] : chains.map((chain) => [chain])
  return shown.flatMap((own) => {
    const question = ratingQuestion(dataset, instance, own)
    const answer = shownRating(dataset, evidenceOf(question).answer)
    return answer === null ? [] : [{ question, answer }]
  })
}

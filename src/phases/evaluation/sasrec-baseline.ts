/**
 * SASRec beside the language models: trained where baselines.sasrec.enabled says so, with checkpoints of its own,
 * before the models answer. Its scores are kept as lines, so that a table can be made again without a training.
 */

import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../../config/schema.js'
import type { Dataset, Instance } from '../../data/types.js'
import { type SasrecState, type TrainedSasrec, trainSasrec } from '../../eval/baselines/sasrec/training.js'
import { CheckpointStore } from '../run/checkpoint.js'
import { readJsonLines, writeDurably } from '../run/files.js'
import type { ProgressSink } from '../run/progress.js'

export interface SasrecPlace {
  readonly config: Config
  readonly dataset: Dataset
  /** Holds sasrec/: checkpoints, weights, scores. */
  readonly folder: string
  readonly progress: ProgressSink
  readonly signal: AbortSignal
}

interface ScoreLine {
  readonly instance: string
  readonly scores: readonly number[]
}

/** Trains and keeps the scores of the tests; does nothing where they are there. */
export async function prepareSasrec(place: SasrecPlace, tests: readonly Instance[]): Promise<void> {
  const file = scoresFile(place.folder)
  if (existsSync(file)) return
  const trained = await trainedSasrec(place)
  const scores = await trained.scores(tests, { signal: place.signal })
  const lines = tests.map(({ id }, index): ScoreLine => ({ instance: id, scores: scores[index] ?? [] }))
  writeDurably(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
}

/** Scores by instance; null where SASRec was not trained. */
export function sasrecScores(folder: string, tests: readonly Instance[]): (readonly number[])[] | null {
  if (!existsSync(scoresFile(folder))) return null
  const scores = new Map(
    readJsonLines<ScoreLine>(scoresFile(folder)).map((line) => [line.instance, line.scores]),
  )
  return tests.map(({ id }) => scores.get(id) ?? [])
}

function scoresFile(folder: string): string {
  return join(folder, 'sasrec', 'scores.jsonl')
}

/** Goes on from its newest checkpoint: at once where the training is done. */
export async function trainedSasrec({
  config,
  dataset,
  folder,
  progress,
  signal,
}: SasrecPlace): Promise<TrainedSasrec> {
  mkdirSync(join(folder, 'sasrec'), { recursive: true })
  const store = new CheckpointStore<SasrecState>(join(folder, 'sasrec', 'checkpoints'), (text) =>
    progress.note(text),
  )
  let shown: number | null = null
  const trained = await trainSasrec(dataset, {
    settings: config.baselines.sasrec,
    seed: config.seed,
    maxHistory: config.data.max_hist,
    rowBudget: config.model.token_budget,
    store,
    signal,
    onProgress: ({ step, steps, rows }) => {
      if (shown === null) progress.start('sasrec', steps, 'steps')
      progress.advance(step - (shown ?? 0), rows)
      shown = step
    },
    onEpoch: (epoch, { loss, ndcg5 }) =>
      progress.note(
        `SASRec epoch ${epoch}: loss ${loss.toFixed(4)}${ndcg5 === null ? '' : `, validation NDCG@5 ${ndcg5.toFixed(4)}`}`,
      ),
  })
  progress.note(`SASRec: epoch ${trained.epoch} of ${trained.curve.length} is used`)
  progress.end()
  const weights = join(folder, 'sasrec', 'weights.safetensors')
  if (!existsSync(weights)) await trained.save(weights)
  return trained
}

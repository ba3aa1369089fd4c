/**
 * How a model answers a test: the registry of inference modes (spec section 6).
 *
 *   mode         spec  reasoning  answer                                                     lists  whole catalogue
 *   free         I1    greedy     written, parsed: a hit or nothing                            x       x
 *   think_score  I2    greedy     every candidate's title scored behind it                     x
 *   think_beam   I3    greedy     beam over the trie of titles behind it                               x
 *   thoughts     I4    N sampled  each scored (lists) or searched (catalogue), then merged     x       x
 *   score        I5    none       every candidate scored behind the direct prompt              x
 *   direct_beam  I5    none       beam behind the direct prompt                                        x
 *   ground       I6    greedy     written, then the titles most like it                        x       x
 *   pointwise    -     greedy     a question for each candidate, ranked by expected grade      x
 *
 * Lists: the instance names its candidates and the prompt shows them. Whole catalogue: it names none.
 */

import type { Instance } from '../../data/types.js'
import { ReasonrecError } from '../../engine/errors.js'
import type { InferenceMode } from '../../eval/result-row.js'
import type { ModelContext, StageModel } from '../run/context.js'
import { directThenSearch, searchBehind, severalThoughts, thinkThenSearch } from './predictions-catalogue.js'
import { writeFreely, writeThenGround } from './predictions-free.js'
import { oneByOne, scoreBehind, scoreOnly, thinkThenScore } from './predictions-scored.js'

export { expectedGrade, scoreBehind } from './predictions-scored.js'

export type ModelMode = Exclude<InferenceMode, 'none'>

/** One answer, as a line of predictions.jsonl (with the row's id and mode). */
export interface Prediction {
  readonly instance: string
  /** By candidate, in the instance's order: what they are ranked by; null where items are named instead. */
  readonly scores: readonly number[] | null
  /** Without scores: the item named first, null where none is. */
  readonly item: number | null
  /** Without scores: the items named, best first, where the answer is a list. */
  readonly ranking?: readonly number[]
  /** Free answers: candidates whose title the answer holds, and whether it names an item of the catalogue. */
  readonly named?: number
  readonly in_catalogue?: boolean
  /** Mean log-prob per token of the target's title; null where it was not scored. */
  readonly target_mean: number | null
  readonly reasoning: string
  /** The answer came in the asked form (modes that think: the reasoning ended by itself). */
  readonly parsed: boolean
  /** Tokens the model wrote. */
  readonly tokens: number
}

type Answer = (
  context: ModelContext,
  stage: StageModel,
  instances: readonly Instance[],
) => Promise<Prediction[]>

export interface InferenceEntry {
  readonly answer: Answer
  /** Instances that name their candidates. */
  readonly lists: boolean
  /** Instances that name none: any title of the catalogue is an answer. */
  readonly catalogue: boolean
  /** A reasoning is written first. */
  readonly thinks: boolean
}

export const inferenceModes: Readonly<Record<ModelMode, InferenceEntry>> = {
  free: { answer: writeFreely, lists: true, catalogue: true, thinks: true },
  think_score: { answer: thinkThenScore, lists: true, catalogue: false, thinks: true },
  think_beam: { answer: thinkThenSearch, lists: false, catalogue: true, thinks: true },
  thoughts: { answer: severalThoughts, lists: true, catalogue: true, thinks: true },
  score: { answer: scoreOnly, lists: true, catalogue: false, thinks: false },
  direct_beam: { answer: directThenSearch, lists: false, catalogue: true, thinks: false },
  ground: { answer: writeThenGround, lists: true, catalogue: true, thinks: true },
  pointwise: { answer: oneByOne, lists: true, catalogue: false, thinks: true },
}

/** Instances of one kind: all name candidates, or none does. Throws RR_CONFIG_VALUE where the mode has no use for them. */
export async function predict(
  context: ModelContext,
  stage: StageModel,
  mode: ModelMode,
  instances: readonly Instance[],
): Promise<Prediction[]> {
  requireMode(mode, instances.some(({ candidates }) => candidates.length === 0) ? 'catalogue' : 'lists')
  return inferenceModes[mode].answer(context, stage, instances)
}

/** Answers behind reasonings that were written before, perhaps for somebody else: no token is sampled. */
export async function answerBehind(
  context: ModelContext,
  stage: StageModel,
  instances: readonly Instance[],
  reasonings: readonly string[],
): Promise<Prediction[]> {
  const over = instances.some(({ candidates }) => candidates.length === 0)
  return (over ? searchBehind : scoreBehind)(context, stage, instances, reasonings)
}

export function requireMode(mode: ModelMode, over: 'lists' | 'catalogue'): void {
  if (inferenceModes[mode][over]) return
  const able = (Object.keys(inferenceModes) as ModelMode[]).filter((one) => inferenceModes[one][over])
  throw new ReasonrecError(
    'RR_CONFIG_VALUE',
    over === 'lists'
      ? `mode ${mode} searches the whole catalogue`
      : `mode ${mode} needs a list of candidates, and the whole catalogue is to be ranked`,
    {
      expected: `one of ${able.join(', ')}`,
      got: mode,
      remedy: over === 'lists' ? 'change eval.mode, or set eval.candidates: full' : 'change eval.mode',
    },
  )
}

/** The candidates by falling score; equal scores keep the list's order, which is random. */
export function ranking(instance: Instance, prediction: Prediction): readonly number[] {
  if (!prediction.scores) return prediction.ranking ?? (prediction.item === null ? [] : [prediction.item])
  const scores = prediction.scores
  return instance.candidates
    .map((item, index) => ({ item, index, score: scores[index] ?? Number.NEGATIVE_INFINITY }))
    .sort((a, b) => b.score - a.score || a.index - b.index)
    .map(({ item }) => item)
}

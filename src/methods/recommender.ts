/**
 * A model that recommends: reasoning first, then every candidate scored behind it. Titles come from the caller or from a
 * data set; prompts are worded by the configuration's method, as in training.
 *
 *   const model = await loadModel({ model: DIR, adapter: 'runs/first/adapter' })
 *   const { reasoning, ranking } = await model.recommend({ history: ['A', 'B'], candidates: ['X', 'Y', 'Z'] })
 */

import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { type LoadedConfig, loadConfig, readStoredConfig } from '../config/load.js'
import type { Config } from '../config/schema.js'
import { normaliseTitle } from '../data/title.js'
import type { Dataset, Instance, Item, ItemIndex } from '../data/types.js'
import { Adapter, type Model, ReasonrecError } from '../engine/index.js'
import { trainCounts } from '../eval/baselines/baseline.js'
import { type Prediction, predict, ranking } from '../phases/prediction/predictions.js'
import type { ModelContext } from '../phases/run/context.js'
import { Encoding } from '../phases/run/encoding.js'
import { isRunDirectory } from '../phases/run/run-directory.js'
import type { Tokenizer } from '../prompts/tokenizer.js'
import { untrusted } from '../prompts/untrusted-text.js'
import type { DrawnChain } from './method.js'
import { methodOf, presetFile } from './registry.js'
import { openModel, testedConfig } from './session.js'

/** Candidates taken from the data where none are given: the most chosen items that the history does not hold. */
const defaultCandidates = 20

export interface RecommenderOptions {
  readonly model: string
  /** PEFT folder; beside a run's files it is asked as that run asked. */
  readonly adapter?: string
  /** Named settings that word the prompt where no run says how; re2 unless told. */
  readonly preset?: string
}

/** A history in titles, oldest first, or a user of the data set. */
export interface RecommendationRequest {
  readonly history?: readonly string[]
  readonly user?: string
  /** Titles to rank; without them the data set's most chosen items. */
  readonly candidates?: readonly string[]
}

export interface RankedItem {
  /** Of the data set, or the title where it is not in it. */
  readonly id: string
  readonly title: string
  /** Of the title behind the reasoning, nats. */
  readonly logprob: number
  /** Softmax over the candidates. */
  readonly share: number
}

export interface Recommendation {
  readonly history: readonly string[]
  readonly reasoning: string
  /** The reasoning ended by itself, within eval.max_new tokens. */
  readonly closed: boolean
  readonly tokens: number
  /** R2Rec: the walks that the reasoning follows. */
  readonly chains: readonly DrawnChain[]
  /** Best first. */
  readonly ranking: readonly RankedItem[]
}

export interface Recommender {
  readonly model: Model
  readonly tokenizer: Tokenizer
  readonly adapter: Adapter | null
  /** @throws RR_DATA_USER, RR_USAGE_TITLES, RR_USAGE_CANDIDATES */
  recommend(request: RecommendationRequest): Promise<Recommendation>
}

/** Opens a model with or without an adapter. @throws what models and adapters that cannot be read are refused with */
export function loadModel(options: RecommenderOptions): Promise<Recommender> {
  const { model, adapter, preset = 're2' } = options
  const plain = loadConfig({
    preset: presetFile(preset),
    file: null,
    set: [],
    options: { 'model.dir': model === 'embedded' ? model : resolve(model) },
  })
  const around = options.preset === undefined ? adapter : undefined
  return openRecommender(asTrained(plain, around).config, adapter ?? null, null)
}

/** The same from a configuration; `dataset` knows items and users by their ids. */
export async function openRecommender(
  config: Config,
  adapterFolder: string | null,
  dataset: Dataset | null,
): Promise<Recommender> {
  const { base, tokenizer } = await openModel(config)
  const adapter = adapterFolder === null ? null : await Adapter.load(base, adapterFolder)
  const method = methodOf(config)
  const recommend = async (request: RecommendationRequest): Promise<Recommendation> => {
    const asked = question(request, dataset, config)
    const { catalogue } = asked
    const instance = method.question(catalogue, asked.instance)
    const context: ModelContext = {
      config,
      dataset: catalogue,
      method,
      tokenizer,
      encoding: new Encoding(catalogue, method, tokenizer),
      vocabularyBytes: tokenizer.vocabularyBytes(base.vocab),
      signal: new AbortController().signal,
    }
    const stage = { model: base, adapters: { trained: adapter } }
    const [prediction] = await predict(context, stage, 'think_score', [instance])
    if (!prediction) throw new Error('one question has one answer')
    const chains = method.drawn?.(catalogue, instance, prediction.reasoning) ?? []
    return { ...answered(catalogue, instance, prediction), chains }
  }
  return { model: base, tokenizer, adapter, recommend }
}

/** The configuration of the run that the adapter lies in, with this call's model and data; else `plain`. */
export function asTrained(plain: LoadedConfig, adapter: string | undefined): LoadedConfig {
  const around = adapter === undefined ? null : dirname(resolve(adapter))
  if (around === null || !isRunDirectory(around)) return plain
  const file = join(around, 'config.yaml')
  const stored = existsSync(file) ? readStoredConfig(file) : plain
  const { model, data } = stored.config
  const config = {
    ...stored.config,
    model: { ...model, dir: plain.config.model.dir ?? model.dir },
    data: { ...data, dir: plain.config.data.dir ?? data.dir },
  }
  return { ...stored, config: transferred(config) }
}

/** The set a run was tested on has its own noun. */
function transferred(config: Config): Config {
  return config.eval.data !== null && config.data.dir === config.eval.data ? testedConfig(config) : config
}

interface Question {
  readonly catalogue: Dataset
  readonly instance: Instance
}

/** Titles that the data set does not know become items of a catalogue of its own. */
function question(request: RecommendationRequest, dataset: Dataset | null, { data }: Config): Question {
  const items: Item[] = [...(dataset?.items ?? [])]
  const byTitle = new Map(items.map((item, index) => [normaliseTitle(item.title.text), index]))
  const indexOf = (raw: string): ItemIndex => {
    const title = untrusted(raw)
    const known = byTitle.get(normaliseTitle(title.text))
    if (known !== undefined) return known
    byTitle.set(normaliseTitle(title.text), items.length)
    items.push({ id: title.text, title })
    return items.length - 1
  }
  const { user } = request
  const chosen =
    user === undefined ? titles(request.history, 'the history').map(indexOf) : historyOf(dataset, user)
  const history = chosen.slice(-data.max_hist)
  const candidates =
    request.candidates === undefined
      ? popularUnseen(dataset, history)
      : [...new Set(titles(request.candidates, 'the list of candidates').map(indexOf))]
  const [first] = candidates
  if (first === undefined) throw nothingToRank()
  const bare = { name: 'titles', noun: data.noun ?? 'item', trainInteractions: [] }
  const catalogue: Dataset = { ...(dataset ?? { ...bare, train: [], valid: [], test: [], notes: [] }), items }
  // The target is unknown here; it only says whose log-prob is noted.
  return {
    catalogue,
    instance: {
      id: 'recommend',
      user: user ?? '',
      history,
      target: first,
      candidates,
      position: user === undefined ? null : (dataset?.userItems?.get(user)?.length ?? null),
    },
  }
}

function titles(given: readonly string[] | undefined, what: string): readonly string[] {
  const parts = (given ?? []).filter((part) => untrusted(part).text !== '')
  if (parts.length > 0) return parts
  throw new ReasonrecError('RR_USAGE_TITLES', `${what} holds no titles`, {
    expected: '"A|B|C"',
    remedy: 'give titles, separated by | on the command line',
  })
}

function historyOf(dataset: Dataset | null, user: string): readonly ItemIndex[] {
  const items = dataset?.userItems?.get(user)
  if (items && items.length > 0) return items
  throw new ReasonrecError('RR_DATA_USER', `the data has no user ${JSON.stringify(user)}`, {
    remedy: 'give a user id of the interactions file',
  })
}

function popularUnseen(dataset: Dataset | null, history: readonly ItemIndex[]): ItemIndex[] {
  if (!dataset) throw nothingToRank()
  const counts = trainCounts(dataset)
  return dataset.items
    .map((_, item) => item)
    .filter((item) => !history.includes(item))
    .sort((a, b) => counts[b]! - counts[a]! || a - b)
    .slice(0, defaultCandidates)
}

function nothingToRank(): ReasonrecError {
  return new ReasonrecError('RR_USAGE_CANDIDATES', 'there is nothing to rank', {
    remedy: 'give --candidates "X|Y", or --data DIR to take popular items',
  })
}

function answered(
  catalogue: Dataset,
  instance: Instance,
  prediction: Prediction,
): Omit<Recommendation, 'chains'> {
  const { items } = catalogue
  const title = (item: ItemIndex): string => items[item]?.title.text ?? ''
  const logprobs = new Map(
    instance.candidates.map((item, index) => [item, prediction.scores?.[index] ?? Number.NEGATIVE_INFINITY]),
  )
  const largest = Math.max(...logprobs.values())
  const total = [...logprobs.values()].reduce((sum, logprob) => sum + Math.exp(logprob - largest), 0)
  const ranked = ranking(instance, prediction).map((item) => {
    const logprob = logprobs.get(item) ?? Number.NEGATIVE_INFINITY
    return {
      id: items[item]?.id ?? '',
      title: title(item),
      logprob,
      share: Math.exp(logprob - largest) / total,
    }
  })
  const { reasoning, parsed: closed, tokens } = prediction
  return { history: instance.history.map(title), reasoning, closed, tokens, ranking: ranked }
}

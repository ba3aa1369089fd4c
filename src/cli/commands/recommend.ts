/**
 * recommend: the reasoning and the ranking for one history. Titles come from the command line, or a user's
 * history from the data. Prompts must be worded as in training, so the configuration is that of the run the
 * adapter lies in, unless --config or --preset say otherwise.
 */

import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import { type LoadedConfig, readStoredConfig } from '../../config/load.js'
import type { Config } from '../../config/schema.js'
import { normaliseTitle } from '../../data/title.js'
import type { Dataset, Instance, Item, ItemIndex } from '../../data/types.js'
import { Adapter, ReasonrecError } from '../../engine/index.js'
import { trainCounts } from '../../eval/baselines/baseline.js'
import type { DrawnChain } from '../../methods/method.js'
import { methodOf } from '../../methods/registry.js'
import { openDataset, openModel, testedConfig } from '../../methods/session.js'
import { type Prediction, predict, ranking } from '../../phases/prediction/predictions.js'
import type { ModelContext } from '../../phases/run/context.js'
import { Encoding } from '../../phases/run/encoding.js'
import { isRunDirectory } from '../../phases/run/run-directory.js'
import { untrusted } from '../../prompts/untrusted-text.js'
import { chainLines } from '../../report/chain-text.js'
import { terminalLine, terminalText } from '../../report/terminal-text.js'
import { configOf, type RunArguments, requireDevice, runOptions } from '../options.js'
import { printJson } from '../running.js'

interface RecommendArguments extends RunArguments {
  readonly adapter?: string | undefined
  readonly history?: string | undefined
  readonly user?: string | undefined
  readonly candidates?: string | undefined
}

/** Candidates taken from the data where none are given: the most chosen items the user has not seen. */
const defaultCandidates = 20

export const recommendCommand: CommandModule<object, RecommendArguments> = {
  command: 'recommend',
  describe: 'Reason about one history and rank candidates',
  builder: (parser) =>
    runOptions(parser)
      .option('adapter', {
        type: 'string',
        requiresArg: true,
        describe: 'PEFT adapter folder, such as RUN/adapter',
      })
      .option('history', {
        type: 'string',
        requiresArg: true,
        describe: 'Titles, oldest first, separated by |',
      })
      .option('user', {
        type: 'string',
        requiresArg: true,
        describe: 'User id of the data, instead of --history',
      })
      .option('candidates', { type: 'string', requiresArg: true, describe: 'Titles to rank, separated by |' })
      .conflicts('history', 'user')
      .example('$0 recommend --model DIR --adapter RUN/adapter --history "A|B|C" --candidates "X|Y"', ''),
  handler: async (args: ArgumentsCamelCase<RecommendArguments>) => {
    requireDevice(args.device)
    const { config } = configFor(args)
    const dataset = args.data === undefined && args.user === undefined ? null : await openDataset(config)
    const asked = question(args, dataset, config.data.noun, config.data.max_hist)
    const { base, tokenizer } = await openModel(config)
    const method = methodOf(config)
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
    const adapter = args.adapter === undefined ? null : await Adapter.load(base, args.adapter)
    const [prediction] = await predict(
      context,
      { model: base, adapters: { trained: adapter } },
      'think_score',
      [instance],
    )
    const chains = method.drawn?.(catalogue, instance, prediction?.reasoning ?? '') ?? []
    print(catalogue, instance, { ...(prediction as Prediction), chains }, args.json)
  },
}

/** The stored configuration of the run around the adapter; else presets and options as in `run`. */
function configFor(args: RecommendArguments): LoadedConfig {
  const around = args.adapter === undefined ? null : dirname(resolve(args.adapter))
  const fallback = configOf({ ...args, preset: args.preset ?? 're2' })
  if (args.preset !== undefined || args.config !== undefined || around === null || !isRunDirectory(around))
    return fallback
  const file = join(around, 'config.yaml')
  const stored = existsSync(file) ? readStoredConfig(file) : fallback
  const { model, data } = stored.config
  const config = {
    ...stored.config,
    model: { ...model, dir: fallback.config.model.dir ?? model.dir, threads: args.threads ?? model.threads },
    data: { ...data, dir: fallback.config.data.dir ?? data.dir },
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

function question(
  args: RecommendArguments,
  dataset: Dataset | null,
  noun: string | null,
  longest: number,
): Question {
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
  const history = (
    args.user === undefined ? titles(args.history, '--history').map(indexOf) : historyOf(dataset, args.user)
  ).slice(-longest)
  const candidates =
    args.candidates === undefined
      ? popularUnseen(dataset, history)
      : [...new Set(titles(args.candidates, '--candidates').map(indexOf))]
  const [first] = candidates
  if (first === undefined)
    throw new ReasonrecError('RR_USAGE_CANDIDATES', 'there is nothing to rank', {
      remedy: 'give --candidates "X|Y"',
    })
  const catalogue: Dataset = {
    ...(dataset ?? {
      name: 'command line',
      noun: noun ?? 'item',
      trainInteractions: [],
      train: [],
      valid: [],
      test: [],
      notes: [],
    }),
    items,
  }
  // The target is unknown here; it only says whose log-prob is noted.
  return {
    catalogue,
    instance: {
      id: 'recommend',
      user: args.user ?? '',
      history,
      target: first,
      candidates,
      position: args.user === undefined ? null : (dataset?.userItems?.get(args.user)?.length ?? null),
    },
  }
}

function titles(text: string | undefined, option: string): string[] {
  const parts = (text ?? '')
    .split('|')
    .map((part) => part.trim())
    .filter((part) => untrusted(part).text !== '')
  if (parts.length > 0) return parts
  throw new ReasonrecError('RR_USAGE_TITLES', `${option} holds no titles`, {
    expected: '"A|B|C"',
    remedy: 'separate titles with |',
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
  if (!dataset)
    throw new ReasonrecError('RR_USAGE_CANDIDATES', 'there is nothing to rank', {
      remedy: 'give --candidates "X|Y", or --data DIR to take popular items',
    })
  const counts = trainCounts(dataset)
  return dataset.items
    .map((_, item) => item)
    .filter((item) => !history.includes(item))
    .sort((a, b) => counts[b]! - counts[a]! || a - b)
    .slice(0, defaultCandidates)
}

interface Recommendation extends Prediction {
  readonly chains: readonly DrawnChain[]
}

function print(catalogue: Dataset, instance: Instance, prediction: Recommendation, json: boolean): void {
  const title = (item: ItemIndex): string => catalogue.items[item]?.title.text ?? ''
  const scores = new Map(
    instance.candidates.map((item, index) => [item, prediction.scores?.[index] ?? Number.NEGATIVE_INFINITY]),
  )
  const largest = Math.max(...scores.values())
  const total = [...scores.values()].reduce((sum, score) => sum + Math.exp(score - largest), 0)
  const ranked = ranking(instance, prediction).map((item) => {
    const logprob = scores.get(item) ?? Number.NEGATIVE_INFINITY
    return {
      id: catalogue.items[item]?.id ?? '',
      title: title(item),
      logprob,
      share: Math.exp(logprob - largest) / total,
    }
  })
  const { reasoning, parsed, tokens, chains } = prediction
  if (json) {
    const asked = { schema: 1, history: instance.history.map(title) }
    printJson({
      ...asked,
      reasoning,
      ...(chains.length > 0 && { chains }),
      reasoning_closed: parsed,
      tokens,
      ranking: ranked,
    })
    return
  }
  process.stdout.write(`${terminalText(reasoning)}\n\n`)
  for (const [index, chain] of chains.entries())
    process.stdout.write(`${chainLines(chain, index + 1).join('\n')}\n\n`)
  ranked.forEach(({ title: name, share }, index) => {
    process.stdout.write(
      `${String(index + 1).padStart(3)}  ${(100 * share).toFixed(1).padStart(5)} %  ${terminalLine(name)}\n`,
    )
  })
}

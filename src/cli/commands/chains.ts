/**
 * chains: interaction chains u0 - i0 - u1 - i1 - u0 of one user, as R2Rec samples them. Without --target they go over
 * what the user chose before his test (or before everything that is held out); with it they end in that item, and its
 * rating by the user is hidden.
 */

import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import type { Config } from '../../config/schema.js'
import type { Dataset, Instance, ItemIndex } from '../../data/types.js'
import { engineInfo, ReasonrecError, setThreads } from '../../engine/index.js'
import type { Chain } from '../../methods/r2rec/chain.js'
import { InteractionChains, type ManyChains } from '../../methods/r2rec/interaction-chains.js'
import { openDataset } from '../../methods/session.js'
import { terminalLine } from '../../report/terminal-text.js'
import { configOf, type RunArguments, runOptions } from '../options.js'
import { printJson } from '../running.js'

interface ChainsArguments extends RunArguments {
  readonly user: string
  readonly target?: string | undefined
  readonly count: number
  readonly preview: number
  readonly weights?: Config['graph']['weights'] | undefined
}

export const chainsCommand: CommandModule<object, ChainsArguments> = {
  command: 'chains',
  describe: 'Interaction chains of one user, with titles and ratings',
  builder: (parser) =>
    runOptions(parser)
      .option('user', {
        type: 'string',
        requiresArg: true,
        demandOption: true,
        describe: 'User id of the data',
      })
      .option('target', { type: 'string', requiresArg: true, describe: 'Item id that the chains end in' })
      .option('count', { type: 'number', requiresArg: true, default: 3, describe: 'Chains to draw' })
      .option('preview', { type: 'number', requiresArg: true, default: 20, describe: 'Chains to show' })
      .option('weights', {
        choices: ['faithful', 'tuned'] as const,
        describe: 'How other users are drawn (graph.weights)',
      })
      .example('$0 chains --data DIR --user 42 --count 3', ''),
  handler: async (args: ArgumentsCamelCase<ChainsArguments>) => {
    const count = wholeNumber(args.count, '--count')
    const shown = wholeNumber(args.preview, '--preview')
    const { config } = configOf({ ...args, preset: args.preset ?? 're2' })
    await setThreads(config.model.threads === 0 ? engineInfo().threads : config.model.threads)
    const dataset = await openDataset(config)
    const weights = args.weights ?? config.graph.weights
    const instance = questionOf(dataset, args.user)
    const target = args.target === undefined ? null : itemOf(dataset, args.target)
    const source = new InteractionChains(dataset, { ...config.graph, weights }, config.seed)
    const many = await source.manyChains(askedAt(dataset, instance, target), target, { count, shown })
    const emptyShare = await source.emptyShare(dataset.test)
    if (args.json) printJson(jsonOf(dataset, many, emptyShare))
    else print(dataset, many, emptyShare)
  },
}

function wholeNumber(value: number, option: string): number {
  if (Number.isSafeInteger(value) && value >= 0 && value <= 2 ** 31 - 1) return value
  throw new ReasonrecError('RR_USAGE_NUMBER', `${option} is not a usable number`, {
    expected: 'a whole number from 0',
    got: String(value),
    remedy: `give ${option} 3`,
  })
}

/** Nobody's choice: asks about nothing, excludes nothing. */
const noItem = -1

/** The user's test; else his last validation; else everything of his that trains. */
function questionOf(dataset: Dataset, user: string): Instance {
  const known = dataset.userInteractions?.get(user)
  if (!known || known.length === 0)
    throw new ReasonrecError('RR_DATA_USER', `the data has no user ${JSON.stringify(user.slice(0, 80))}`, {
      expected: 'a user id of the interactions',
      remedy: 'look at the first column of the interactions file',
    })
  const held = [dataset.test, dataset.valid].map((part) =>
    part.findLast((instance) => instance.user === user),
  )
  const [first] = held.filter((instance) => instance !== undefined)
  if (first) return first
  const history = known.map(({ item }) => item)
  return { id: `chains/${user}`, user, history, target: noItem, candidates: [], position: known.length }
}

function itemOf(dataset: Dataset, id: string): ItemIndex {
  const item = dataset.items.findIndex((one) => one.id === id)
  if (item >= 0) return item
  throw new ReasonrecError(
    'RR_DATA_UNKNOWN_ITEM',
    `the data has no item ${JSON.stringify(id.slice(0, 80))}`,
    {
      expected: 'an item id of the items file',
      remedy: 'look at its first column',
    },
  )
}

/** A target that the user has chosen is asked about at its own place: everything is earlier than that. */
function askedAt(dataset: Dataset, instance: Instance, target: ItemIndex | null): Instance {
  if (target === null) return instance
  const place = dataset.userInteractions?.get(instance.user)?.findIndex(({ item }) => item === target) ?? -1
  const position = place >= 0 ? place : (instance.position ?? null)
  return { ...instance, id: `chains/${instance.user}`, target, candidates: [], position }
}

function jsonOf(dataset: Dataset, { chains, sampled, seconds }: ManyChains, emptyShare: number): object {
  const id = (item: ItemIndex | undefined): string => dataset.items[item ?? -1]?.id ?? ''
  return {
    schema: 1,
    chains: chains.map(({ users, items, ratings, closed }) => ({
      ...numbered('u', users),
      ...numbered('i', items.map(id)),
      closed,
      ratings,
      titles: numbered(
        'i',
        items.map((item) => dataset.items[item]?.title.text ?? ''),
      ),
    })),
    empty_share: emptyShare,
    sampled,
    seconds,
  }
}

/** {u0: ..., u1: ...} */
function numbered(letter: 'u' | 'i', values: readonly string[]): Record<string, string> {
  return Object.fromEntries(values.map((value, index) => [`${letter}${index}`, value]))
}

function print(dataset: Dataset, { chains, sampled, seconds }: ManyChains, emptyShare: number): void {
  for (const chain of chains) process.stdout.write(`${drawn(dataset, chain)}\n`)
  const rate = sampled >= 1000 ? `, ${Math.round(sampled / seconds).toLocaleString('en')} per second` : ''
  process.stdout.write(
    `${sampled} chains${rate}; ${(100 * emptyShare).toFixed(1)} % of the tests have no closed chain\n`,
  )
}

/** One line per hop: the user, the rating and the title. */
function drawn(dataset: Dataset, { users, items, ratings, closed }: Chain): string {
  const hops = ratings.slice(0, closed ? undefined : -1).map((rating, hop) => {
    const user = ((hop + 1) >> 1) % users.length
    const title = dataset.items[items[hop >> 1] ?? -1]?.title.text ?? ''
    return `  u${user} ${terminalLine(users[user] ?? '').padEnd(12)} ${String(rating ?? '?').padStart(3)}  ${terminalLine(title)}`
  })
  return [closed ? 'closed' : 'open', ...hops].join('\n')
}

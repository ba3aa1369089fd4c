/** data stats: counts, lengths, times, ratings and titles of a data set, before anything is dropped or split. */

import { resolve } from 'node:path'
import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import { readAll } from '../../../data/importers/read.js'
import { type DataStats, dataStats, type Spread } from '../../../data/stats.js'
import { terminalLine } from '../../../report/terminal-text.js'
import { type CommonArguments, commonOptions } from '../../options.js'
import { printJson } from '../../running.js'

interface StatsArguments extends CommonArguments {
  readonly path: string
}

export const statsCommand: CommandModule<object, StatsArguments> = {
  command: 'stats <path>',
  describe: 'Users, items, lengths, times, ratings, titles',
  builder: (parser) =>
    commonOptions(parser).positional('path', {
      type: 'string',
      demandOption: true,
      describe: 'File or folder in any known format',
    }),
  handler: async (args: ArgumentsCamelCase<StatsArguments>) => {
    const sets: DataStats[] = []
    for await (const raw of readAll(args.path)) sets.push(dataStats(raw))
    if (args.json) return printJson({ schema: 1, path: resolve(args.path), sets })
    for (const stats of sets)
      for (const [label, text] of linesOf(stats))
        process.stdout.write(`${label.padEnd(14)}${terminalLine(text)}\n`)
  },
}

const spread = ({ min, median, max }: Spread): string => `${min} to ${max}, median ${median}`
const percent = (share: number): string => `${(100 * share).toFixed(share < 0.01 ? 3 : 1)} %`

function linesOf(stats: DataStats): [string, string][] {
  const { catalogue, ratings } = stats
  return [
    ['name', `${stats.name} (one ${stats.noun} each)`],
    ['users', `${stats.users}; interactions each ${spread(stats.per_user)}`],
    ['items', `${stats.items}; interactions each ${spread(stats.per_item)}`],
    ['interactions', `${stats.interactions}; density ${percent(stats.density)}`],
    ['time', stats.span ? stats.span.join(' to ') : 'positions only'],
    ['tied', `${percent(stats.tied_share)} of neighbours share their time`],
    ['repeats', `${percent(stats.repeat_share)} of rows; ${stats.duplicate_rows} duplicate rows`],
    ['ratings', ratings ? ratingText(ratings) : 'none'],
    [
      'titles',
      `${catalogue.rows} rows, ${catalogue.without_title} without a title, ${catalogue.shared_title} share theirs; ` +
        `${catalogue.untitled_interactions} interactions with items that have none`,
    ],
  ]
}

const ratingText = (ratings: Readonly<Record<string, number>>): string =>
  Object.entries(ratings)
    .map(([value, count]) => [Number(value), count] as const)
    .sort((a, b) => a[0] - b[0])
    .map(([value, count]) => `${value}: ${count}`)
    .join(', ')

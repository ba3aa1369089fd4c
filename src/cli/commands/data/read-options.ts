/** Options of every sub-verb that reads a path in some format. */

import type { Argv } from 'yargs'
import type { ReadOptions } from '../../../data/importers/format.js'
import { formats } from '../../../data/importers/registry.js'
import { type CommonArguments, commonOptions } from '../../options.js'

export interface ReadArguments extends CommonArguments {
  readonly path: string
  readonly format?: string | undefined
  readonly items?: string | undefined
  readonly 'user-column'?: string | undefined
  readonly 'item-column'?: string | undefined
  readonly 'rating-column'?: string | undefined
  readonly 'time-column'?: string | undefined
  readonly 'title-column'?: string | undefined
  readonly header?: boolean | undefined
  readonly delimiter?: string | undefined
  readonly encoding?: 'utf-8' | 'latin-1' | undefined
  readonly 'time-unit'?: 's' | 'ms' | 'us' | 'ns' | undefined
  readonly 'trust-pickle': boolean
}

const column = (what: string) =>
  ({
    type: 'string',
    requiresArg: true,
    describe: `Column of the ${what}: its name, or its number from 1`,
  }) as const

export function readArguments<T>(parser: Argv<T>) {
  return commonOptions(parser)
    .positional('path', { type: 'string', demandOption: true, describe: 'File or folder' })
    .option('format', {
      choices: formats.map(({ name }) => name),
      describe: 'Of the files; the content decides unless told',
    })
    .option('items', {
      type: 'string',
      requiresArg: true,
      describe: 'A table with item and title, for sets without titles',
    })
    .option('user-column', column('users'))
    .option('item-column', column('items'))
    .option('rating-column', column('ratings'))
    .option('time-column', column('times'))
    .option('title-column', column('titles'))
    .option('header', {
      type: 'boolean',
      describe: 'Whether tables have a line of names (--no-header); found unless told',
    })
    .option('delimiter', { type: 'string', requiresArg: true, describe: 'Between cells; "\\t" is a tab' })
    .option('encoding', { choices: ['utf-8', 'latin-1'] as const, describe: 'Of text files' })
    .option('time-unit', {
      choices: ['s', 'ms', 'us', 'ns'] as const,
      describe: 'Of numbers that are times; found unless told',
    })
    .option('trust-pickle', {
      type: 'boolean',
      default: false,
      describe: 'Read pickled data frames, with a reader that builds plain data only',
    })
}

export function readOptionsOf(args: ReadArguments): ReadOptions {
  const given = (['user', 'item', 'rating', 'time', 'title'] as const).flatMap((column) => {
    const name = args[`${column}-column`]
    return name === undefined ? [] : [[column, name] as const]
  })
  return {
    columns: Object.fromEntries(given),
    header: args.header,
    delimiter: args.delimiter,
    encoding: args.encoding,
    timeUnit: args['time-unit'],
    trustPickle: args['trust-pickle'],
  }
}

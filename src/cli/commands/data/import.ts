/** data import: a file or folder in any known format into our own form, one folder per data set. */

import { statSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import {
  type ImportedSet,
  type ImportProgress,
  type ImportReport,
  importPath,
} from '../../../data/importers/import.js'
import { type TiePolicy, tiePolicies } from '../../../data/raw.js'
import { exitStatus, type ReasonrecError } from '../../../engine/errors.js'
import { terminalLine } from '../../../report/terminal-text.js'
import { byteProgress } from '../../download-progress.js'
import { note, printJson } from '../../running.js'
import { type ReadArguments, readArguments, readOptionsOf } from './read-options.js'

interface ImportArguments extends ReadArguments {
  readonly ties: TiePolicy
}

export const importCommand: CommandModule<object, ImportArguments> = {
  command: 'import <path>',
  describe: 'Any known format into our own: interactions, items, given lists',
  builder: (parser) =>
    readArguments(parser)
      .option('ties', {
        choices: tiePolicies,
        default: 'file' as const,
        describe: 'Rows of a user with equal times: order of the file, an order drawn from --seed, or refuse',
      })
      .example('$0 data import ml-1m --out data/ml-1m', 'MovieLens as it unpacks')
      .example('$0 data import log.csv --user-column uid --item-column sku --items products.csv', ''),
  handler: async (args: ArgumentsCamelCase<ImportArguments>) => {
    const out = resolve(args.out ?? join('data', nameOf(args.path)))
    const progress = shownProgress()
    const report = await importPath(args.path, out, {
      ...readOptionsOf(args),
      format: args.format,
      items: args.items,
      ties: args.ties,
      seed: args.seed ?? 0,
      progress,
    }).finally(() => progress.end())
    printReport(report, args.json)
  },
}

/** One JSON object, or a block per set; a refused file is a line on stderr and decides the exit status. */
export function printReport(report: ImportReport, json: boolean): void {
  const { sets, ignored } = report
  const [first] = report.refused
  if (first) process.exitCode = exitStatus(first.error)
  for (const { error } of report.refused) process.stderr.write(`${terminalLine(error.toLine())}\n`)
  if (json) {
    printJson({ schema: 1, sets, refused: report.refused.map(refusalOf), ignored })
    return
  }
  for (const path of ignored) note(`${terminalLine(path)} is of no known format and was left out`)
  for (const set of sets) process.stdout.write(`${blockOf(set).map(terminalLine).join('\n')}\n`)
}

export const refusalOf = ({ path, error }: { readonly path: string; readonly error: ReasonrecError }) => ({
  path,
  code: error.code,
  message: error.toLine(),
})

function blockOf(set: ImportedSet): string[] {
  const lists = Object.entries(set.lists).map(([name, rows]) => `${name} ${rows}`)
  return [
    `${set.name} (${set.format}) → ${set.out}`,
    `${set.interactions} interactions, ${set.users} users, ${set.items} items, ${set.titled} titles; ` +
      `${set.time_unit === null ? 'order only' : `times in ${set.time_unit}`}${lists.length > 0 ? `; ${lists.join(', ')}` : ''}`,
    ...set.notes.map((text) => `- ${text}`),
  ]
}

function nameOf(path: string): string {
  const name = basename(resolve(path))
  return statSync(path, { throwIfNoEntry: false })?.isFile()
    ? name.replace(/(\.[a-z0-9]{1,7}){1,2}$/i, '')
    : name
}

const worthABar = 4e6 // bytes

function shownProgress(): ImportProgress {
  const bar = byteProgress()
  return {
    start: (set, bytes) => {
      bar.end()
      if (bytes >= worthABar) bar.start(`reading ${set}`, bytes)
    },
    read: (bytes) => bar.received(bytes),
    writing: (rows) => {
      bar.end()
      note(`writing ${rows} interactions`)
    },
    wrote: () => undefined,
    end: () => bar.end(),
  }
}

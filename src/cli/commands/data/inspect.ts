/** data inspect: which data sets lie under a path, which format each file has and what it holds. Nothing is written. */

import { relative, resolve } from 'node:path'
import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import { discover } from '../../../data/importers/discover.js'
import type { SourceFile } from '../../../data/importers/format.js'
import { formats } from '../../../data/importers/registry.js'
import { shortened, terminalLine } from '../../../report/terminal-text.js'
import { type CommonArguments, commonOptions } from '../../options.js'
import { printJson } from '../../running.js'
import { refusalOf } from './import.js'

interface InspectArguments extends CommonArguments {
  readonly path: string
  readonly format?: string | undefined
}

export const inspectDataCommand: CommandModule<object, InspectArguments> = {
  command: 'inspect <path>',
  describe: 'Which formats the files have, and their first rows',
  builder: (parser) =>
    commonOptions(parser)
      .positional('path', { type: 'string', demandOption: true, describe: 'File or folder' })
      .option('format', {
        choices: formats.map(({ name }) => name),
        describe: 'Take the files for this format',
      }),
  handler: async (args: ArgumentsCamelCase<InspectArguments>) => {
    const root = resolve(args.path)
    const { found, refused, ignored } = await discover(root, args.format ?? null)
    const sets = found.map(({ format, set }) => ({
      name: set.name,
      format: format.name,
      about: format.about,
      files: set.files.map((file) => ({ path: file.path, role: file.role, first: firstRows(file) })),
    }))
    if (args.json) return printJson({ schema: 1, path: root, sets, refused: refused.map(refusalOf), ignored })
    const shown = (path: string): string => relative(root, path) || path
    const lines = [
      ...sets.flatMap(({ name, format, about, files }) => [
        `${name}: ${format} (${about})`,
        ...files.flatMap(({ path, role, first }) => [
          `  ${shown(path)}: ${role}`,
          ...first.map((row) => `    ${shortened(row, 100)}`),
        ]),
      ]),
      ...refused.map(({ error }) => `refused: ${error.toLine()}`),
      ...ignored.map((path) => `unknown: ${shown(path)}`),
    ]
    for (const line of lines) {
      const indent = /^ */.exec(line)?.[0] ?? ''
      process.stdout.write(`${indent}${terminalLine(line)}\n`)
    }
  },
}

/** Two rows, or the columns of a table whose rows are no text. */
const firstRows = ({ lines, columns }: SourceFile): string[] =>
  columns.length > 0 ? [columns.join(', ')] : lines.slice(0, 2).map((line) => line.slice(0, 400))

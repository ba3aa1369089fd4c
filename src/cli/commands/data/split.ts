/** data split: the split of a data set as files, for looking at and for other programs. */

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import { type SplitForm, splitFiles, splitForms } from '../../../data/split-files.js'
import { openRankingData } from '../../../methods/session.js'
import { terminalLine } from '../../../report/terminal-text.js'
import { type CommonArguments, commonOptions, configOf, requireOut } from '../../options.js'
import { printJson } from '../../running.js'
import { writeLines } from './write-lines.js'

interface SplitArguments extends CommonArguments {
  readonly path: string
  readonly to: SplitForm
}

export const splitCommand: CommandModule<object, SplitArguments> = {
  command: 'split <path>',
  describe: 'Write train, valid and test as files (data.split, data.core, data.candidates ...)',
  builder: (parser) =>
    commonOptions(parser)
      .positional('path', { type: 'string', demandOption: true, describe: 'Folder of a data set' })
      .option('to', { choices: splitForms, default: 'jsonl' as const, describe: 'For which program' })
      .example('$0 data split DIR --to recbole --set data.split=loo --out DIR', ''),
  handler: async (args: ArgumentsCamelCase<SplitArguments>) => {
    const folder = requireOut(args.out)
    const dataset = await openRankingData(configOf({ ...args, data: args.path }).config)
    mkdirSync(folder, { recursive: true })
    const files = []
    for (const { name, lines } of splitFiles(dataset, args.to)) {
      await writeLines(join(folder, name), lines())
      files.push(join(folder, name))
    }
    const parts = { train: dataset.train.length, valid: dataset.valid.length, test: dataset.test.length }
    if (args.json)
      return printJson({ schema: 1, dataset: dataset.name, ...parts, files, notes: dataset.notes })
    const counts = `${parts.train} train, ${parts.valid} valid and ${parts.test} test instances`
    for (const text of [`${dataset.name}: ${counts}`, ...dataset.notes, ...files])
      process.stdout.write(`${terminalLine(text)}\n`)
  },
}

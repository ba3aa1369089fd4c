/** data export: a data set as tables that other programs read; importing them again gives the same set. */

import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import { importPath } from '../../../data/importers/import.js'
import { type TableForm, tableForms } from '../../../data/write.js'
import { type CommonArguments, commonOptions, requireOut } from '../../options.js'
import { printReport } from './import.js'

interface ExportArguments extends CommonArguments {
  readonly path: string
  readonly as: TableForm
}

export const exportDataCommand: CommandModule<object, ExportArguments> = {
  command: 'export <path>',
  describe: 'A data set as CSV, TSV, JSON lines or Parquet',
  builder: (parser) =>
    commonOptions(parser)
      .positional('path', { type: 'string', demandOption: true, describe: 'Folder of a data set' })
      .option('as', { choices: tableForms, default: 'csv' as const, describe: 'Kind of tables' }),
  handler: async (args: ArgumentsCamelCase<ExportArguments>) =>
    printReport(await importPath(args.path, requireOut(args.out), { form: args.as }), args.json),
}

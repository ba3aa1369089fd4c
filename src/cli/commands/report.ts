/** report: writes report.html, report.md, tables and figures of a run again, also of one that stopped early. */

import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import { writeReport } from '../../report/write-report.js'
import { type CommonArguments, commonOptions } from '../options.js'
import { printJson } from '../running.js'

interface ReportArguments extends CommonArguments {
  readonly run: string
}

export const reportCommand: CommandModule<object, ReportArguments> = {
  command: 'report <run>',
  describe: 'Write the report of a run',
  builder: (parser) =>
    commonOptions(
      parser.positional('run', { type: 'string', demandOption: true, describe: 'Folder of the run' }),
    ),
  handler: async (args: ArgumentsCamelCase<ReportArguments>) => {
    const { html, markdown } = await writeReport(args.run)
    if (args.json) printJson({ schema: 1, report: html, markdown })
    else process.stdout.write(`report   ${html}\n         ${markdown}\n`)
  },
}

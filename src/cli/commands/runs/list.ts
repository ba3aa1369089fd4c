/** runs ls: the runs under a folder, newest first. */

import { relative } from 'node:path'
import Table from 'cli-table3'
import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import { listRuns } from '../../../phases/run/run-list.js'
import { duration, mebibytes, metric } from '../../../report/numbers.js'
import { terminalLine } from '../../../report/terminal-text.js'
import { type CommonArguments, commonOptions } from '../../options.js'
import { printJson } from '../../running.js'

interface ListArguments extends CommonArguments {
  readonly folder: string
}

export const listRunsCommand: CommandModule<object, ListArguments> = {
  command: 'ls [folder]',
  describe: 'Runs under a folder, newest first',
  builder: (parser) =>
    commonOptions(
      parser.positional('folder', { type: 'string', default: 'runs', describe: 'Folder that holds runs' }),
    ),
  handler: (args: ArgumentsCamelCase<ListArguments>) => {
    const runs = listRuns(args.folder)
    if (args.json) return printJson({ schema: 1, runs })
    if (runs.length === 0) {
      process.stdout.write(`no runs under ${args.folder}\n`)
      return
    }
    const table = new Table({
      head: ['run', 'method', 'seed', 'status', 'phases', 'time', 'HR@1', 'size'],
      style: { head: [], border: [] },
    })
    for (const run of runs)
      table.push([
        terminalLine(relative(process.cwd(), run.path) || '.'),
        run.method ?? '',
        run.seed ?? '',
        run.status,
        `${run.done.length} of ${run.plan.length}`,
        duration(run.seconds),
        run.hr1 === null ? '' : metric(run.hr1),
        mebibytes(run.bytes),
      ])
    process.stdout.write(`${table.toString()}\n`)
  },
}

/** runs show: where a run stands, what its phases took, and its table where it was evaluated. */

import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import { ReasonrecError } from '../../../engine/errors.js'
import { summaryFile } from '../../../phases/evaluation/summary.js'
import { isRunDirectory, readRunState } from '../../../phases/run/run-directory.js'
import { listedRun } from '../../../phases/run/run-list.js'
import type { RunSummary } from '../../../phases/run/run-record.js'
import { duration } from '../../../report/numbers.js'
import { renderTable } from '../../../report/table.js'
import { type CommonArguments, commonOptions } from '../../options.js'
import { printJson } from '../../running.js'

interface ShowArguments extends CommonArguments {
  readonly run: string
}

export const showRunCommand: CommandModule<object, ShowArguments> = {
  command: 'show <run>',
  describe: 'Where a run stands, and its table',
  builder: (parser) =>
    commonOptions(
      parser.positional('run', { type: 'string', demandOption: true, describe: 'Folder of the run' }),
    ),
  handler: (args: ArgumentsCamelCase<ShowArguments>) => {
    const path = requireRun(args.run)
    const run = listedRun(path)
    const file = join(path, summaryFile)
    const summary = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as RunSummary) : null
    if (args.json) return printJson({ schema: 1, run, summary })
    const stages = readRunState(path)?.stages ?? {}
    const lines = [
      `${run.path}: ${run.method ?? 'unknown method'}, seed ${run.seed ?? 'unknown'}, ${run.status}`,
      ...run.plan.map((phase) => {
        const stage = stages[phase]
        return `  ${phase.padEnd(12)} ${stage ? `${stage.status}, ${duration(stage.seconds)}` : 'not begun'}`
      }),
      ...(run.status === 'stopped' ? [`go on with: reasonrec resume ${run.path}`] : []),
    ]
    process.stdout.write(`${lines.join('\n')}\n`)
    if (summary) process.stdout.write(`${renderTable(summary.table)}\n`)
  },
}

export function requireRun(given: string): string {
  const path = resolve(given)
  if (isRunDirectory(path)) return path
  throw new ReasonrecError('RR_OUTPUT_NO_RUN', `${path} holds no run`, {
    expected: 'a folder with config.yaml and state.json',
    remedy: 'see reasonrec runs ls',
  })
}

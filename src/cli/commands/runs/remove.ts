/** runs rm: removes a run's folder. Never one that a process works on, never a folder that is no run, never unasked. */

import { rmSync } from 'node:fs'
import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import { ReasonrecError } from '../../../engine/errors.js'
import { lockDirectory } from '../../../phases/run/lock.js'
import { listedRun } from '../../../phases/run/run-list.js'
import { mebibytes } from '../../../report/numbers.js'
import { type CommonArguments, commonOptions } from '../../options.js'
import { printJson } from '../../running.js'
import { requireRun } from './show.js'

interface RemoveArguments extends CommonArguments {
  readonly run: string
  readonly yes: boolean
}

export const removeRunCommand: CommandModule<object, RemoveArguments> = {
  command: 'rm <run>',
  describe: 'Remove the folder of a run, its adapters included',
  builder: (parser) =>
    commonOptions(
      parser.positional('run', { type: 'string', demandOption: true, describe: 'Folder of the run' }),
    ).option('yes', { type: 'boolean', default: false, describe: 'Yes, remove it' }),
  handler: (args: ArgumentsCamelCase<RemoveArguments>) => {
    const path = requireRun(args.run)
    const { bytes } = listedRun(path)
    if (!args.yes)
      throw new ReasonrecError('RR_USAGE_CONFIRM', `${path} (${mebibytes(bytes)}) would be removed`, {
        remedy: 'give --yes',
      })
    // Held to the end: nobody resumes what is being removed.
    lockDirectory(path)
    rmSync(path, { recursive: true })
    if (args.json) printJson({ schema: 1, removed: path, bytes })
    else process.stdout.write(`removed ${path} (${mebibytes(bytes)})\n`)
  },
}

/** resume: goes on with a run that was interrupted or killed, to the same bits as without the interruption. */

import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import { setThreads } from '../../engine/index.js'
import { openRun } from '../../methods/session.js'
import { type CommonArguments, commonOptions, requireDevice } from '../options.js'
import { runToEnd } from '../running.js'

interface ResumeArguments extends CommonArguments {
  readonly run: string
}

export const resumeCommand: CommandModule<object, ResumeArguments> = {
  command: 'resume <run>',
  describe: 'Go on with an interrupted run',
  builder: (parser) =>
    commonOptions(
      parser.positional('run', { type: 'string', demandOption: true, describe: 'Folder of the run' }),
    ),
  handler: async (args: ArgumentsCamelCase<ResumeArguments>) => {
    requireDevice(args.device)
    await runToEnd(async (watcher) => {
      const context = await openRun(args.run, watcher)
      if (args.threads !== undefined && args.threads > 0) await setThreads(args.threads)
      return context
    }, args.json)
  },
}

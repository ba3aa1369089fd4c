/** run: all phases from a model folder and a data folder to an adapter, a result table and a report. */

import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import { createRun } from '../../methods/session.js'
import { allPhases } from '../../phases/pipeline.js'
import { configOf, freeRunFolder, type RunArguments, requireOut, runOptions } from '../options.js'
import { runToEnd } from '../running.js'

export const runCommand: CommandModule<object, RunArguments> = {
  command: 'run',
  describe: 'Collect, imitate, internalize, evaluate and report',
  builder: (parser) =>
    runOptions(parser)
      .default('preset', 're2')
      .example('$0 run --preset re2-quickstart', 'the embedded default, about a minute and a half')
      .example(
        '$0 run --preset re2-small-cpu --model DIR --data DIR --out runs/first',
        'about an hour on two cores',
      ),
  handler: async (args: ArgumentsCamelCase<RunArguments>) => {
    const out = args.out === undefined ? freeRunFolder(args.preset ?? 'run') : requireOut(args.out)
    const loaded = configOf(args)
    await runToEnd((watcher) => createRun(loaded, out, allPhases, watcher), args.json)
  },
}

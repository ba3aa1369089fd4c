/** judge: a language model grades the reasonings of an evaluated run, once it has found faults planted for it. */

import { join, resolve } from 'node:path'
import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import { loadConfig } from '../../config/load.js'
import { ReasonrecError } from '../../engine/index.js'
import { ChatJudge } from '../../judge/chat-judge.js'
import { type JudgeReport, judgeFile } from '../../judge/judge-report.js'
import { openDataset, openTested } from '../../methods/session.js'
import { judgeRun } from '../../phases/evaluation/judged-run.js'
import { writeDurably } from '../../phases/run/files.js'
import { isInterruption, watchInterrupts } from '../../phases/run/interrupt.js'
import { isRunDirectory } from '../../phases/run/run-directory.js'
import { judgeLines } from '../../report/judge-text.js'
import { terminalLine } from '../../report/terminal-text.js'
import { type CommonArguments, commonOptions } from '../options.js'
import { note, printJson, stoppedBy } from '../running.js'

interface JudgeArguments extends CommonArguments {
  readonly run: string
  readonly row?: readonly string[] | undefined
}

export const judgeCommand: CommandModule<object, JudgeArguments> = {
  command: 'judge <run>',
  describe: 'Reasonings of an evaluated run, graded and compared by a calibrated judge',
  builder: (parser) =>
    commonOptions(
      parser.positional('run', { type: 'string', demandOption: true, describe: 'Folder of the run' }),
    )
      .option('row', {
        type: 'string',
        array: true,
        requiresArg: true,
        nargs: 1,
        describe: 'Row id such as internalized (the default); further ones are compared with the first',
      })
      .example(
        '$0 judge RUN --row internalized --row imitated --set judge.baseURL=http://127.0.0.1:8080/v1 --set judge.model=NAME',
        '',
      ),
  handler: async (args: ArgumentsCamelCase<JudgeArguments>) => {
    const path = resolve(args.run)
    if (!isRunDirectory(path))
      throw new ReasonrecError('RR_OUTPUT_NO_RUN', `${path} holds no run`, {
        expected: 'a folder with config.yaml and state.json',
        remedy: 'give the --out folder of an evaluated run',
      })
    const { config } = loadConfig({
      preset: join(path, 'config.yaml'),
      file: args.config ?? null,
      set: args.set ?? [],
      options: args.seed === undefined ? {} : { seed: args.seed },
    })
    const signals = watchInterrupts((name) =>
      note(`${name}: answers under way are kept; once more to leave at once`),
    )
    try {
      const judge = await ChatJudge.open(config, join(path, 'judge'), signals.signal)
      try {
        const dataset = await openTested(config)
        const training = config.eval.data === null ? await openDataset(config) : null
        const report = await judgeRun(
          { path, config, dataset, training },
          judge,
          args.row ?? ['internalized'],
        )
        writeDurably(join(path, judgeFile), `${JSON.stringify(report, null, 1)}\n`)
        print(report, args.json)
      } finally {
        await judge.close()
      }
    } catch (error) {
      if (!isInterruption(error, signals.signal)) throw error
      throw stoppedBy(signals.signal, 'run the command again: what was answered is in the ledger')
    } finally {
      signals.stop()
    }
  },
}

function print(report: JudgeReport, json: boolean): void {
  if (json) printJson(report)
  else process.stdout.write(`${judgeLines(report).map(terminalLine).join('\n')}\n`)
}

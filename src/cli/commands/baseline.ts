/**
 * baseline: what counting (baselines.rows), and SASRec where it is asked for, reach on a dataset under our evaluator, without a
 * language model. The same call with the same --out goes on where an interrupted training stopped.
 */

import { mkdirSync } from 'node:fs'
import { resolve } from 'node:path'
import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import { engineInfo, setThreads } from '../../engine/index.js'
import { openRankingData } from '../../methods/session.js'
import { baselineTable } from '../../phases/evaluation/baseline-table.js'
import { isInterruption, watchInterrupts } from '../../phases/run/interrupt.js'
import { lockDirectory } from '../../phases/run/lock.js'
import { terminalProgress } from '../../report/progress.js'
import { renderDifferences, renderTable } from '../../report/table.js'
import { configOf, type RunArguments, requireOut, runOptions } from '../options.js'
import { note, printJson, stoppedBy } from '../running.js'

interface BaselineArguments extends RunArguments {
  readonly sasrec: boolean
  readonly onnx?: string | undefined
}

export const baselineCommand: CommandModule<object, BaselineArguments> = {
  command: 'baseline',
  describe: 'Baselines of a dataset without a language model: counting rows, SASRec',
  builder: (parser) =>
    runOptions(parser)
      .option('sasrec', {
        type: 'boolean',
        default: false,
        describe: 'Train SASRec too (baselines.sasrec.*)',
      })
      .option('onnx', {
        type: 'string',
        requiresArg: true,
        describe: 'A recommender as ONNX, with its sidecar JSON (baselines.onnx)',
      })
      .example('$0 baseline --data DIR --sasrec --set data.max_hist=100 --out runs/sasrec', ''),
  handler: async (args: ArgumentsCamelCase<BaselineArguments>) => {
    const set = [
      ...(args.set ?? []),
      ...(args.sasrec ? ['baselines.sasrec.enabled=true'] : []),
      ...(args.onnx === undefined ? [] : [`baselines.onnx=${JSON.stringify(resolve(args.onnx))}`]),
    ]
    const { config, hash } = configOf({ ...args, set })
    const folder = requireOut(args.out)
    await setThreads(config.model.threads === 0 ? engineInfo().threads : config.model.threads)
    const dataset = await openRankingData(config)
    mkdirSync(folder, { recursive: true })
    const lock = lockDirectory(folder)
    const signals = watchInterrupts((name) => note(`${name}: saving; once more to leave at once`))
    const progress = terminalProgress()
    try {
      const { signal } = signals
      const result = await baselineTable({ config, dataset, folder, progress, signal })
      if (args.json) printJson({ schema: 1, config_hash: hash, ...result })
      else {
        process.stdout.write(`${renderTable(result.table)}\n`)
        if (result.differences.length > 0) process.stdout.write(`${renderDifferences(result.differences)}\n`)
        const [worst] = result.audit.findings
        note(
          `leak audit: ${result.audit.verdict}${worst && result.audit.verdict !== 'clean' ? `: ${worst.what}` : ''}`,
        )
      }
    } catch (error) {
      if (!isInterruption(error, signals.signal)) throw error
      throw stoppedBy(signals.signal, 'saved; the same command goes on')
    } finally {
      progress.end()
      signals.stop()
      lock.release()
    }
  },
}

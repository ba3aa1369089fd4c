/**
 * baseline: what counting (baselines.rows), and SASRec where it is asked for, reach on a dataset under our evaluator, without a
 * language model; with --llm also the field's language-model baselines (baselines.llm), as a run of evaluation alone. The same
 * call with the same --out goes on where an interrupted one stopped.
 */

import { mkdirSync } from 'node:fs'
import { resolve } from 'node:path'
import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import type { LoadedConfig } from '../../config/load.js'
import { engineInfo, ReasonrecError, setThreads } from '../../engine/index.js'
import { llmBaselines } from '../../eval/result-row.js'
import { createRun, openRankingData, openRun } from '../../methods/session.js'
import { requireSameConfig } from '../../methods/training-run.js'
import { baselineTable } from '../../phases/evaluation/baseline-table.js'
import { baselinePhases } from '../../phases/pipeline.js'
import { isInterruption, watchInterrupts } from '../../phases/run/interrupt.js'
import { lockDirectory } from '../../phases/run/lock.js'
import { isRunDirectory } from '../../phases/run/run-directory.js'
import { terminalProgress } from '../../report/progress.js'
import { renderDifferences, renderTable } from '../../report/table.js'
import { configOf, type RunArguments, requireOut, runOptions } from '../options.js'
import { note, printJson, runToEnd, stoppedBy } from '../running.js'

interface BaselineArguments extends RunArguments {
  readonly sasrec: boolean
  readonly llm: boolean
  readonly onnx?: string | undefined
}

export const baselineCommand: CommandModule<object, BaselineArguments> = {
  command: 'baseline',
  describe: 'Baselines of a dataset: counting rows, SASRec, language models that are not the method',
  builder: (parser) =>
    runOptions(parser)
      .option('sasrec', {
        type: 'boolean',
        default: false,
        describe: 'Train SASRec too (baselines.sasrec.*)',
      })
      .option('llm', {
        type: 'boolean',
        default: false,
        describe: 'Language-model baselines too, of --model: all of baselines.llm, or those it names',
      })
      .option('onnx', {
        type: 'string',
        requiresArg: true,
        describe: 'A recommender as ONNX, with its sidecar JSON (baselines.onnx)',
      })
      .example('$0 baseline --data DIR --sasrec --set data.max_hist=100 --out runs/sasrec', '')
      .example(
        '$0 baseline --llm --preset re2-small-cpu --model DIR --data DIR --out runs/baselines',
        'zero-shot, chain of thought, SFT-direct, S-DPO, GRPO-direct',
      ),
  handler: async (args: ArgumentsCamelCase<BaselineArguments>) => {
    const set = [
      ...(args.set ?? []),
      ...(args.sasrec ? ['baselines.sasrec.enabled=true'] : []),
      ...(args.llm && !configOf(args).config.baselines.llm.length
        ? [`baselines.llm=[${llmBaselines.join(', ')}]`]
        : []),
      ...(args.onnx === undefined ? [] : [`baselines.onnx=${JSON.stringify(resolve(args.onnx))}`]),
    ]
    const loaded = configOf({ ...args, set })
    const { config, hash } = loaded
    const folder = requireOut(args.out)
    if (config.baselines.llm.length > 0) return llmBaselineRun(loaded, folder, args.json)
    refuseRun(folder)
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

/** A run directory: progress, interruption, summary and report are those of every run. */
async function llmBaselineRun(loaded: LoadedConfig, out: string, json: boolean): Promise<void> {
  if (loaded.config.baselines.onnx !== null)
    throw new ReasonrecError('RR_USAGE_OPTIONS', 'an ONNX scorer has no row beside language models', {
      expected: 'baselines.llm or baselines.onnx',
      got: 'both',
      remedy: 'call baseline twice, on the same tests',
    })
  const there = isRunDirectory(out)
  if (there) requireSameConfig(out, loaded.hash)
  await runToEnd(
    (watcher) => (there ? openRun(out, watcher) : createRun(loaded, out, baselinePhases, watcher)),
    json,
  )
}

function refuseRun(out: string): void {
  if (!isRunDirectory(out)) return
  throw new ReasonrecError('RR_OUTPUT_NOT_EMPTY', `${out} holds a run`, {
    expected: 'a folder of its own for baselines without a language model',
    remedy: 'choose another --out, or give --llm with the options the run was made with',
  })
}

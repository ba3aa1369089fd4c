/**
 * What every long verb does around its work: progress and samples on stderr, signals, the run directory's
 * lock, and the end: one JSON object or tables on stdout.
 */

import { methodSteps } from '../methods/registry.js'
import type { Watcher } from '../methods/session.js'
import type { MethodSteps } from '../phases/pipeline.js'
import { runStages } from '../phases/pipeline.js'
import type { PhaseContext } from '../phases/run/context.js'
import { Interrupted, isInterruption, watchInterrupts } from '../phases/run/interrupt.js'
import type { ProgressSink } from '../phases/run/progress.js'
import type { RunSummary, SampleLine } from '../phases/run/run-record.js'
import { terminalProgress } from '../report/progress.js'
import { renderSample } from '../report/sample.js'
import { renderDifferences, renderTable, setsName } from '../report/table.js'
import { terminalLine } from '../report/terminal-text.js'

/** Thrown where a signal ended the work; main prints the message and takes the exit status. */
export class Stopped extends Error {
  readonly exitStatus: number

  constructor(message: string, exitStatus: number) {
    super(message)
    this.name = 'Stopped'
    this.exitStatus = exitStatus
  }
}

/** Opens a run with `open`, does its stages, prints. */
export async function runToEnd(
  open: (watcher: Watcher) => Promise<PhaseContext>,
  json: boolean,
): Promise<void> {
  await runWith(open, (summary, context) => {
    if (summary) printSummary(summary, json)
    else printDone(context, json)
  })
}

/** Opens a run with `open`, does its stages, tells `done` before it is closed. */
export async function runWith(
  open: (watcher: Watcher) => Promise<PhaseContext>,
  done: (summary: RunSummary | null, context: PhaseContext) => void,
): Promise<void> {
  const signals = watchInterrupts((name) => note(`${name}: saving; once more to leave at once`))
  const shown = watcherOf(signals.signal)
  let context: PhaseContext | null = null
  try {
    context = await open(shown)
    const steps: MethodSteps = methodSteps(context.config)
    done(await runStages(context, steps), context)
  } catch (error) {
    shown.progress.end()
    throw isInterruption(error, signals.signal) ? stopped(signals.signal, context) : error
  } finally {
    context?.run.close()
    signals.stop()
  }
}

function stopped(signal: AbortSignal, context: PhaseContext | null): Stopped {
  return stoppedBy(
    signal,
    context ? `saved; resume with: reasonrec resume ${context.run.path}` : 'nothing was written yet',
  )
}

/** `what` there is to do now. */
export function stoppedBy(signal: AbortSignal, what: string): Stopped {
  const reason = signal.reason instanceof Interrupted ? signal.reason : new Interrupted('SIGINT')
  return new Stopped(`interrupted by ${reason.signal}; ${what}`, reason.exitStatus)
}

/** Progress on stderr; after each phase the last sample it showed. */
function watcherOf(signal: AbortSignal): Watcher {
  const bars = terminalProgress()
  let last: SampleLine | null = null
  const showLast = (): void => {
    if (last) process.stderr.write(`${renderSample(last)}\n`)
    last = null
  }
  const progress: ProgressSink = {
    ...bars,
    start: (phase, total, unit) => {
      showLast()
      bars.start(phase, total, unit)
    },
    end: () => {
      bars.end()
      showLast()
    },
  }
  return {
    progress,
    signal,
    onSample: (sample) => {
      last = sample
    },
  }
}

function printSummary(summary: RunSummary, json: boolean): void {
  if (json) {
    printJson(summary)
    return
  }
  if (summary.tested) process.stdout.write(`${terminalLine(transferHead(summary))}\n`)
  process.stdout.write(`${renderTable(summary.table)}\n`)
  if (summary.differences && summary.differences.length > 0)
    process.stdout.write(`${renderDifferences(summary.differences)}\n`)
  if (summary.adapter !== null) process.stdout.write(`adapter  ${summary.adapter}\n`)
  process.stdout.write(`report   ${summary.report}\nrun      ${summary.run}\n`)
}

function transferHead({ audit, ...summary }: RunSummary): string {
  const verdict = audit ? `; leak audit: ${audit.trained?.verdict}, ${audit.verdict}` : ''
  return `${setsName(summary)}${verdict}`
}

function printDone({ run }: PhaseContext, json: boolean): void {
  const done = run.plan.filter((phase) => run.isDone(phase))
  if (json) printJson({ schema: 1, run: run.path, done, config_hash: run.loaded.hash })
  else process.stdout.write(`done     ${done.join(', ')}\nrun      ${run.path}\n`)
}

export function printJson(value: object): void {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}

export function note(text: string): void {
  process.stderr.write(`reasonrec: ${text}\n`)
}

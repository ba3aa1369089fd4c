#!/usr/bin/env node
/** The command line: one verb per file under commands/. Errors are one line on stderr and an exit status. */

import yargs from 'yargs'
import { hideBin } from 'yargs/helpers'
import { exitStatus, ReasonrecError } from '../engine/errors.js'
import { isWriteProblem, writeFailure } from '../phases/run/files.js'
import { ablateCommand } from './commands/ablate.js'
import { baselineCommand } from './commands/baseline.js'
import { boardCommand } from './commands/board.js'
import { chainsCommand } from './commands/chains.js'
import { collectCommand } from './commands/collect.js'
import { compareCommand } from './commands/compare.js'
import { dataCommand } from './commands/data.js'
import { describeCommand } from './commands/describe.js'
import { doctorCommand } from './commands/doctor.js'
import { evaluateCommand } from './commands/evaluate.js'
import { exportCommand } from './commands/export.js'
import { imitateCommand } from './commands/imitate.js'
import { initCommand } from './commands/init.js'
import { inspectCommand } from './commands/inspect.js'
import { internalizeCommand } from './commands/internalize.js'
import { judgeCommand } from './commands/judge.js'
import { modelCommand } from './commands/model.js'
import { planCommand } from './commands/plan.js'
import { presetsCommand } from './commands/presets.js'
import { recommendCommand } from './commands/recommend.js'
import { reportCommand } from './commands/report.js'
import { resumeCommand } from './commands/resume.js'
import { runCommand } from './commands/run.js'
import { runsCommand } from './commands/runs.js'
import { serveCommand } from './commands/serve.js'
import { Stopped } from './running.js'

async function main(): Promise<void> {
  // Whoever reads has closed the pipe (`| head`): what is left to print is dropped, the work goes on.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
  await yargs(hideBin(process.argv))
    .scriptName('reasonrec')
    .usage('$0 <verb> [options]')
    .command(runCommand)
    .command(collectCommand)
    .command(imitateCommand)
    .command(internalizeCommand)
    .command(evaluateCommand)
    .command(planCommand)
    .command(recommendCommand)
    .command(reportCommand)
    .command(resumeCommand)
    .command(baselineCommand)
    .command(chainsCommand)
    .command(ablateCommand)
    .command(compareCommand)
    .command(judgeCommand)
    .command(inspectCommand)
    .command(exportCommand)
    .command(modelCommand)
    .command(dataCommand)
    .command(presetsCommand)
    .command(describeCommand)
    .command(initCommand)
    .command(runsCommand)
    .command(boardCommand)
    .command(serveCommand)
    .command(doctorCommand)
    .demandCommand(1, 'say what to do: a verb is missing')
    .recommendCommands()
    .strict()
    .wrap(Math.min(110, process.stdout.columns ?? 110))
    .fail((message: string | null, error: Error | undefined) => {
      throw (
        error ?? new ReasonrecError('RR_USAGE', message ?? 'wrong usage', { remedy: 'see reasonrec --help' })
      )
    })
    .parseAsync()
}

function fail(thrown: unknown): void {
  const error = fromFileSystem(thrown)
  if (error instanceof Stopped) {
    process.stderr.write(`reasonrec: ${error.message}\n`)
    process.exitCode = error.exitStatus
    return
  }
  const line =
    error instanceof ReasonrecError
      ? error.toLine()
      : `RR_INTERNAL: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`
  process.stderr.write(`${withoutControls(line)}\n`)
  process.exitCode = exitStatus(error)
}

/** A file system that refuses (full, read-only, forbidden) is the user's matter, not a fault in here. */
function fromFileSystem(error: unknown): unknown {
  if (error instanceof ReasonrecError || error instanceof Stopped || !isWriteProblem(error)) return error
  return writeFailure((error as NodeJS.ErrnoException).path ?? 'a file', error)
}

/** Names in messages may come from outside; a terminal must not obey them. */
function withoutControls(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]+/gu, ' ')
}

main().catch(fail)

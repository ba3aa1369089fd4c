/** One phase as a verb of its own: in a new run directory, or as the next step of one that is there. */

import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import { ReasonrecError } from '../engine/index.js'
import { createRun, openRun } from '../methods/session.js'
import { isBaselinesOnly } from '../phases/run/context.js'
import { isRunDirectory, RunDirectory } from '../phases/run/run-directory.js'
import type { Phase } from '../phases/run/run-record.js'
import { configOf, namesConfig, type RunArguments, requireOut, runOptions } from './options.js'
import { runToEnd } from './running.js'

export function phaseCommand(phase: Phase, describe: string): CommandModule<object, RunArguments> {
  return {
    command: phase,
    describe,
    builder: (parser) => runOptions(parser),
    handler: async (args: ArgumentsCamelCase<RunArguments>) => {
      const out = requireOut(args.out)
      if (!isRunDirectory(out)) {
        if (phase !== 'collect') throw noRun(out, phase)
        const loaded = configOf({ ...args, preset: args.preset ?? 're2' })
        return runToEnd((watcher) => createRun(loaded, out, [phase], watcher), args.json)
      }
      requireFitting(out, phase, args)
      await runToEnd(async (watcher) => {
        const context = await openRun(out, watcher)
        context.run.addToPlan(phase)
        return context
      }, args.json)
    },
  }
}

function noRun(out: string, phase: Phase): ReasonrecError {
  return new ReasonrecError('RR_OUTPUT_NO_RUN', `${out} holds no run, and ${phase} goes on from one`, {
    remedy: 'start with: reasonrec collect --model DIR --data DIR --out DIR, or use reasonrec run',
  })
}

/** Said before anything costly is opened. */
function requireFitting(out: string, phase: Phase, args: RunArguments): void {
  const run = RunDirectory.open(out)
  try {
    requireMethod(run)
    if (namesConfig(args)) requireSameConfig(run.loaded.hash, args, out)
    requireOthersDone(run, phase)
  } finally {
    run.close()
  }
}

/** Baselines alone have no phases of a method. */
function requireMethod(run: RunDirectory): void {
  if (!isBaselinesOnly({ run })) return
  throw new ReasonrecError('RR_OUTPUT_STAGE', `${run.path} is a run of baselines alone`, {
    expected: 'a run that begins with collect',
    remedy: 'choose another --out',
  })
}

/** A run keeps its configuration; options that say otherwise are an error, not ignored. */
function requireSameConfig(hash: string, args: RunArguments, out: string): void {
  if (configOf({ ...args, preset: args.preset ?? 're2' }).hash === hash) return
  throw new ReasonrecError('RR_OUTPUT_CONFIG', `${out} was made with another configuration`, {
    remedy: 'leave the configuration options out to go on with it, or choose another --out',
  })
}

/** A verb does its own phase: it does not go on with another that was interrupted. */
function requireOthersDone(run: RunDirectory, phase: Phase): void {
  const open = run.plan.find((planned) => planned !== phase && !run.isDone(planned))
  if (open === undefined) return
  throw new ReasonrecError('RR_OUTPUT_UNFINISHED', `${open} is not finished in ${run.path}`, {
    expected: `only ${phase} left to do`,
    remedy: `finish it first with: reasonrec resume ${run.path}`,
  })
}

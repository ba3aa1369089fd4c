/** The stages of a run in their order, each skipped where it is done; the summary and the report at the end. */

import { writeReport } from '../report/write-report.js'
import { collectSummary } from './collection/collect-summary.js'
import { evaluate } from './evaluation/evaluate.js'
import { writeSummary } from './evaluation/summary.js'
import { publishImitated } from './internalization/policy-setup.js'
import { isBaselinesOnly, type PhaseContext } from './run/context.js'
import type { CollectSummary, Phase, RunSummary } from './run/run-record.js'
import { requireStage } from './run/stage-models.js'

/** A paper's three steps. */
export interface MethodSteps {
  collect(context: PhaseContext): Promise<CollectSummary>
  imitate(context: PhaseContext): Promise<void>
  internalize(context: PhaseContext): Promise<void>
}

export const allPhases: readonly Phase[] = ['collect', 'imitate', 'internalize', 'evaluate']
/** A run of baselines.llm beside the counting rows: nothing of the method is trained. */
export const baselinePhases: readonly Phase[] = ['evaluate']

/** Does the stages of the run's plan that are not done. The summary, once evaluation is among them. */
export async function runStages(context: PhaseContext, steps: MethodSteps): Promise<RunSummary | null> {
  const { run } = context
  const planned = allPhases.filter((phase) => run.plan.includes(phase))
  for (const phase of planned) await runPhase(context, steps, phase)
  return planned.includes('evaluate') ? writeResults(context, steps) : null
}

/** One phase, where it is not done. Throws RR_OUTPUT_STAGE where the phase before it is not. */
export async function runPhase(context: PhaseContext, steps: MethodSteps, phase: Phase): Promise<void> {
  const { run, config } = context
  if (run.isDone(phase)) return
  if (phase === 'collect') {
    await steps.collect(context)
  } else if (phase === 'imitate') {
    requireStage(run, 'collect', phase)
    await steps.imitate(context)
  } else if (phase === 'internalize') {
    requireStage(run, 'imitate', phase)
    if (config.rl.steps > 0) return steps.internalize(context)
    run.begin('internalize')
    await publishImitated(context)
    run.finish('internalize')
  } else {
    if (!isBaselinesOnly(context)) requireStage(run, 'imitate', phase)
    await evaluate(context)
  }
}

/** summary.json and the report of an evaluated run. */
export async function writeResults(context: PhaseContext, steps: MethodSteps): Promise<RunSummary> {
  const collected = isBaselinesOnly(context) ? collectSummary(context, [], []) : await steps.collect(context)
  const summary = writeSummary(context, collected)
  if (context.config.report.html) await writeReport(context.run.path)
  return summary
}

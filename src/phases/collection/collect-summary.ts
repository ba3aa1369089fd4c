/** Counts of Reasoning Collection, a pure function of the traces and of the teacher's ledger: the same after a resume. */

import type { Instance } from '../../data/types.js'
import { trainCounts } from '../../eval/baselines/baseline.js'
import { targetDeciles } from '../../eval/popularity.js'
import type { Trace } from '../../methods/method.js'
import { readLedgerTotals } from '../../teacher/openai/ledger.js'
import { ledgerFolder } from '../../teacher/openai/teacher.js'
import type { PhaseContext } from '../run/context.js'
import type { CollectSummary, TeacherUsage } from '../run/run-record.js'

export function collectSummary(
  context: PhaseContext,
  instances: readonly Instance[],
  traces: readonly Trace[],
): CollectSummary {
  const kept = traces.filter((trace) => trace.kept)
  const from = (source: Trace['source']): Trace[] => kept.filter((trace) => trace.source === source)
  const counts = trainCounts(context.dataset)
  const deciles = (targets: readonly number[]): number[] => targetDeciles(counts, targets)
  const targets = (source: Trace['source']): number[] => from(source).map(({ target }) => target)
  const generators = new Map<string, number>()
  for (const { generator } of kept) generators.set(generator, (generators.get(generator) ?? 0) + 1)
  const teacher = teacherUsage(context)
  return {
    instances: instances.length,
    sampled: traces.length,
    kept: { A: from('A').length, B: from('B').length, C: from('C').length },
    generators: Object.fromEntries(generators),
    rejected: rejections(traces, context.method.requiredGates),
    builtin_share: (generators.get('builtin') ?? 0) / Math.max(1, kept.length),
    target_deciles: {
      all: deciles(instances.map(({ target }) => target)),
      A: deciles(targets('A')),
      B: deciles(targets('B')),
      C: deciles(targets('C')),
    },
    ...(teacher && { teacher }),
  }
}

/** Null where no server was asked. */
function teacherUsage({ config, run }: PhaseContext): TeacherUsage | null {
  const { kind, model, replay } = config.teacher
  const totals = kind === 'openai' ? readLedgerTotals(ledgerFolder(config, run.path)) : null
  return totals && { model: model ?? '', replay, ...totals }
}

/** Each rejected sample counts for the first gate it failed, so that the counts add up. */
function rejections(
  traces: readonly Trace[],
  counted: ReadonlySet<string>,
): Record<string, Record<string, number>> {
  const byPass: Record<string, Record<string, number>> = {}
  for (const { source, gates } of traces) {
    const failed = gates.find(({ gate, passed }) => !passed && (counted.has(gate) || gate === 'G9'))
    if (!failed) continue
    byPass[source] ??= {}
    const own = byPass[source]
    own[failed.gate] = (own[failed.gate] ?? 0) + 1
  }
  return byPass
}

/** summary.json: what a run was, what it cost and what came out; `run --json` prints it. */

import { cpus } from 'node:os'
import { basename, resolve } from 'node:path'
import type { Dataset } from '../../data/types.js'
import { engineInfo } from '../../engine/index.js'
import { isBaselinesOnly, isTransfer, onTests, type PhaseContext } from '../run/context.js'
import { readJsonLines, writeDurably } from '../run/files.js'
import { testInstances } from '../run/instances.js'
import type {
  CollectSummary,
  ImitateMetrics,
  InternalizeMetrics,
  MetricsLine,
  Phase,
  RunSummary,
  SetFacts,
} from '../run/run-record.js'
import { adapterFolder, imitatedModelFolder } from '../run/stage-models.js'
import { runAudit } from './prompt-audit.js'
import { evaluationResult } from './result-table.js'

export const summaryFile = 'summary.json'

export function writeSummary(context: PhaseContext, collected: CollectSummary): RunSummary {
  const summary = runSummary(context, collected)
  writeDurably(context.run.file(summaryFile), `${JSON.stringify(summary, null, 1)}\n`)
  return summary
}

function runSummary(context: PhaseContext, collected: CollectSummary): RunSummary {
  const { config, dataset, base, run } = context
  const tested = context.sets.tests.dataset
  const remarks = context.method.remarks?.(tested, testInstances(tested, config)) ?? []
  const seconds = (phase: Phase): number => run.stage(phase)?.seconds ?? 0
  const phases = ['collect', 'imitate', 'internalize', 'evaluate'] as const
  const alone = isBaselinesOnly(context)
  const wholeModel = config.sft.adapter === 'full' && config.rl.steps === 0
  return {
    schema: 1,
    run: run.path,
    adapter: alone ? null : run.file(wholeModel ? imitatedModelFolder : adapterFolder),
    report: run.file('report.html'),
    seconds: {
      collect: seconds('collect'),
      imitate: seconds('imitate'),
      internalize: seconds('internalize'),
      evaluate: seconds('evaluate'),
    },
    cpu_seconds: phases.reduce((sum, phase) => sum + (run.stage(phase)?.cpuSeconds ?? 0), 0),
    world_size: 1,
    config_hash: run.loaded.hash,
    ...(alone && { baselines_only: true as const }),
    ...evaluationResult(onTests(context)),
    collect: collected,
    dataset: setFacts(dataset, config.data.name ?? dataset.name, isTransfer(context) ? [] : remarks),
    ...(isTransfer(context) && { tested: setFacts(tested, tested.name, remarks) }),
    model: {
      name: basename(resolve(config.model.dir ?? '')),
      family: base.config.family,
      parameters: base.parameters,
      vocab: base.vocab,
    },
    environment: environment(),
    audit: runAudit(context),
    truncated: truncations(context),
  }
}

function setFacts(dataset: Dataset, name: string, remarks: readonly string[]): SetFacts {
  const { items, train, valid, test } = dataset
  const notes = [...dataset.notes, ...remarks]
  return { name, items: items.length, train: train.length, valid: valid.length, test: test.length, notes }
}

function environment(): Record<string, string> {
  const { version, isa, threads } = engineInfo()
  const processors = cpus()
  return {
    reasonrec: version,
    node: process.version,
    system: `${process.platform} ${process.arch}`,
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cores: String(processors.length),
    threads: String(threads),
    isa,
    device: 'cpu',
  }
}

/** What was cut or left out on the way, in words. */
function truncations(context: PhaseContext): string[] {
  const { config, run } = context
  const dataset = context.sets.tests.dataset
  const lines = readJsonLines<MetricsLine>(run.file('metrics.jsonl'))
  const skipped = lines.filter(
    (line): line is ImitateMetrics | InternalizeMetrics => 'skipped' in line && line.skipped === true,
  )
  const tests = config.eval.instances
  return [
    ...(tests !== null && tests < dataset.test.length
      ? [`evaluation on ${tests} of ${dataset.test.length} tests`]
      : []),
    ...(skipped.length > 0
      ? [`${skipped.length} updates dropped because loss or gradient was not finite`]
      : []),
  ]
}

/**
 * Reads a run directory: summary.json, metrics.jsonl, samples.jsonl, traces.jsonl, config.yaml. Any of
 * them may be absent or cut off (a run that stopped early, a torn last line): what is there is returned,
 * what is not is named in `missing`, so that the report can say so.
 */

import { createReadStream, existsSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { ReasonrecError } from '../engine/errors.js'
import { type JudgeReport, judgeFile } from '../judge/judge-report.js'
import type { Trace } from '../methods/method.js'
import type {
  CollectMetrics,
  CollectSummary,
  ImitateMetrics,
  InternalizeMetrics,
  MetricsLine,
  RunSummary,
  SampleLine,
  ValidationMetrics,
} from '../phases/run/run-record.js'

/** Counts that can be had from traces.jsonl alone; deciles need the data and come from the summary. */
export type CollectCounts = Omit<CollectSummary, 'target_deciles'> &
  Partial<Pick<CollectSummary, 'target_deciles'>>

export interface RunFiles {
  /** Name of the folder, for titles. */
  readonly name: string
  /** Empty object where the run has not come to its end. */
  readonly summary: Partial<RunSummary>
  readonly finished: boolean
  readonly collectLines: readonly CollectMetrics[]
  readonly imitate: readonly ImitateMetrics[]
  readonly internalize: readonly InternalizeMetrics[]
  readonly validations: readonly ValidationMetrics[]
  readonly samples: readonly SampleLine[]
  readonly collect: CollectCounts | null
  /** What a judge said, where one was asked (reasonrec judge). */
  readonly judge?: JudgeReport | null
  /** config.yaml as it was run, unparsed. */
  readonly config: string | null
  /** What could not be found or read, in words, for the reader of the report. */
  readonly missing: readonly string[]
}

export async function readRun(runDirectory: string): Promise<RunFiles> {
  const directory = resolve(runDirectory)
  const found = await stat(directory).catch(() => null)
  const names = ['summary.json', 'metrics.jsonl', 'samples.jsonl', 'traces.jsonl', 'config.yaml']
  if (!found?.isDirectory() || !names.some((name) => existsSync(join(directory, name)))) {
    throw new ReasonrecError('RR_DATA_NO_RUN', 'no run to report on', {
      expected: `a run directory with one of ${names.join(', ')}`,
      got: found?.isDirectory() ? `${directory} without any of them` : `no directory ${directory}`,
      remedy: 'give the folder that was --out of `reasonrec run`',
    })
  }
  const missing: string[] = []
  const summary = await readSummary(join(directory, 'summary.json'), missing)
  const metrics = await readLines<MetricsLine>(join(directory, 'metrics.jsonl'), missing)
  const samples = await readLines<SampleLine>(join(directory, 'samples.jsonl'), missing)
  const traces = await countTraces(join(directory, 'traces.jsonl'))
  const config = await readFile(join(directory, 'config.yaml'), 'utf8').catch(() => null)
  const collect = summary.collect ?? traces?.counts ?? null
  const run: RunFiles = {
    name: basename(directory),
    summary,
    finished: summary.table !== undefined,
    collectLines: metrics.filter((line) => line.phase === 'collect'),
    imitate: byStep(metrics.filter((line) => line.phase === 'imitate')),
    internalize: byStep(metrics.filter((line) => line.phase === 'internalize')),
    validations: metrics.filter((line) => line.phase === 'evaluate'),
    samples: samples.filter((line) => Array.isArray(line.history) && typeof line.reasoning === 'string'),
    collect,
    judge: await readJudge(join(directory, judgeFile), missing),
    config,
    missing,
  }
  if (traces && traces.unreadable > 0) missing.push(leftOut('traces.jsonl', traces.unreadable))
  if (config === null) missing.push('config.yaml: the configuration as it was run')
  missing.push(...missingPhases(run))
  return run
}

async function readJudge(path: string, missing: string[]): Promise<JudgeReport | null> {
  const text = await readFile(path, 'utf8').catch(() => null)
  const report = text === null ? null : (parseObject(text) as JudgeReport | null)
  if (text !== null && report?.schema !== 1) missing.push(`${judgeFile}: not readable`)
  return report?.schema === 1 ? report : null
}

function missingPhases(run: RunFiles): string[] {
  const missing: string[] = []
  if (run.summary.baselines_only) return missing
  if (!run.collect) missing.push('Reasoning Collection: no counts and no traces')
  if (run.imitate.length === 0) missing.push('Pattern Imitation: no step was recorded')
  if (run.internalize.length === 0) missing.push('Pattern Internalization: no step was recorded')
  if (!run.summary.table?.length) missing.push('Evaluation: no result table')
  return missing
}

async function readSummary(path: string, missing: string[]): Promise<Partial<RunSummary>> {
  const text = await readFile(path, 'utf8').catch(() => null)
  if (text === null) {
    missing.push('summary.json: the run has not reached its end (finish it with: reasonrec resume)')
    return {}
  }
  try {
    const parsed: unknown = JSON.parse(text)
    if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed))
      return parsed as Partial<RunSummary>
  } catch {
    // Said below: the report goes on with the other files.
  }
  missing.push('summary.json: not readable as JSON')
  return {}
}

/** A resumed run may have written a step twice: the later line is the one that counts. */
function byStep<T extends { readonly step: number }>(lines: readonly T[]): T[] {
  return [...new Map(lines.map((line) => [line.step, line])).values()].sort((a, b) => a.step - b.step)
}

async function readLines<T extends object>(path: string, missing: string[]): Promise<T[]> {
  const text = await readFile(path, 'utf8').catch(() => null)
  const name = basename(path)
  if (text === null) {
    missing.push(`${name}: no such file`)
    return []
  }
  let unreadable = 0
  const lines: T[] = []
  for (const line of text.split('\n')) {
    if (!line.trim()) continue
    const parsed = parseObject(line)
    if (parsed) lines.push(parsed as T)
    else unreadable++
  }
  if (unreadable > 0) missing.push(leftOut(name, unreadable))
  return lines
}

function leftOut(name: string, lines: number): string {
  return `${name}: ${lines === 1 ? 'one unreadable line was' : `${lines} unreadable lines were`} left out`
}

function parseObject(line: string): object | null {
  try {
    const parsed: unknown = JSON.parse(line)
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed) ? parsed : null
  } catch {
    return null
  }
}

/** Streams traces.jsonl, which may be large, and keeps counts only. */
async function countTraces(path: string): Promise<{ counts: CollectCounts; unreadable: number } | null> {
  if (!existsSync(path)) return null
  const kept = { A: 0, B: 0, C: 0 }
  const generators: Record<string, number> = {}
  const rejected: Record<string, Record<string, number>> = {}
  const instances = new Set<string>()
  let sampled = 0
  let unreadable = 0
  for await (const line of createInterface({
    input: createReadStream(path, 'utf8'),
    crlfDelay: Number.POSITIVE_INFINITY,
  })) {
    if (!line.trim()) continue
    const trace = parseObject(line) as Trace | null
    if (!trace || !(trace.source in kept)) {
      unreadable++
      continue
    }
    sampled++
    instances.add(trace.instance)
    if (trace.kept) {
      kept[trace.source]++
      generators[trace.generator] = (generators[trace.generator] ?? 0) + 1
      continue
    }
    // The first gate that failed, so that the counts add up.
    const failed = Array.isArray(trace.gates) ? trace.gates.find(({ passed }) => !passed) : undefined
    if (!failed) continue
    rejected[trace.source] ??= {}
    const pass = rejected[trace.source]!
    pass[failed.gate] = (pass[failed.gate] ?? 0) + 1
  }
  const total = kept.A + kept.B + kept.C
  const builtin = generators.builtin ?? 0
  const counts = {
    instances: instances.size,
    sampled,
    kept,
    generators,
    rejected,
    builtin_share: total > 0 ? builtin / total : 0,
  }
  return { counts, unreadable }
}

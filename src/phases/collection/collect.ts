/**
 * Reasoning Collection: every instance is asked, what is written passes gates, the best is kept. How traces are written
 * is the method's business (Collector); here is what all methods share: chunks, the fill where too few traces were
 * kept, records, and going on after an interruption. A chunk of instances is a pure function of (seed, chunk) and of the
 * traces before it; a resumed collection goes on at the next chunk. A run that imitates nothing collects nothing.
 */

import type { Instance } from '../../data/types.js'
import type { Trace } from '../../methods/method.js'
import { builtinTeacher } from '../../teacher/teacher.js'
import { titlesOf } from '../prediction/responses.js'
import type { PhaseContext } from '../run/context.js'
import { writeDurably } from '../run/files.js'
import { askedInstances, collectInstances, shownInstance } from '../run/instances.js'
import { isInterruption } from '../run/interrupt.js'
import type { CollectSummary } from '../run/run-record.js'
import { hashOrder } from '../run/streams.js'
import { collectSummary } from './collect-summary.js'
import { noTraces, readTraces } from './traces.js'

export const collectSummaryFile = 'collect-summary.json'

/** How a method writes traces. Calls come in the order of the chunks, the fill last. */
export interface Collector {
  /** Traces about a chunk of instances, judged. */
  write(instances: readonly Instance[], chunk: number): Promise<Trace[]>
  /** The same by the builtin teacher, for instances without a kept trace; null where it has already written all. */
  readonly fill: ((instances: readonly Instance[]) => Promise<Trace[]>) | null
  /** After the last call. */
  close?(): Promise<void>
}

/** `written`: the traces of the sittings before, by which filters that look across traces come to where they were. */
export type StartCollector = (written: readonly Trace[]) => Promise<Collector>

const nobody: Collector = { write: async () => [], fill: null }

interface Collection {
  readonly instances: readonly Instance[]
  /** Everything written so far, the sittings before included. */
  readonly traces: Trace[]
  readonly collector: Collector
}

export async function collect(context: PhaseContext, start: StartCollector): Promise<CollectSummary> {
  const { config, run, progress } = context
  const unused = config.sft.epochs === 0 && run.plan.includes('imitate')
  const instances = unused ? [] : askedInstances(context)
  if (!run.isDone('collect')) {
    if (unused) progress.note('nothing is imitated (sft.epochs 0), so no traces are collected')
    const chunks = Math.ceil(instances.length / config.collect.chunk)
    const { next } = run.begin('collect')
    const traces = readTraces(run)
    const collection = { instances, traces, collector: unused ? nobody : await start(traces) }
    progress.start('collect', instances.length, 'instances')
    progress.advance(Math.min(instances.length, next * config.collect.chunk), 0)
    try {
      for (let chunk = next; chunk < chunks; chunk++) await collectChunk(context, collection, chunk)
      if (!unused) await fill(context, collection)
      if (!unused && !traces.some(({ kept }) => kept)) throw noTraces()
    } catch (error) {
      if (isInterruption(error, context.signal)) run.pause('collect')
      throw error
    } finally {
      await collection.collector.close?.()
    }
    progress.end()
    writeDurably(
      run.file(collectSummaryFile),
      `${JSON.stringify(collectSummary(context, instances, traces), null, 1)}\n`,
    )
    run.finish('collect')
  }
  return collectSummary(context, instances, readTraces(run))
}

async function collectChunk(context: PhaseContext, collection: Collection, chunk: number): Promise<void> {
  const { config, run, progress, signal } = context
  signal.throwIfAborted()
  const began = performance.now()
  const { instances: all, traces, collector } = collection
  const instances = all.slice(chunk * config.collect.chunk, (chunk + 1) * config.collect.chunk)
  const written = await collector.write(instances, chunk)
  const tokens = written.reduce((sum, trace) => sum + trace.tokens, 0)
  store(context, written, traces)
  run.metrics({
    phase: 'collect',
    instances: all.length,
    done: Math.min(all.length, (chunk + 1) * config.collect.chunk),
    ...counts(traces),
    tokens_per_second: tokens / ((performance.now() - began) / 1000),
  })
  run.commit('collect', chunk + 1)
  progress.advance(instances.length, tokens)
}

/** The builtin teacher writes for instances without a trace until there are enough. */
async function fill(context: PhaseContext, collection: Collection): Promise<void> {
  const { instances, traces, collector } = collection
  const { config } = context
  const { collect: settings } = config
  const kept = traces.filter((trace) => trace.kept)
  const answered = new Set(kept.map(({ instance }) => instance))
  const few =
    kept.length < settings.fill_below || answered.size < settings.fill_below_share * instances.length
  const wanted = settings.fill_to - kept.length
  if (settings.fill === 'none' || collector.fill === null || !few || wanted <= 0) return
  const open = openInstances(context, collection, answered, wanted)
  const written: Trace[] = []
  for (
    let at = 0;
    at < open.length && written.filter((trace) => trace.kept).length < wanted;
    at += settings.chunk
  ) {
    context.signal.throwIfAborted()
    written.push(...(await collector.fill(open.slice(at, at + settings.chunk))))
  }
  store(context, surplusDropped(written, wanted), traces)
  const filled = traces.filter((trace) => trace.kept && trace.generator === builtinTeacher).length
  const total = traces.filter((trace) => trace.kept).length
  context.progress.note(
    `${config.teacher.kind === 'self' ? 'the model itself' : 'the teacher'} kept ${kept.length} traces of ${instances.length} instances; the builtin teacher wrote ${filled} of ${total} (${((100 * filled) / Math.max(1, total)).toFixed(1)} %)`,
  )
}

/** Asked instances without a trace first, then as many further ones of the imitation part as may be needed. */
function openInstances(
  { config, dataset, method }: PhaseContext,
  { instances }: Collection,
  answered: ReadonlySet<string>,
  wanted: number,
): Instance[] {
  const asked = new Set(instances.map(({ id }) => id))
  const further = collectInstances(dataset, config, wanted).filter(({ id }) => !asked.has(id))
  const shuffled = (list: readonly Instance[]) => hashOrder(list, ({ id }) => id, config.seed, 'fill')
  return [
    ...shuffled(instances.filter(({ id }) => !answered.has(id))),
    ...shuffled(further.map((instance) => method.question(dataset, shownInstance(dataset, instance, 0)))),
  ]
}

/** The last chunk may have passed the mark. */
function surplusDropped(written: readonly Trace[], wanted: number): Trace[] {
  let kept = 0
  return written.filter((trace) => !trace.kept || ++kept <= wanted)
}

function store(context: PhaseContext, written: readonly Trace[], traces: Trace[]): void {
  const { report } = context.config
  let shown = traces.filter(({ kept }) => kept).length
  for (const trace of written) {
    context.run.append('traces', trace)
    traces.push(trace)
    if (trace.kept && shown++ < report.samples) show(context, trace)
  }
}

function show(context: PhaseContext, trace: Trace): void {
  context.show({
    phase: 'collect',
    model: trace.generator === 'self' ? 'base' : trace.generator,
    step: 0,
    instance: trace.instance,
    history: titlesOf(context, trace.history),
    candidates: titlesOf(context, trace.candidates),
    target: titlesOf(context, [trace.target])[0] ?? '',
    reasoning: trace.reasoning,
    answer: trace.answer,
    hit: context.method.isRight(context.dataset, trace),
  })
}

function counts(traces: readonly Trace[]): {
  sampled: number
  kept_a: number
  kept_b: number
  kept_c: number
} {
  const kept = (source: Trace['source']): number =>
    traces.filter((trace) => trace.kept && trace.source === source).length
  return { sampled: traces.length, kept_a: kept('A'), kept_b: kept('B'), kept_c: kept('C') }
}

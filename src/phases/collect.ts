/**
 * Reasoning Collection: every instance is asked, samples pass gates, the best are kept (spec section 3).
 *   pass A  k_free samples on the plain prompt, kept if they hit the true next item;
 *   pass B  k_hint samples with the true item as a private note, only where A kept none;
 *   pass C  the builtin teacher, for instances without a trace, where too few traces were kept.
 * A chunk of instances is a pure function of (seed, chunk); a resumed collection goes on at the next chunk.
 */

import type { Instance } from '../data/types.js'
import type { Trace } from '../methods/method.js'
import type { Teacher } from '../teacher/teacher.js'
import { collectSummary } from './collect-summary.js'
import type { PhaseContext } from './context.js'
import { writeDurably } from './files.js'
import { askedInstances, collectInstances, shownInstance } from './instances.js'
import { isInterruption } from './interrupt.js'
import { askResponses, titlesOf } from './responses.js'
import type { CollectSummary } from './run-record.js'
import { baseStage } from './stage-models.js'
import { derivedSeed, hashOrder, streamId } from './streams.js'
import { judged, keepBest, type TraceChoice } from './trace-selection.js'
import { noTraces, readTraces } from './traces.js'

export const collectSummaryFile = 'collect-summary.json'

/** What a method brings: who fills up, and how traces are chosen. `choice` starts afresh for every collection. */
export interface CollectMethod {
  readonly builtin: Teacher
  readonly choice: () => TraceChoice
}

interface Collection {
  readonly instances: readonly Instance[]
  /** Everything written so far, the sittings before included. */
  readonly traces: Trace[]
  readonly builtin: Teacher
  readonly choice: TraceChoice
}

export async function collect(context: PhaseContext, method: CollectMethod): Promise<CollectSummary> {
  const { config, run, progress } = context
  const instances = askedInstances(context.dataset, config)
  if (!run.isDone('collect')) {
    const chunks = Math.ceil(instances.length / config.collect.chunk)
    const { next } = run.begin('collect')
    const traces = readTraces(run)
    const collection = { instances, traces, builtin: method.builtin, choice: method.choice() }
    admitAgain(collection)
    progress.start('collect', instances.length, 'instances')
    progress.advance(Math.min(instances.length, next * config.collect.chunk), 0)
    try {
      for (let chunk = next; chunk < chunks; chunk++) await collectChunk(context, collection, chunk)
      await fill(context, collection)
      if (!traces.some(({ kept }) => kept)) throw noTraces()
    } catch (error) {
      if (isInterruption(error, context.signal)) run.pause('collect')
      throw error
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

/** Brings the filter of repeated reasoning to where the last sitting left it. */
function admitAgain({ traces, choice }: Collection): void {
  for (const { instance, reasoning, gates } of traces) {
    if (gates.some(({ gate, passed }) => gate === 'G10' && passed)) choice.admit(instance, reasoning)
  }
}

async function collectChunk(context: PhaseContext, collection: Collection, chunk: number): Promise<void> {
  const { config, run, progress, signal } = context
  signal.throwIfAborted()
  const began = performance.now()
  const { instances: all, traces } = collection
  const instances = all.slice(chunk * config.collect.chunk, (chunk + 1) * config.collect.chunk)
  const written =
    config.collect.regime === 'builtin'
      ? await builtinTraces(context, collection, instances)
      : await selfTraces(context, collection, instances, chunk)
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

/** Passes A and B of the model itself. */
async function selfTraces(
  context: PhaseContext,
  collection: Collection,
  instances: readonly Instance[],
  chunk: number,
): Promise<Trace[]> {
  const free = await sampled(context, collection, instances, 'A', chunk)
  const missed = instances.filter(({ id }) => !free.some((trace) => trace.instance === id && trace.kept))
  const hinted = await sampled(context, collection, missed, 'B', chunk)
  return [...free, ...hinted]
}

async function sampled(
  context: PhaseContext,
  { choice }: Collection,
  instances: readonly Instance[],
  pass: 'A' | 'B',
  chunk: number,
): Promise<Trace[]> {
  const { collect: settings, seed } = context.config
  const stage = baseStage(context)
  const samples = pass === 'A' ? settings.k_free : settings.k_hint
  if (samples === 0 || instances.length === 0) return []
  const purpose = pass === 'A' ? 'collect_free' : 'collect_hinted'
  const mode = pass === 'A' ? ('reason' as const) : ('hinted' as const)
  const asks = instances.map((instance, index) => ({
    instance,
    mode,
    streams: Array.from({ length: samples }, (_, sample) => streamId(purpose, chunk, index, sample)),
  }))
  const groups = await askResponses(context, stage, asks, {
    style: settings.answer,
    maxNew: settings.max_new,
    sampling: { temperature: settings.temperature, topP: settings.top_p },
    seed: derivedSeed(seed, 'collect'),
  })
  const traces = groups.flatMap(({ ask, responses }) =>
    responses.map((response, index) =>
      judged(context, ask.instance, response.text, {
        pass,
        generator: 'self',
        temperature: settings.temperature,
        stream: String(ask.streams[index]),
        tokens: response.written,
      }),
    ),
  )
  return keepBest(context, stage, traces, choice)
}

/** Pass C: the teacher is shown the true item privately; one text an instance, and its gates decide. */
async function builtinTraces(
  context: PhaseContext,
  { builtin }: Collection,
  instances: readonly Instance[],
): Promise<Trace[]> {
  const proposals = await builtin.propose(instances, { hinted: true, count: 1 })
  return instances.flatMap((instance, index) =>
    (proposals[index] ?? []).map(({ text, stream, temperature, tokens }) =>
      judged(context, instance, text, {
        pass: 'C',
        generator: builtin.name,
        temperature,
        stream,
        tokens: tokens ?? 0,
      }),
    ),
  )
}

/** Pass C: the builtin teacher writes for instances without a trace until there are enough. */
async function fill(context: PhaseContext, collection: Collection): Promise<void> {
  const { instances, traces, builtin } = collection
  const { collect: settings } = context.config
  const kept = traces.filter((trace) => trace.kept)
  const answered = new Set(kept.map(({ instance }) => instance))
  const few =
    kept.length < settings.fill_below || answered.size < settings.fill_below_share * instances.length
  const wanted = settings.fill_to - kept.length
  if (settings.fill === 'none' || settings.regime === 'builtin' || !few || wanted <= 0) return
  const open = openInstances(context, collection, answered, wanted)
  const written: Trace[] = []
  for (
    let at = 0;
    at < open.length && written.filter((trace) => trace.kept).length < wanted;
    at += settings.chunk
  ) {
    context.signal.throwIfAborted()
    written.push(...(await builtinTraces(context, collection, open.slice(at, at + settings.chunk))))
  }
  store(context, surplusDropped(written, wanted), traces)
  const filled = traces.filter((trace) => trace.kept && trace.generator === builtin.name).length
  const total = traces.filter((trace) => trace.kept).length
  context.progress.note(
    `the model itself kept ${kept.length} traces of ${instances.length} instances; the builtin teacher wrote ${filled} of ${total} (${((100 * filled) / Math.max(1, total)).toFixed(1)} %)`,
  )
}

/** Asked instances without a trace first, then as many further ones of the imitation part as may be needed. */
function openInstances(
  { config, dataset }: PhaseContext,
  { instances }: Collection,
  answered: ReadonlySet<string>,
  wanted: number,
): Instance[] {
  const asked = new Set(instances.map(({ id }) => id))
  const further = collectInstances(dataset, config, wanted).filter(({ id }) => !asked.has(id))
  const shuffled = (list: readonly Instance[]) => hashOrder(list, ({ id }) => id, config.seed, 'fill')
  return [
    ...shuffled(instances.filter(({ id }) => !answered.has(id))),
    ...shuffled(further.map((instance) => shownInstance(dataset, instance, 0))),
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
    hit: trace.answerItem === trace.target,
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

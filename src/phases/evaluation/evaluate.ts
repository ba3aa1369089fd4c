/**
 * Evaluation on the test split: the model before, after Imitation and after Internalization, all on the
 * same instances and candidates, with counting baselines beside them. Every answer is a line of
 * predictions.jsonl, written chunk by chunk, so an interrupted evaluation goes on where it stopped.
 */

import type { Instance } from '../../data/types.js'
import { meansOf } from '../../eval/significance.js'
import { answerBehind, inferenceModes, type Prediction, predict, ranking } from '../prediction/predictions.js'
import { titlesOf } from '../prediction/responses.js'
import { onTests, type PhaseContext } from '../run/context.js'
import { testInstances } from '../run/instances.js'
import { isInterruption } from '../run/interrupt.js'
import type { SampleLine } from '../run/run-record.js'
import { baseStage } from '../run/stage-models.js'
import { evaluationTasks, metricsOf, rankedInstance, type Task } from './evaluation-tasks.js'
import { givenReasonings } from './given-reasonings.js'
import { outcomesOf, type PredictionLine, type ProbeLine, readPredictions } from './prediction-lines.js'
import { type ProbeName, probes } from './probes.js'
import { prepareSasrec } from './sasrec-baseline.js'

export async function evaluate(given: PhaseContext): Promise<void> {
  const context = onTests(given)
  const { config, run, progress } = context
  if (run.isDone('evaluate')) return
  const instances = testInstances(context.dataset, config)
  const chunks = Math.ceil(instances.length / config.eval.chunk)
  const { next } = run.begin('evaluate')
  try {
    if (config.baselines.sasrec.enabled)
      await prepareSasrec(
        { ...context, folder: run.file('baselines') },
        instances.map((instance) => rankedInstance(context, instance)),
      )
    const tasks = await evaluationTasks(context, instances)
    progress.start('evaluate', tasks.length * instances.length, 'tests')
    progress.advance(doneTests(next, chunks, instances.length, config.eval.chunk), 0)
    for (let unit = next; unit < tasks.length * chunks; unit++) {
      context.signal.throwIfAborted()
      const task = tasks[Math.floor(unit / chunks)] as Task
      const place = unit % chunks
      const shown = task.shown.slice(place * config.eval.chunk, (place + 1) * config.eval.chunk)
      const tokens =
        task.probe === undefined
          ? await evaluateChunk(context, task, shown, place === 0 && task.control === undefined)
          : await probeChunk(context, task, task.probe, shown)
      if (place === chunks - 1 && task.control === undefined) noteRow(context, task, instances)
      run.commit('evaluate', unit + 1)
      progress.advance(Math.min(config.eval.chunk, instances.length - place * config.eval.chunk), tokens)
    }
  } catch (error) {
    if (isInterruption(error, context.signal)) run.pause('evaluate')
    throw error
  }
  progress.end()
  run.finish('evaluate')
}

async function evaluateChunk(
  context: PhaseContext,
  task: Task,
  instances: readonly Instance[],
  first: boolean,
): Promise<number> {
  const predictions =
    task.reasoningsOf === undefined
      ? await predict(context, task.stage, task.mode, instances)
      : await answerBehind(
          context,
          task.stage,
          instances,
          givenReasonings(context, task, task.reasoningsOf, instances),
        )
  predictions.forEach((prediction, index) => {
    context.run.append('predictions', {
      row: task.row,
      mode: task.mode,
      ...prediction,
    } satisfies PredictionLine)
    const shown = first && inferenceModes[task.mode].thinks && index < context.config.report.samples
    if (shown) sample(context, task, instances[index] as Instance, prediction)
  })
  return predictions.reduce((sum, { tokens }) => sum + tokens, 0)
}

/** No token is sampled: the row's own answers are measured. */
async function probeChunk(
  context: PhaseContext,
  { row, mode, stage }: Task,
  probe: ProbeName,
  instances: readonly Instance[],
): Promise<number> {
  const written = new Map(
    readPredictions(context.run)
      .filter((line) => line.row === row && line.mode === mode)
      .map((line) => [line.instance, line]),
  )
  const probed = instances.map((instance) => {
    const line = written.get(instance.id)
    return {
      instance,
      reasoning: line?.reasoning ?? '',
      answer: line ? (ranking(instance, line)[0] ?? null) : null,
    }
  })
  const models = { own: stage, frozen: baseStage(context) }
  const measured = await probes[probe](context, models, probed)
  measured.forEach((values, index) => {
    const { id } = instances[index] as Instance
    const line: ProbeLine = { row, mode: `probe ${probe}`, instance: id, values }
    context.run.append('predictions', line)
  })
  return 0
}

function sample(context: PhaseContext, task: Task, instance: Instance, prediction: Prediction): void {
  const [best] = ranking(instance, prediction)
  context.show({
    phase: 'evaluate',
    model: task.row,
    step: task.step,
    instance: instance.id,
    history: titlesOf(context, instance.history),
    candidates: titlesOf(context, instance.candidates),
    target: titlesOf(context, [instance.target])[0] ?? '',
    reasoning: prediction.reasoning,
    ...drawn(context, instance, prediction.reasoning),
    answer: best === undefined ? '' : (titlesOf(context, [best])[0] ?? ''),
    hit: best === instance.target,
  })
}

function drawn(
  { method, dataset }: PhaseContext,
  instance: Instance,
  reasoning: string,
): Pick<SampleLine, 'chains'> {
  const chains = method.drawn?.(dataset, instance, reasoning) ?? []
  return chains.length > 0 ? { chains } : {}
}

/** The point that a row adds to the curves. */
function noteRow(context: PhaseContext, task: Task, instances: readonly Instance[]): void {
  if (task.mode !== context.config.eval.mode) return
  const lines = readPredictions(context.run).filter(({ row, mode }) => row === task.row && mode === task.mode)
  const { hr1, hr5, ndcg5 } = meansOf(outcomesOf(instances, lines, metricsOf(context.config, context.method)))
  context.run.metrics({
    phase: 'evaluate',
    model: task.row,
    after: task.after,
    step: task.step,
    hr1,
    hr5,
    ndcg5,
    n: lines.length,
  })
}

function doneTests(units: number, chunks: number, instances: number, chunk: number): number {
  return Math.floor(units / chunks) * instances + (units % chunks) * chunk
}

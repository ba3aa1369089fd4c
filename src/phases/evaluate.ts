/**
 * Evaluation on the test split: the model before, after Imitation and after Internalization, all on the
 * same instances and candidates, with counting baselines beside them. Every answer is a line of
 * predictions.jsonl, written chunk by chunk, so an interrupted evaluation goes on where it stopped.
 */

import type { Instance } from '../data/types.js'
import { ReasonrecError } from '../engine/errors.js'
import type { RowId } from '../eval/result-row.js'
import { meansOf } from '../eval/significance.js'
import type { Control, ControlId, Method } from '../methods/method.js'
import { type AnswersOnly, answersOnly } from './answers-only.js'
import type { PhaseContext, StageModel } from './context.js'
import { testInstances } from './instances.js'
import { isInterruption } from './interrupt.js'
import { outcomesOf, type PredictionLine, readPredictions } from './prediction-lines.js'
import { type ModelMode, type Prediction, predict, ranking, scoreBehind } from './predictions.js'
import { titlesOf } from './responses.js'
import type { SampleLine, ValidationMetrics } from './run-record.js'
import { prepareSasrec } from './sasrec-baseline.js'
import { baseStage, imitatedStage, internalizedStage } from './stage-models.js'
import { nextInRing } from './streams.js'

interface Task {
  readonly row: RowId
  readonly mode: ModelMode
  readonly after: ValidationMetrics['after']
  /** Training steps behind the model. */
  readonly step: number
  readonly stage: StageModel
  /** The tests as this row is shown them; the targets and candidates are everybody's. */
  readonly shown: readonly Instance[]
  /** Not the models' own row but a check on it: no samples, no point in the curves. */
  readonly control?: true
  /** The row whose reasonings are read here, each by another test than it was written for. */
  readonly reasoningsOf?: RowId
}

export async function evaluate(context: PhaseContext): Promise<void> {
  const { config, run, progress } = context
  if (run.isDone('evaluate')) return
  const instances = testInstances(context.dataset, config)
  const chunks = Math.ceil(instances.length / config.eval.chunk)
  const { next } = run.begin('evaluate')
  try {
    if (config.baselines.sasrec.enabled)
      await prepareSasrec({ ...context, folder: run.file('baselines') }, instances)
    const tasks = await evaluationTasks(context, instances)
    progress.start('evaluate', tasks.length * instances.length, 'tests')
    progress.advance(doneTests(next, chunks, instances.length, config.eval.chunk), 0)
    for (let unit = next; unit < tasks.length * chunks; unit++) {
      context.signal.throwIfAborted()
      const task = tasks[Math.floor(unit / chunks)] as Task
      const place = unit % chunks
      const tokens = await evaluateChunk(
        context,
        task,
        task.shown.slice(place * config.eval.chunk, (place + 1) * config.eval.chunk),
        place === 0 && task.control === undefined,
      )
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

/** The main mode of every model first; scores without reasoning after them. */
async function evaluationTasks(context: PhaseContext, tests: readonly Instance[]): Promise<Task[]> {
  const { config, dataset, method } = context
  const { eval: settings, rl } = config
  const shown = tests.map((instance) => method.question(dataset, instance))
  const imitated = await imitatedStage(context)
  const internalized = await internalizedStage(context, imitated)
  const models = [
    { row: 'base', after: 'base', step: 0, stage: baseStage(context) },
    { row: 'imitated', after: 'imitate', step: 0, stage: imitated },
    ...(internalized
      ? [{ row: 'internalized', after: 'internalize', step: rl.steps, stage: internalized } as const]
      : []),
  ] as const
  const modes: ModelMode[] =
    settings.direct && settings.mode !== 'score' ? [settings.mode, 'score'] : [settings.mode]
  const tasks: Task[] = modes.flatMap((mode) => models.map((model) => ({ ...model, mode, shown })))
  const [base, last] = [models[0], models.at(-1) ?? models[0]]
  if (settings.free && settings.mode !== 'free') tasks.push({ ...base, mode: 'free', shown })
  if (settings.pointwise) tasks.push({ ...last, mode: pointwiseOf(method), shown, control: true })
  for (const row of controlIds.filter((id) => settings.controls.includes(id))) {
    const exchanged = controlOf(method, row)(dataset, tests, config.seed)
    tasks.push({ ...last, row, mode: settings.mode, shown: exchanged, control: true })
  }
  if (settings.controls.includes('exchanged_reasoning') && settings.mode === 'think_score') {
    const own = { row: 'exchanged_reasoning', reasoningsOf: last.row, control: true } as const
    tasks.push({ ...last, ...own, mode: settings.mode, shown })
  }
  if (settings.controls.includes('answers_only'))
    tasks.push(...answersOnlyTasks(await answersOnly(context), rl.steps, shown))
  return tasks
}

/** Trained without reasoning, so asked without it. */
function answersOnlyTasks({ sft, rl }: AnswersOnly, steps: number, shown: readonly Instance[]): Task[] {
  const first: Task = { row: 'answers_only_sft', after: 'imitate', step: 0, stage: sft, mode: 'score', shown }
  return rl
    ? [first, { ...first, row: 'answers_only_rl', after: 'internalize', step: steps, stage: rl }]
    : [first]
}

function pointwiseOf(method: Method): ModelMode {
  if (method.eachCandidate) return 'pointwise'
  throw new ReasonrecError(
    'RR_CONFIG_VALUE',
    `eval.pointwise: ${method.name} does not rate candidates one by one`,
    {
      expected: 'method r2rec',
      remedy: 'leave it out',
    },
  )
}

const controlIds = ['shuffled_history', 'shuffled_ratings'] as const satisfies readonly ControlId[]

function controlOf(method: Method, id: ControlId): Control {
  const control = method.controls[id]
  if (control) return control
  throw new ReasonrecError('RR_CONFIG_VALUE', `eval.controls: ${method.name} has no control ${id}`, {
    expected: Object.keys(method.controls).join(', '),
    remedy: 'leave it out',
  })
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
      : await scoreBehind(context, task.stage, instances, exchangedReasonings(context, task, instances))
  predictions.forEach((prediction, index) => {
    context.run.append('predictions', {
      row: task.row,
      mode: task.mode,
      ...prediction,
    } satisfies PredictionLine)
    const shown = first && task.mode !== 'score' && index < context.config.report.samples
    if (shown) sample(context, task, instances[index] as Instance, prediction)
  })
  return predictions.reduce((sum, { tokens }) => sum + tokens, 0)
}

/** What the row wrote for the next test in a ring by hash. */
function exchangedReasonings(
  context: PhaseContext,
  { shown, reasoningsOf, mode }: Task,
  instances: readonly Instance[],
): string[] {
  const next = nextInRing(shown, context.config.seed, 'exchanged reasonings')
  const written = new Map(
    readPredictions(context.run)
      .filter((line) => line.row === reasoningsOf && line.mode === mode)
      .map(({ instance, reasoning }) => [instance, reasoning]),
  )
  return instances.map(({ id }) => written.get(next.get(id)?.id ?? '') ?? '')
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
  const { hr1, hr5, ndcg5 } = meansOf(outcomesOf(instances, lines, context.method.metrics))
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

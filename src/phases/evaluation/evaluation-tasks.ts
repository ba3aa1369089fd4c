/**
 * What an evaluation asks: the main mode of every model first, answers without reasoning after them, then the checks that
 * the configuration names. With eval.candidates: full no test names candidates, so prompts show none.
 */

import type { Config } from '../../config/schema.js'
import type { Instance } from '../../data/types.js'
import { ReasonrecError } from '../../engine/errors.js'
import { catalogueMetrics, type RankingMetric, type RowId } from '../../eval/result-row.js'
import type { Control, ControlId, Method } from '../../methods/method.js'
import { type ModelMode, requireMode } from '../prediction/predictions.js'
import { isBaselinesOnly, type PhaseContext, type StageModel } from '../run/context.js'
import type { ValidationMetrics } from '../run/run-record.js'
import { baseStage, imitatedStage, internalizedStage } from '../run/stage-models.js'
import { answersOnly, answersOnlyRows } from './answers-only.js'
import { givenControls } from './given-reasonings.js'
import { namedRows } from './llm-baselines.js'
import type { ProbeName } from './probes.js'
import { directMode, ranksCatalogue } from './ways-to-answer.js'

export interface Task {
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
  /** Asks nothing of its own: measures the answers that the row gave before. */
  readonly probe?: ProbeName
  /** The row whose reasonings are exchanged, or measured for their length: given-reasonings.ts. */
  readonly reasoningsOf?: RowId
}

/** What rows carry: the cuts of the method's paper on lists, deeper ones on a catalogue. */
export function metricsOf(config: Config, method: Pick<Method, 'metrics'>): readonly RankingMetric[] {
  return ranksCatalogue(config) ? catalogueMetrics : method.metrics
}

/** What a counting row ranks for a test: its list, or every item that a model may name. */
export function rankedInstance(
  { config, dataset }: Pick<PhaseContext, 'config' | 'dataset'>,
  instance: Instance,
): Instance {
  if (!ranksCatalogue(config)) return instance
  const history = new Set(config.eval.mask_history ? instance.history : [])
  const candidates = dataset.items.map((_, item) => item).filter((item) => !history.has(item))
  return { ...instance, candidates }
}

export async function evaluationTasks(context: PhaseContext, tests: readonly Instance[]): Promise<Task[]> {
  const { config, dataset, method } = context
  requireModes(config)
  const listed = ranksCatalogue(config) ? tests.map((test) => ({ ...test, candidates: [] })) : tests
  const shown = listed.map((instance) => method.question(dataset, instance))
  const own = isBaselinesOnly(context) ? { tasks: [], probes: [] } : await methodTasks(context, listed, shown)
  const tasks = [...own.tasks, ...(await baselineTasks(context, shown, own.tasks))]
  return [...tasks, ...own.probes]
}

/** The models of the method's phases, and the checks on them. */
async function methodTasks(
  context: PhaseContext,
  listed: readonly Instance[],
  shown: readonly Instance[],
): Promise<{ readonly tasks: readonly Task[]; readonly probes: readonly Task[] }> {
  const { config, dataset, method } = context
  const { eval: settings, rl } = config
  const imitated = await imitatedStage(context)
  const internalized = await internalizedStage(context, imitated)
  const models = [
    baseModel(context),
    { row: 'imitated', after: 'imitate', step: 0, stage: imitated },
    ...(internalized
      ? [{ row: 'internalized', after: 'internalize', step: rl.steps, stage: internalized } as const]
      : []),
  ] as const
  const direct = directMode(config)
  const modes: ModelMode[] =
    settings.direct && settings.mode !== direct ? [settings.mode, direct] : [settings.mode]
  const tasks: Task[] = modes.flatMap((mode) => models.map((model) => ({ ...model, mode, shown })))
  const [base, last] = [models[0], models.at(-1) ?? models[0]]
  if (settings.free && settings.mode !== 'free') tasks.push({ ...base, mode: 'free', shown })
  if (settings.pointwise) tasks.push({ ...last, mode: pointwiseOf(method), shown, control: true })
  for (const row of controlIds.filter((id) => settings.controls.includes(id))) {
    const exchanged = controlOf(method, row)(dataset, listed, config.seed)
    tasks.push({ ...last, row, mode: settings.mode, shown: exchanged, control: true })
  }
  for (const row of givenControls.filter(
    (id) => settings.controls.includes(id) && readable.has(settings.mode),
  ))
    tasks.push({ ...last, row, reasoningsOf: last.row, mode: settings.mode, shown, control: true })
  const probes = models
    .filter(({ row }) => row !== 'base')
    .flatMap((model) =>
      settings.probes.map((probe): Task => ({ ...model, mode: settings.mode, shown, probe, control: true })),
    )
  return { tasks, probes }
}

function baseModel(context: PhaseContext) {
  return { row: 'base', after: 'base', step: 0, stage: baseStage(context) } as const
}

/** What baselines.llm names and eval.controls answers_only asks, where `there` has it not already. */
async function baselineTasks(
  context: PhaseContext,
  shown: readonly Instance[],
  there: readonly Task[],
): Promise<Task[]> {
  const { config } = context
  const named = namedRows(config)
  const base = named
    .filter(
      ({ row, mode }) => row === 'base' && !there.some((task) => task.row === row && task.mode === mode),
    )
    .map(({ mode }): Task => ({ ...baseModel(context), mode, shown }))
  const asked = named.map(({ row }) => row)
  if (config.eval.controls.includes('answers_only'))
    asked.push('answers_only_sft', ...(config.rl.steps > 0 ? (['answers_only_rl'] as const) : []))
  const stages = await answersOnly(context, new Set(answersOnlyRows.filter((row) => asked.includes(row))))
  // Trained without reasoning, so asked without it.
  const trained = answersOnlyRows.flatMap((row): Task[] => {
    const stage = stages.get(row)
    if (!stage) return []
    const at =
      row === 'answers_only_sft'
        ? ({ after: 'imitate', step: 0 } as const)
        : ({ after: 'internalize', step: config.rl.steps } as const)
    return [{ row, ...at, stage, mode: directMode(config), shown }]
  })
  return [...base, ...trained]
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

/** Modes whose answer can be given behind a reasoning that was written before. */
const readable: ReadonlySet<ModelMode> = new Set(['think_score', 'think_beam'])

/** Before any model answers: an evaluation that ends in a refusal has cost hours. */
function requireModes(config: Config): void {
  const { eval: settings } = config
  const over = ranksCatalogue(config) ? 'catalogue' : 'lists'
  requireMode(settings.mode, over)
  if (settings.pointwise) requireMode('pointwise', over)
  if (settings.probes.length > 0 && settings.mode !== 'think_score')
    throw new ReasonrecError('RR_CONFIG_VALUE', 'eval.probes reads the reasonings of think_score', {
      expected: 'eval.mode think_score',
      got: settings.mode,
      remedy: 'leave eval.probes out',
    })
  if (settings.beam < 50 && over === 'catalogue' && settings.mode !== 'free')
    throw new ReasonrecError(
      'RR_CONFIG_VALUE',
      'eval.beam is narrower than the deepest cut that is reported',
      {
        expected: 'at least 50 (HR@50)',
        got: String(settings.beam),
        remedy: 'widen eval.beam',
      },
    )
}

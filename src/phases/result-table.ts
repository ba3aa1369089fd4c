/** From predictions.jsonl to the result table, its paired differences and the quality of the reasoning. */

import { words } from '../data/title.js'
import type { Instance } from '../data/types.js'
import { trainCounts } from '../eval/baselines/baseline.js'
import { countingBaselines } from '../eval/baselines/counting.js'
import { popularityMetrics, stratifiedHitRate } from '../eval/popularity.js'
import { type PositionBias, positionBias } from '../eval/position-bias.js'
import { rankingOutcomes, resultRow } from '../eval/protocol.js'
import type { ResultRow } from '../eval/result-row.js'
import { type Outcome, pairedDifferences } from '../eval/significance.js'
import { citations } from '../rewards/citations.js'
import type { PhaseContext } from './context.js'
import { directMode, metricsOf, rankedInstance, ranksCatalogue } from './evaluation-tasks.js'
import { testInstances } from './instances.js'
import { outcomesOf, type PredictionLine, readPredictions } from './prediction-lines.js'
import { ranking } from './predictions.js'
import type { PairedDifference } from './run-record.js'
import { sasrecScores } from './sasrec-baseline.js'

export interface EvaluationResult {
  readonly table: readonly ResultRow[]
  readonly differences: readonly PairedDifference[]
  readonly quality: Readonly<Record<string, Readonly<Record<string, number>>>>
  /** Answers by place of the list, of rows that score it. */
  readonly places: Readonly<Record<string, PositionBias>>
}

interface JudgedRow {
  readonly id: PredictionLine['row']
  readonly mode: PredictionLine['mode']
  readonly lines: readonly PredictionLine[]
  readonly outcomes: readonly Outcome[]
}

export function evaluationResult(context: PhaseContext): EvaluationResult {
  const instances = testInstances(context.dataset, context.config)
  const rows = judgedRows(context, instances)
  const main = rows.filter(({ mode }) => mode === context.config.eval.mode)
  return {
    table: [...baselineRows(context, instances), ...rows.map((row) => modelRow(context, row))],
    differences: differences(context, rows, main),
    quality: Object.fromEntries(main.map((row) => [row.id, quality(context, instances, row, rows)])),
    places: Object.fromEntries(
      main.flatMap(({ id, lines }) => {
        const scores = new Map(lines.map((line) => [line.instance, line.scores]))
        const bias = positionBias(
          instances,
          instances.map((instance) => scores.get(instance.id) ?? null),
        )
        return bias ? [[id, bias]] : []
      }),
    ),
  }
}

function judgedRows(context: PhaseContext, instances: readonly Instance[]): JudgedRow[] {
  const rows = new Map<string, PredictionLine[]>()
  for (const line of readPredictions(context.run)) {
    const key = `${line.mode} ${line.row}`
    const lines = rows.get(key)
    if (lines) lines.push(line)
    else rows.set(key, [line])
  }
  return [...rows.values()].map((lines) => {
    const { row: id, mode } = lines[0] as PredictionLine
    return {
      id,
      mode,
      lines,
      outcomes: outcomesOf(instances, lines, metricsOf(context.config, context.method)),
    }
  })
}

function modelRow(context: PhaseContext, { id, mode, lines, outcomes }: JudgedRow): ResultRow {
  const parseRate = lines.filter(({ parsed }) => parsed).length / lines.length
  return resultRow(outcomes, { id, mode, parseRate, seed: context.config.seed })
}

function baselineRows(context: PhaseContext, instances: readonly Instance[]): ResultRow[] {
  const { dataset, config, method } = context
  const sasrec = sasrecScores(context.run.file('baselines'), instances)
  const { oracle } = dataset
  const rows: { id: ResultRow['id']; score: (instance: Instance, test: number) => readonly number[] }[] = [
    ...countingBaselines(dataset, config.baselines),
    ...(sasrec ? [{ id: 'sasrec', score: (_: Instance, test: number) => sasrec[test] ?? [] } as const] : []),
    ...(oracle ? [{ id: 'oracle', score: oracle } as const] : []),
  ]
  const metrics = metricsOf(config, method)
  // One test at a time: scores of whole catalogues would not fit.
  return rows.map(({ id, score }) =>
    resultRow(
      instances.flatMap((instance, test) => {
        const asked = rankedInstance(context, instance)
        return rankingOutcomes([asked], { scores: [score(asked, test)] }, { metrics })
      }),
      { id, mode: 'none', seed: config.seed },
    ),
  )
}

/** The base stands there with the best of its ways to answer. */
function differences(
  context: PhaseContext,
  rows: readonly JudgedRow[],
  main: readonly JudgedRow[],
): PairedDifference[] {
  const hr1 = ({ outcomes }: JudgedRow): number => mean(outcomes.map((outcome) => outcome.hr1))
  const best = rows.filter(({ id }) => id === 'base').sort((a, b) => hr1(b) - hr1(a))[0]
  const rowOf = (id: JudgedRow['id']): JudgedRow | undefined =>
    id === 'base' ? best : (main.find((row) => row.id === id) ?? rows.find((row) => row.id === id))
  const pairs = [
    ['imitated', 'base'],
    ['internalized', 'imitated'],
    ['internalized', 'base'],
    ['internalized', 'answers_only_sft'],
    ['internalized', 'answers_only_rl'],
    ['internalized', 'shuffled_history'],
    ['internalized', 'shuffled_ratings'],
    ['internalized', 'exchanged_reasoning'],
  ] as const
  return pairs.flatMap(([first, second]) => {
    const [a, b] = [rowOf(first), rowOf(second)]
    if (!a || !b) return []
    const sides = { a: { id: a.id, mode: a.mode }, b: { id: b.id, mode: b.mode } }
    return pairedDifferences(a.outcomes, b.outcomes, context.config.seed).map((difference) => ({
      ...difference,
      ...sides,
    }))
  })
}

/**
 * Reasoning quality without a judge (spec 7.5) and popularity of the first recommendation (spec 7.6).
 * gain: mean log-prob per token of the true title behind the model's own reasoning, minus the same under
 * the direct prompt, both by the model itself.
 */
function quality(
  context: PhaseContext,
  instances: readonly Instance[],
  row: JudgedRow,
  rows: readonly JudgedRow[],
): Record<string, number> {
  const direct = rows.find(({ id, mode }) => id === row.id && mode === directMode(context.config))
  const byInstance = new Map(row.lines.map((line) => [line.instance, line]))
  const lines = instances.map(({ id }) => byInstance.get(id) as PredictionLine)
  const first = instances.map((instance, index) =>
    ranking(instance, lines[index] as PredictionLine).slice(0, 1),
  )
  const counts = trainCounts(context.dataset)
  const popularity = popularityMetrics({
    counts,
    recommendations: first,
    histories: instances.map(({ history }) => history),
    targets: instances.map(({ target }) => target),
    ...(!ranksCatalogue(context.config) && { candidates: instances.map(({ candidates }) => candidates) }),
  })
  const strata = stratifiedHitRate(
    counts,
    instances.map(({ target }) => target),
    row.outcomes.map(({ hr1 }) => hr1),
  )
  return finite({
    ...(direct && direct !== row ? gains(row, direct) : {}),
    reasoning_words: mean(lines.map(({ reasoning }) => words(reasoning).length)),
    reasoning_tokens: mean(lines.map(({ tokens }) => tokens)),
    reasoning_closed: mean(lines.map(({ parsed }) => (parsed ? 1 : 0))),
    grounding_precision: mean(
      lines.flatMap(({ reasoning }, index) => grounding(context, instances[index] as Instance, reasoning)),
    ),
    hr1_head: strata.head,
    hr1_mid: strata.mid,
    hr1_tail: strata.tail,
    ...popularity,
  })
}

/** Cited titles of the history or the candidates over all cited titles; nothing where none is cited. */
function grounding(context: PhaseContext, instance: Instance, reasoning: string): number[] {
  const cited = citations(context.dataset, instance, reasoning)
  const own = new Set([...cited.history, ...cited.candidates]).size
  const all = own + cited.foreign.length
  return all === 0 ? [] : [own / all]
}

function gains(row: JudgedRow, direct: JudgedRow): Record<string, number> {
  const without = new Map(direct.lines.map((line) => [line.instance, line.target_mean]))
  const values = row.lines.flatMap(({ instance, target_mean }) => {
    const base = without.get(instance)
    return target_mean === null || base === null || base === undefined ? [] : [target_mean - base]
  })
  return { gain: mean(values), gain_positive_share: mean(values.map((value) => (value > 0 ? 1 : 0))) }
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length

/** A mean over nothing is left out, not written as a number. */
function finite(values: Readonly<Record<string, number | null | undefined>>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(values).filter((entry): entry is [string, number] => Number.isFinite(entry[1])),
  )
}

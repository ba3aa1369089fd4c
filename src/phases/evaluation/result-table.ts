/** From predictions.jsonl to the result table, its paired differences and the quality of the reasoning. */

import type { Instance } from '../../data/types.js'
import { countingBaselines } from '../../eval/baselines/counting.js'
import { type PositionBias, positionBias } from '../../eval/position-bias.js'
import { rankingOutcomes, resultRow } from '../../eval/protocol.js'
import type { RankedRow } from '../../eval/ranked-rows.js'
import type { ResultRow } from '../../eval/result-row.js'
import { pairedDifferences } from '../../eval/significance.js'
import type { PhaseContext } from '../run/context.js'
import { testInstances } from '../run/instances.js'
import type { PairedDifference } from '../run/run-record.js'
import { answersOnlyRows } from './answers-only.js'
import { metricsOf, rankedInstance } from './evaluation-tasks.js'
import { baselinePairs, nameOf, sideOf } from './llm-baselines.js'
import { outcomesOf, type PredictionLine, readPredictions } from './prediction-lines.js'
import { type JudgedRow, qualityOf } from './quality.js'
import { sasrecScores } from './sasrec-baseline.js'
import { ranksCatalogue } from './ways-to-answer.js'

export interface EvaluationResult {
  readonly table: readonly ResultRow[]
  readonly differences: readonly PairedDifference[]
  readonly quality: Readonly<Record<string, Readonly<Record<string, number>>>>
  /** Answers by place of the list, of rows of the main mode that score it and of those trained on answers alone. */
  readonly places: Readonly<Record<string, PositionBias>>
}

export function evaluationResult(context: PhaseContext): EvaluationResult {
  const instances = testInstances(context.dataset, context.config)
  const rows = judgedRows(context, instances)
  const main = rows.filter(({ mode }) => mode === context.config.eval.mode)
  const counted = baselineRows(context, instances)
  const answersOnly = rows.filter((row) => answersOnlyRows.some((id) => id === row.id))
  return {
    table: [...counted.map(({ row }) => row), ...rows.map((row) => modelRow(context, row))],
    differences: withoutRepeats([
      ...differences(context, rows, main),
      ...baselineDifferences(context, rows, main, counted),
    ]),
    quality: Object.fromEntries(main.map((row) => [row.id, qualityOf(context, instances, row, rows)])),
    places: ranksCatalogue(context.config)
      ? {}
      : Object.fromEntries([...main, ...answersOnly].flatMap((row) => placesOf(instances, row))),
  }
}

function placesOf(instances: readonly Instance[], { id, lines }: JudgedRow): [string, PositionBias][] {
  const scores = new Map(lines.map((line) => [line.instance, line.scores]))
  const bias = positionBias(
    instances,
    instances.map((instance) => scores.get(instance.id) ?? null),
  )
  return bias ? [[id, bias]] : []
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
  const baseline = nameOf(context.config, id, mode)
  return {
    ...resultRow(outcomes, { id, mode, parseRate, seed: context.config.seed }),
    ...(baseline && { baseline }),
  }
}

function baselineRows(context: PhaseContext, instances: readonly Instance[]): RankedRow[] {
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
  return rows.map(({ id, score }) => {
    const outcomes = instances.flatMap((instance, test) => {
      const asked = rankedInstance(context, instance)
      return rankingOutcomes([asked], { scores: [score(asked, test)] }, { metrics })
    })
    return { outcomes, row: resultRow(outcomes, { id, mode: 'none', seed: config.seed }) }
  })
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
    ['internalized', 'filler_reasoning'],
  ] as const
  return pairs.flatMap(([first, second]) => {
    const [a, b] = [rowOf(first), rowOf(second)]
    if (!a || !b) return []
    const sides = { a: sideOf(context.config, a), b: sideOf(context.config, b) }
    return pairedDifferences(a.outcomes, b.outcomes, context.config.seed).map((difference) => ({
      ...difference,
      ...sides,
    }))
  })
}

/** A pair that two tables ask for stands once. */
function withoutRepeats(all: readonly PairedDifference[]): PairedDifference[] {
  const known = new Set<string>()
  return all.filter(({ a, b, metric }) => {
    const pair = [a.id, a.mode, b.id, b.mode, metric].join(' ')
    return !known.has(pair) && known.add(pair)
  })
}

/** The named baselines (baselines.llm) in pairs: against each other, the method's last model and the best row that counts. */
function baselineDifferences(
  context: PhaseContext,
  rows: readonly JudgedRow[],
  main: readonly JudgedRow[],
  counted: readonly RankedRow[],
): PairedDifference[] {
  const { config } = context
  const last = ['internalized', 'imitated'].flatMap((id) => main.find((row) => row.id === id) ?? [])[0]
  const best = counted
    .filter(({ row }) => row.id !== 'oracle')
    .sort((a, b) => b.row.hr1 - a.row.hr1)
    .map(({ row: { id, mode }, outcomes }) => ({ id, mode, outcomes }))[0]
  return baselinePairs(config, rows, { method: last, counted: best }).flatMap(({ a, b }) =>
    pairedDifferences(a.outcomes, b.outcomes, config.seed).map((difference) => ({
      ...difference,
      a: a.side,
      b: b.side,
    })),
  )
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length

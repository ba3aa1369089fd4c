/**
 * The reasonings of an evaluated run before a judge (spec 7.5): first the judge is calibrated, then rows are graded and
 * compared on one set of tests, half of which the first row answered right. What a mode of judging is not trusted with is
 * left null. Nothing is run: predictions.jsonl is read; the judge's answers lie in its ledger.
 */

import { join } from 'node:path'
import type { Config } from '../../config/schema.js'
import { chosen } from '../../data/random.js'
import type { Dataset, Instance } from '../../data/types.js'
import { ReasonrecError } from '../../engine/errors.js'
import { binomialTwoSided } from '../../eval/exact-tests.js'
import type { InferenceMode, RowId } from '../../eval/result-row.js'
import { calibrate } from '../../judge/calibration.js'
import type { ChatJudge, GradedTwice } from '../../judge/chat-judge.js'
import type { SoundTrace } from '../../judge/faults.js'
import type { JudgedPair, JudgedRow, JudgeReport } from '../../judge/judge-report.js'
import { type Criterion, criteria, scoreOf } from '../../judge/rubric.js'
import { soundTraces } from '../../judge/sound-traces.js'
import type { Trace } from '../../methods/method.js'
import type { JudgeQuestion } from '../../rewards/judge.js'
import { ranking } from '../prediction/predictions.js'
import { readJsonLines } from '../run/files.js'
import { testInstances } from '../run/instances.js'
import type { PredictionLine } from './prediction-lines.js'

/** A run as it lies on disk, with its data; `config.judge` says who judges. */
export interface JudgedRun {
  readonly path: string
  readonly config: Config
  /** That of the tests. */
  readonly dataset: Dataset
  /** Null where training was on another set: faults are then planted in answers to tests. */
  readonly training: Dataset | null
}

/** `rows`: the first is compared with all others. */
export async function judgeRun(
  run: JudgedRun,
  judge: ChatJudge,
  rows: readonly string[],
): Promise<JudgeReport> {
  const { config } = run
  const answers = rows.map((row) => answersOf(run, row))
  const first = answers[0] as RowAnswers
  const fixed = balanced(first, config)
  const titles = run.dataset.items.map(({ title }) => title.text)
  const calibration = await calibrate(judge, soundOf(run, first), {
    count: config.judge.calibration,
    detection: config.judge.detection,
    seed: config.seed,
    titles: run.training?.items.map(({ title }) => title.text) ?? titles,
  })
  const graded = calibration.absolute.trusted ? await gradedRows(judge, answers, fixed) : null
  const pairs =
    calibration.pairwise.trusted && answers.length > 1
      ? await Promise.all(answers.slice(1).map((other) => compared(judge, first, other, fixed)))
      : null
  return {
    schema: 1,
    judge: judge.name,
    instances: fixed.length,
    calibration,
    rows: graded,
    pairs,
    usage: judge.totals(),
  }
}

interface RowAnswers {
  readonly row: RowId
  readonly mode: InferenceMode
  readonly questions: ReadonlyMap<string, JudgeQuestion>
  readonly right: ReadonlyMap<string, boolean>
  readonly users: ReadonlyMap<string, string>
}

/** Of the run's main mode. */
function answersOf({ path, config, dataset }: JudgedRun, row: string): RowAnswers {
  const lines = readJsonLines<PredictionLine>(join(path, 'predictions.jsonl')).filter(
    (line) => line.row === row && line.mode === config.eval.mode && line.reasoning.trim() !== '',
  )
  const [some] = lines
  if (!some)
    throw new ReasonrecError('RR_DATA_ROW', `the run holds no reasoning of ${row}`, {
      expected: `lines of row ${row} under ${config.eval.mode} in predictions.jsonl`,
      remedy: 'evaluate the run first, or name another --row',
    })
  const instances = new Map(testInstances(dataset, config).map((instance) => [instance.id, instance]))
  const answered = lines.flatMap((line) => {
    const instance = instances.get(line.instance)
    const item = instance && ranking(instance, line)[0]
    return instance && item !== undefined ? [{ instance, item, line }] : []
  })
  const byId = <T>(value: (one: (typeof answered)[number]) => T): Map<string, T> =>
    new Map(answered.map((one) => [one.instance.id, value(one)]))
  return {
    row: some.row,
    mode: some.mode,
    questions: byId(({ instance, item, line }) => questionOf(dataset, instance, line.reasoning, item)),
    right: byId(({ instance, item }) => item === instance.target),
    users: byId(({ instance }) => instance.user),
  }
}

function questionOf(dataset: Dataset, instance: Instance, reasoning: string, item: number): JudgeQuestion {
  const title = (one: number): string => dataset.items[one]?.title.text ?? ''
  return {
    history: instance.history.map(title),
    candidates: instance.candidates.map(title),
    reasoning,
    answer: title(item),
  }
}

/** judge.instances tests, right and wrong ones in equal number as far as there are any. */
function balanced({ right }: RowAnswers, { judge, seed }: Config): readonly string[] {
  const ids = [...right.keys()]
  const [good, bad] = [true, false].map((side) => ids.filter((id) => right.get(id) === side)) as [
    string[],
    string[],
  ]
  const most = judge.instances
  const wrong = Math.min(bad.length, Math.floor(most / 2))
  const few = Math.min(good.length, most - wrong)
  const counts = [few, Math.min(bad.length, most - few)]
  return [good, bad].flatMap((side, index) =>
    chosen(side, counts[index] as number, (id) => id, seed, 'judge'),
  )
}

function soundOf({ path, training }: JudgedRun, { questions, users }: RowAnswers): SoundTrace[] {
  const kept = training ? soundTraces(training, readJsonLines<Trace>(join(path, 'traces.jsonl'))) : []
  if (kept.length > 0) return kept
  return [...questions].map(([id, question]) => ({ user: users.get(id) ?? id, question }))
}

async function gradedRows(
  judge: ChatJudge,
  answers: readonly RowAnswers[],
  fixed: readonly string[],
): Promise<JudgedRow[]> {
  return Promise.all(
    answers.map(async ({ row, mode, questions, right }) => {
      const ids = fixed.filter((id) => questions.has(id))
      const graded = await judge.grades(ids.map((id) => questions.get(id) as JudgeQuestion))
      const known = graded.flatMap((twice, index) =>
        twice === null ? [] : [{ twice, right: right.get(ids[index] as string) === true }],
      )
      const scores = known.map(({ twice }) => scoreOf(twice))
      const among = (side: boolean): number | null => {
        const own = scores.filter((_, index) => known[index]?.right === side)
        return own.length === 0 ? null : mean(own)
      }
      const halfWidth = 1.96 * standardError(scores)
      return {
        row,
        mode,
        n: scores.length,
        score: mean(scores),
        lo95: mean(scores) - halfWidth,
        hi95: mean(scores) + halfWidth,
        grades: meanGrades(known.map(({ twice }) => twice)),
        score_right: among(true),
        score_wrong: among(false),
      }
    }),
  )
}

async function compared(
  judge: ChatJudge,
  a: RowAnswers,
  b: RowAnswers,
  fixed: readonly string[],
): Promise<JudgedPair> {
  const pairs = fixed.flatMap((id) => {
    const [one, other] = [a.questions.get(id), b.questions.get(id)]
    return one && other ? [{ history: one.history, candidates: one.candidates, a: one, b: other }] : []
  })
  const twice = (await judge.compare(pairs)).filter((one) => one !== null)
  const won = (side: 'A' | 'B'): number =>
    twice.filter((both) => both.every((winner) => winner === side)).length
  const [wins, losses] = [won('A'), won('B')]
  const decided = wins + losses
  const [lo95, hi95] = wilson(wins, decided)
  return {
    a: a.row,
    b: b.row,
    n: twice.length,
    wins,
    losses,
    ties: twice.length - decided,
    win_rate: decided === 0 ? null : wins / decided,
    lo95,
    hi95,
    p: binomialTwoSided(Math.min(wins, losses), decided),
  }
}

/** Wilson's score interval of a share, 95 %: (p + z²/2n -+ z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n). */
export function wilson(hits: number, n: number): readonly [number, number] {
  if (n === 0) return [0, 1]
  const z = 1.959964
  const p = hits / n
  const middle = p + (z * z) / (2 * n)
  const width = z * Math.sqrt((p * (1 - p)) / n + (z * z) / (4 * n * n))
  const scale = 1 + (z * z) / n
  return [(middle - width) / scale, (middle + width) / scale]
}

function meanGrades(graded: readonly GradedTwice[]): Record<Criterion, number> {
  const of = (name: Criterion): number => mean(graded.flatMap((twice) => twice.map((one) => one[name])))
  return Object.fromEntries(criteria.map((name) => [name, of(name)])) as Record<Criterion, number>
}

function standardError(values: readonly number[]): number {
  if (values.length < 2) return 0
  const middle = mean(values)
  const variance = values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1)
  return Math.sqrt(variance / values.length)
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length
}

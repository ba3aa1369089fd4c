/**
 * Two evaluated rows on the same tests: differences A - B with their intervals, two exact tests, and the users on which
 * they differ. Runs are comparable only where every test has the same target and the same candidates on both sides;
 * everything else is refused. Nothing is run: predictions.jsonl is read.
 */

import { join } from 'node:path'
import type { Config } from '../../config/schema.js'
import type { Dataset, Instance } from '../../data/types.js'
import { ReasonrecError } from '../../engine/errors.js'
import { type McNemar, mcNemar, permutationTest } from '../../eval/exact-tests.js'
import type { InferenceMode, RankingMetric, RowId } from '../../eval/result-row.js'
import { type Difference, meansOf, type Outcome, pairedDifferences } from '../../eval/significance.js'
import { readJsonLines } from '../run/files.js'
import { testInstances } from '../run/instances.js'
import { rowNamed } from './llm-baselines.js'
import { outcomesOf, type PredictionLine } from './prediction-lines.js'
import { directMode } from './ways-to-answer.js'

/** A run as it lies on disk, with the data it was evaluated on. */
export interface EvaluatedRun {
  readonly path: string
  readonly config: Config
  readonly dataset: Dataset
  readonly metrics: readonly RankingMetric[]
}

/** Null: the run's last trained model under its main mode. */
export interface RowChoice {
  readonly row: string | null
  readonly mode: string | null
}

export interface ComparedRow {
  readonly run: string
  readonly row: RowId
  readonly mode: InferenceMode
}

export interface ComparedMetric extends Difference {
  readonly a: number
  readonly b: number
  /** Of the permutation test; `p` is the bootstrap's. */
  readonly p_permutation: number
}

/** A user whose tests the two sides did not answer equally well. Ids as in the data. */
export interface DifferingUser {
  readonly user: string
  readonly tests: number
  /** Means over the user's tests. */
  readonly a: number
  readonly b: number
}

export interface RunComparison {
  readonly schema: 1
  readonly a: ComparedRow
  readonly b: ComparedRow
  readonly n: number
  readonly users: number
  readonly differences: readonly ComparedMetric[]
  /** Of HR@1. */
  readonly mcnemar: { readonly only_a: number; readonly only_b: number; readonly p: number }
  /** By HR@1; those that A answers better first. */
  readonly differing_users: readonly DifferingUser[]
}

export function compareRuns(
  a: EvaluatedRun,
  b: EvaluatedRun,
  choices: { readonly a: RowChoice; readonly b: RowChoice },
  seed: number,
): RunComparison {
  const tests = { a: testInstances(a.dataset, a.config), b: testInstances(b.dataset, b.config) }
  requireSameTests({ ...a, tests: tests.a }, { ...b, tests: tests.b })
  const metrics = a.metrics.filter((metric) => b.metrics.includes(metric))
  const mine = judgedRow(a, choices.a, tests.a, metrics)
  const theirs = judgedRow(b, choices.b, tests.b, metrics)
  const means = { a: meansOf(mine.outcomes), b: meansOf(theirs.outcomes) }
  const { onlyA, onlyB, p }: McNemar = mcNemar(mine.outcomes, theirs.outcomes)
  return {
    schema: 1,
    a: mine.row,
    b: theirs.row,
    n: mine.outcomes.length,
    users: new Set(mine.outcomes.map(({ user }) => user)).size,
    differences: pairedDifferences(mine.outcomes, theirs.outcomes, seed).map((difference) => ({
      ...difference,
      a: means.a[difference.metric] ?? 0,
      b: means.b[difference.metric] ?? 0,
      p_permutation: permutationTest(mine.outcomes, theirs.outcomes, difference.metric, seed),
    })),
    mcnemar: { only_a: onlyA, only_b: onlyB, p },
    differing_users: differingUsers(mine.outcomes, theirs.outcomes),
  }
}

interface JudgedRow {
  readonly row: ComparedRow
  readonly outcomes: readonly Outcome[]
}

function judgedRow(
  run: EvaluatedRun,
  choice: RowChoice,
  tests: readonly Instance[],
  metrics: readonly RankingMetric[],
): JudgedRow {
  const lines = readJsonLines<PredictionLine>(join(run.path, 'predictions.jsonl'))
  const named = choice.row === null ? null : rowNamed(run.config, choice.row)
  const wanted = named?.row ?? choice.row
  const direct = wanted?.startsWith('answers_only') ? directMode(run.config) : run.config.eval.mode
  const mode = choice.mode ?? named?.mode ?? direct
  const rows = new Set(lines.filter((line) => line.mode === mode).map(({ row }) => row))
  const row = wanted ?? (rows.has('internalized') ? 'internalized' : 'imitated')
  const own = lines.filter((line) => line.row === row && line.mode === mode)
  const missing = tests.length - new Set(own.map(({ instance }) => instance)).size
  if (missing > 0)
    throw new ReasonrecError('RR_OUTPUT_ROW', `${run.path} has no whole row ${row} under mode ${mode}`, {
      expected:
        [...new Set(lines.map((line) => `${line.row} ${line.mode}`))].join(', ') || 'an evaluated run',
      got: own.length === 0 ? 'no answer' : `${missing} tests without an answer`,
      remedy: 'choose another --row and --mode, or finish the run with: reasonrec resume',
    })
  return {
    row: { run: run.path, row: row as RowId, mode: mode as InferenceMode },
    outcomes: outcomesOf(tests, own, metrics),
  }
}

interface ListedRun extends EvaluatedRun {
  readonly tests: readonly Instance[]
}

/** The same tests, targets and sets of candidates, by the ids of the data. */
function requireSameTests(a: ListedRun, b: ListedRun): void {
  const theirs = new Map(b.tests.map((test) => [test.id, test]))
  const alone = a.tests.filter(({ id }) => !theirs.has(id)).length
  if (alone > 0 || a.tests.length !== b.tests.length)
    throw differs('were evaluated on different tests', {
      expected: `the ${a.tests.length} tests of ${a.path}`,
      got: `${b.tests.length} tests, ${alone} of the others not among them`,
      remedy: 'evaluate both with the same data.* keys, eval.instances and seed',
    })
  const ranked = ({ config: { eval: settings } }: EvaluatedRun): string =>
    settings.candidates === 'full'
      ? `the catalogue, history ${settings.mask_history ? 'masked' : 'let in'}`
      : 'lists'
  if (ranked(a) !== ranked(b))
    throw differs('rank different candidates', {
      expected: `${ranked(a)} as in ${a.path}`,
      got: ranked(b),
      remedy: 'evaluate both with the same eval.candidates and eval.mask_history',
    })
  for (const test of a.tests) {
    const other = theirs.get(test.id) as Instance
    const [own, its] = [namesOf(a.dataset, test), namesOf(b.dataset, other)]
    if (own.target !== its.target)
      throw differs('have tests with different targets', {
        expected: `${test.id} asks for ${own.target}`,
        got: its.target,
        remedy: 'compare runs on the same data',
      })
    if (own.candidates !== its.candidates)
      throw differs('rank different candidates', {
        expected: `${test.id} with the candidates of ${a.path}`,
        got: `other candidates in ${b.path}`,
        remedy: 'evaluate both with the same data.candidates and data.cand_seed',
      })
  }
}

function namesOf(
  { items }: Dataset,
  { target, candidates }: Instance,
): { target: string; candidates: string } {
  const name = (item: number): string => items[item]?.id ?? ''
  return { target: name(target), candidates: JSON.stringify(candidates.map(name).sort()) }
}

function differs(what: string, details: ConstructorParameters<typeof ReasonrecError>[2]): ReasonrecError {
  return new ReasonrecError('RR_DATA_UNPAIRED', `the two runs ${what}`, details)
}

function differingUsers(a: readonly Outcome[], b: readonly Outcome[]): DifferingUser[] {
  const other = new Map(b.map((outcome) => [outcome.instance, outcome.hr1]))
  const byUser = new Map<string, { tests: number; a: number; b: number }>()
  for (const { user, instance, hr1 } of a) {
    const sums = byUser.get(user) ?? { tests: 0, a: 0, b: 0 }
    byUser.set(user, {
      tests: sums.tests + 1,
      a: sums.a + hr1,
      b: sums.b + (other.get(instance) ?? 0),
    })
  }
  return [...byUser]
    .filter(([, sums]) => sums.a !== sums.b)
    .map(([user, sums]) => ({ user, tests: sums.tests, a: sums.a / sums.tests, b: sums.b / sums.tests }))
    .sort((one, two) => two.a - two.b - (one.a - one.b) || (one.user < two.user ? -1 : 1))
}

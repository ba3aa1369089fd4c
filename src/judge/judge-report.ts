/** judge.json: what a judge said of a run, and whether it is to be believed. */

import type { InferenceMode, RowId } from '../eval/result-row.js'
import type { LedgerTotals } from '../teacher/openai/tally.js'
import type { Calibration } from './calibration.js'
import type { Criterion } from './rubric.js'

export const judgeFile = 'judge.json'

export interface JudgedRow {
  readonly row: RowId
  readonly mode: InferenceMode
  /** Tests judged, of those asked about. */
  readonly n: number
  /** 0 to 1, mean over tests and both orders, with its 95 % interval. */
  readonly score: number
  readonly lo95: number
  readonly hi95: number
  /** 1 to 5. */
  readonly grades: Readonly<Record<Criterion, number>>
  /** Mean score where the row was right, and where it was wrong; null: there is no such test. */
  readonly score_right: number | null
  readonly score_wrong: number | null
}

export interface JudgedPair {
  readonly a: RowId
  readonly b: RowId
  readonly n: number
  /** Decided alike in both places; everything else is a tie. */
  readonly wins: number
  readonly losses: number
  readonly ties: number
  /** wins / (wins + losses), with Wilson's 95 % interval and the exact two-sided p; null where all are ties. */
  readonly win_rate: number | null
  readonly lo95: number
  readonly hi95: number
  readonly p: number
}

export interface JudgeReport {
  readonly schema: 1
  readonly judge: string
  readonly instances: number
  readonly calibration: Calibration
  /** Null: the judge is not trusted with grades. */
  readonly rows: readonly JudgedRow[] | null
  /** Null: not trusted with comparisons, or none was asked for. */
  readonly pairs: readonly JudgedPair[] | null
  readonly usage: LedgerTotals
}

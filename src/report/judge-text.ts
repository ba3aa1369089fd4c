/** What a judge said of a run, for a terminal and for the report: first whether it is to be believed, then what it said. */

import type { Calibration, ModeCalibration } from '../judge/calibration.js'
import type { JudgedPair, JudgedRow, JudgeReport } from '../judge/judge-report.js'
import { criteria } from '../judge/rubric.js'
import { rowLabel } from './labels.js'
import { interval, metric, percent, probability } from './numbers.js'
import type { RunFiles } from './run-files.js'
import type { Block, Section } from './story-blocks.js'

export function judgeLines(report: JudgeReport): string[] {
  const { judge, calibration, rows, pairs, instances } = report
  return [
    `judge    ${judge}: ${verdict('grades', calibration.absolute)}; ${verdict('comparisons', calibration.pairwise)}`,
    ...calibration.absolute.detection.map(
      ({ fault }) => `fault    ${fault.padEnd(15)} ${found(calibration, fault)}`,
    ),
    ...notTrusted(calibration).map((line) => `refused  ${line}`),
    ...(rows ?? []).map(
      (row) => `score    ${rowLabel(row.row)} ${rowText(row)} on ${row.n} of ${instances} tests`,
    ),
    ...(pairs ?? []).map(
      (pair) => `pair     ${rowLabel(pair.a)} against ${rowLabel(pair.b)}: ${pairText(pair)}`,
    ),
  ]
}

/** No blocks where no judge was asked. */
export function judgeSection({ judge: report }: Pick<RunFiles, 'judge'>): Section {
  return { id: 'judge', title: 'Reasoning before a judge', blocks: report ? judgeBlocks(report) : [] }
}

function judgeBlocks({ judge, calibration, rows, pairs, instances }: JudgeReport): Block[] {
  const { absolute, pairwise } = calibration
  const refused = notTrusted(calibration)
  return [
    {
      kind: 'text',
      text: `${judge} was asked first about ${calibration.traces} reasonings with and without planted faults: ${verdict('grades', absolute)}; ${verdict('comparisons', pairwise)}. Between the two orders of a prompt its grades differ by ${metric(absolute.order_difference)} of 4; ${percent(pairwise.position_share)} of decided comparisons followed the place of a text.`,
    },
    ...(refused.length > 0
      ? [{ kind: 'warning' as const, title: 'Scores of this judge are withheld', items: refused }]
      : []),
    {
      kind: 'table',
      caption: 'Planted faults that the judge found',
      head: ['Fault', 'Planted', 'By grades', 'By comparison'],
      numeric: [false, true, true, true],
      rows: absolute.detection.map(({ fault, n, rate }, index) => [
        fault.replaceAll('_', ' '),
        String(n),
        percent(rate),
        percent(pairwise.detection[index]?.rate),
      ]),
    },
    ...(rows ? [gradesTable(rows, instances)] : []),
    ...(pairs
      ? [
          {
            kind: 'list' as const,
            items: pairs.map((pair) => `${rowLabel(pair.a)} against ${rowLabel(pair.b)}: ${pairText(pair)}`),
          },
        ]
      : []),
  ]
}

function gradesTable(rows: readonly JudgedRow[], instances: number): Block {
  return {
    kind: 'table',
    caption: `Scores from 0 to 1 and grades from 1 to 5 on ${instances} fixed tests; the judge does not see the right answer or who wrote.`,
    head: ['Row', 'Tests', 'Score', '95 %', ...criteria, 'Where right', 'Where wrong'],
    numeric: [false, true, true, false, ...criteria.map(() => true), true, true],
    rows: rows.map((row) => [
      rowLabel(row.row),
      String(row.n),
      metric(row.score),
      interval(row.lo95, row.hi95),
      ...criteria.map((name) => row.grades[name].toFixed(2)),
      metric(row.score_right ?? undefined),
      metric(row.score_wrong ?? undefined),
    ]),
  }
}

function verdict(what: string, { trusted }: ModeCalibration): string {
  return `${what} ${trusted ? 'trusted' : 'not trusted'}`
}

function notTrusted({ absolute, pairwise }: Calibration): string[] {
  return [
    ...absolute.reasons.map((reason) => `grades: ${reason}`),
    ...pairwise.reasons.map((reason) => `comparisons: ${reason}`),
  ]
}

function found({ absolute, pairwise }: Calibration, fault: string): string {
  const of = ({ detection }: ModeCalibration): string => {
    const one = detection.find((each) => each.fault === fault)
    return `${one?.found ?? 0} of ${one?.n ?? 0}`
  }
  return `by grades ${of(absolute)}, by comparison ${of(pairwise)}`
}

function rowText({ score, lo95, hi95, grades }: JudgedRow): string {
  return `${metric(score)} ${interval(lo95, hi95)} (${criteria.map((name) => `${name} ${grades[name].toFixed(2)}`).join(', ')})`
}

function pairText({ wins, losses, ties, win_rate, lo95, hi95, p }: JudgedPair): string {
  const rate =
    win_rate === null
      ? ''
      : `; wins ${percent(win_rate)} of decided ones ${interval(lo95, hi95)}, p ${probability(p)}`
  return `${wins} won, ${losses} lost, ${ties} ties${rate}`
}

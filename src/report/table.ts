/**
 * The result table (the rows of `run --json`) for a terminal, as Markdown, CSV and JSON. Numbers are
 * printed, never recomputed; intervals are those of the rows: 95 %, bootstrap clustered by user.
 */

import Table from 'cli-table3'
import pc from 'picocolors'
import { type RankingMetric, type ResultRow, rankingMetrics } from '../eval/result-row.js'
import type { PairedDifference } from '../phases/run/run-record.js'
import { fullRowLabel, isCounted, modeLabel } from './labels.js'
import { interval, metric, percent, probability, signed, signedInterval } from './numbers.js'
import { terminalLine } from './terminal-text.js'

/** hr5 is HR@5. */
function labelOf(metric: RankingMetric): string {
  return metric.toUpperCase().replace(/(\d+)$/, '@$1')
}

/** The set of a run, or both of a transfer. */
export function setsName({
  dataset,
  tested,
}: {
  readonly dataset?: { readonly name: string }
  readonly tested?: { readonly name: string }
}): string | undefined {
  return dataset && tested ? `trained on ${dataset.name}, tested on ${tested.name}` : dataset?.name
}

/** What the rows carry, with labels, in the order of a table. */
export function shownMetrics(rows: readonly ResultRow[]): readonly (readonly [RankingMetric, string])[] {
  return rankingMetrics
    .filter((key) => rows.some((row) => row[key] !== undefined))
    .map((key) => [key, labelOf(key)])
}

export function metricLabel(id: string): string {
  return isMetric(id) ? labelOf(id) : id
}

function isMetric(id: string): id is RankingMetric {
  return (rankingMetrics as readonly string[]).includes(id)
}

export interface TerminalOptions {
  /** Default: what picocolors finds (NO_COLOR, FORCE_COLOR, terminal or not). */
  readonly color?: boolean
}

/** The table as a terminal shows it; HR@1 with its interval. */
export function renderTable(rows: readonly ResultRow[], options: TerminalOptions = {}): string {
  const color = pc.createColors(options.color ?? pc.isColorSupported)
  const others = shownMetrics(rows).filter(([key]) => key !== 'hr1')
  const table = new Table({
    head: ['row', 'answers by', 'n', 'HR@1', '95 %', ...others.map(([, label]) => label), 'parsed'].map(
      (text) => color.bold(text),
    ),
    colAligns: ['left', 'left', 'right', 'right', 'left', ...others.map(() => 'right' as const), 'right'],
    style: { head: [], border: [], compact: true },
  })
  for (const row of rows) {
    const shade = isCounted(row) ? color.dim : (text: string): string => text
    const best = row.hr1 === bestTrained(rows) && !isCounted(row) ? color.green : shade
    table.push([
      best(terminalLine(fullRowLabel(row))),
      shade(terminalLine(modeLabel(row.mode))),
      shade(String(row.n)),
      best(metric(row.hr1)),
      color.dim(interval(row.lo95?.hr1, row.hi95?.hr1)),
      ...others.map(([key]) => shade(metric(row[key]))),
      shade(percent(row.parse_rate)),
    ])
  }
  return table.toString()
}

function bestTrained(rows: readonly ResultRow[]): number {
  return Math.max(...rows.filter((row) => !isCounted(row)).map((row) => row.hr1))
}

/** Of the ten metrics of a whole catalogue; shorter lists of metrics are shown whole. */
const shownOfCatalogue: ReadonlySet<RankingMetric> = new Set(['hr1', 'hr10', 'ndcg10', 'mrr'])

/** With more differences HR@1 alone is shown; the report has the others. */
const mostLines = 60

/** Paired differences for a terminal, one a line; an interval that leaves zero out is marked. */
export function renderDifferences(
  differences: readonly PairedDifference[],
  options: TerminalOptions = {},
): string {
  const color = pc.createColors(options.color ?? pc.isColorSupported)
  const deep = differences.some((d) => d.metric === 'hr50')
  const many = differences.length > mostLines
  return differences
    .filter((d) => (many ? d.metric === 'hr1' : !deep || shownOfCatalogue.has(d.metric)))
    .map((d) => {
      const text = `${differenceName(d)} ${metricLabel(d.metric)} ${signed(d.difference)} ${signedInterval(d.lo95, d.hi95)}, p ${probability(d.p)}, n ${d.n}`
      return excludesZero(d) ? color.bold(terminalLine(text)) : terminalLine(text)
    })
    .join('\n')
}

export function differenceName({ a, b }: PairedDifference): string {
  const same = a.mode === b.mode
  const name = (side: PairedDifference['a']): string =>
    same ? fullRowLabel(side) : `${fullRowLabel(side)} (${modeLabel(side.mode)})`
  return `${name(a)} − ${name(b)}${same ? ` (${modeLabel(a.mode)})` : ''}`
}

export function excludesZero(d: PairedDifference): boolean {
  return d.lo95 > 0 || d.hi95 < 0
}

/** CSV, RFC 4180; a cell that a spreadsheet would run as a formula gets an apostrophe in front. */
export function tableCsv(rows: readonly ResultRow[]): string {
  const csvMetrics = shownMetrics(rows).map(([key]) => key)
  const header = [
    'id',
    'mode',
    'n',
    ...csvMetrics,
    ...csvMetrics.map((key) => `lo95_${key}`),
    ...csvMetrics.map((key) => `hi95_${key}`),
    'parse_rate',
  ]
  const lines = rows.map((row) => [
    row.id,
    row.mode,
    row.n,
    ...csvMetrics.map((key) => row[key]),
    ...csvMetrics.map((key) => row.lo95?.[key]),
    ...csvMetrics.map((key) => row.hi95?.[key]),
    row.parse_rate,
  ])
  return [header, ...lines].map((cells) => `${cells.map(csvCell).join(',')}\r\n`).join('')
}

export function csvCell(value: string | number | undefined | null): string {
  if (value === undefined || value === null) return ''
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : ''
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value
  return /[",\r\n]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe
}

/** The rows as `run --json` prints them, for programs. */
export function tableJson(rows: readonly ResultRow[]): string {
  return `${JSON.stringify({ schema: 1, table: rows }, null, 2)}\n`
}

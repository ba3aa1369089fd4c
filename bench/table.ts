/** The tables of a bench for people. */

import Table from 'cli-table3'
import type { BenchRow, SeriesResult, VariantRow } from './contract.js'

export function renderRows(rows: readonly BenchRow[]): string {
  const table = new Table({
    head: ['id', 'ours', 'peer', 'unit', 'ratio', 'median', 'per CPU second', 'roofline', 'must', 'met', ''],
    style: { head: [], border: [], compact: true },
  })
  for (const row of rows)
    table.push([
      row.id,
      rate(row.ours),
      row.peer === null ? '-' : `${rate(row.peer)}  ${row.peer_name}`,
      row.unit,
      times(row.ratio),
      times(row.ratio_median),
      `${rate(row.ours_cpu)}${row.peer_cpu === null ? '' : ` : ${rate(row.peer_cpu)}`}`,
      percent(row.roofline),
      row.must === null ? '-' : rate(row.must),
      row.met === null ? '-' : row.met ? 'yes' : 'no',
      remarks(row),
    ])
  return table.toString()
}

export function renderVariants(rows: readonly VariantRow[]): string {
  const table = new Table({
    head: [
      'kernel',
      'variant',
      'rate',
      'unit',
      'times the first',
      'roofline',
      'largest error',
      'mean error',
      '',
    ],
    style: { head: [], border: [], compact: true },
  })
  for (const row of rows)
    table.push([
      row.id,
      row.variant,
      rate(row.ours),
      row.unit,
      times(row.ratio),
      percent(row.roofline),
      deviation(row, 'max'),
      deviation(row, 'mean'),
      row.noisy ? 'noisy' : '',
    ])
  return table.toString()
}

export function renderSeries({ id, what, x, points, exponent, exponent_last }: SeriesResult): string {
  const table = new Table({
    head: [x, 'seconds', 'most'],
    style: { head: [], border: [], compact: true },
  })
  for (const point of points)
    table.push([point.x, point.seconds.toPrecision(3), `${point.most} ${percent(point.share)}`])
  return `${id}: ${what}; seconds ~ x^${exponent.toFixed(2)}, at the end x^${exponent_last.toFixed(2)}\n${table.toString()}`
}

export function remarks(row: BenchRow): string {
  return [row.noisy && 'noisy', row.agree === false && 'outputs differ'].filter(Boolean).join(', ')
}

export function deviation({ deviation: found }: VariantRow, of: 'max' | 'mean'): string {
  if (found === null) return '-'
  return `${found[of].toExponential(1)}${found.against === 'fp64' ? '' : ` (${found.against})`}`
}

export function rate(value: number): string {
  return value >= 1000 ? Math.round(value).toLocaleString('en') : value.toPrecision(3)
}

export function times(ratio: number | null): string {
  return ratio === null ? '-' : `${rate(ratio)}x`
}

export function percent(share: number | null): string {
  return share === null ? '-' : `${(100 * share).toFixed(0)} %`
}

/** The table of a bench for people. */

import Table from 'cli-table3'
import type { BenchRow } from './contract.js'

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
      row.roofline === null ? '-' : `${(100 * row.roofline).toFixed(0)} %`,
      row.must === null ? '-' : rate(row.must),
      row.met === null ? '-' : row.met ? 'yes' : 'no',
      [row.noisy && 'noisy', row.agree === false && 'outputs differ'].filter(Boolean).join(', '),
    ])
  return table.toString()
}

function rate(value: number): string {
  return value >= 1000 ? Math.round(value).toLocaleString('en') : value.toPrecision(3)
}

function times(ratio: number | null): string {
  return ratio === null ? '-' : `${ratio.toPrecision(3)}x`
}

/** docs/performance.md from the results of a run: every goal, met or missed or not measured, and what is behind it. */

import type { BenchRow, Ceilings } from './contract.js'
import type { Goal } from './measure.js'
import type { CaseResult } from './results.js'
import { deviation, percent, rate, remarks, times } from './table.js'

type Goals = Readonly<Record<string, Goal>>
type Causes = Readonly<Record<string, string>>

export function renderPage(
  results: readonly CaseResult[],
  goals: Goals,
  causes: Causes,
  order: readonly string[],
): string {
  const sorted = [...results].sort((a, b) => order.indexOf(a.case) - order.indexOf(b.case))
  return `${[
    heading(sorted),
    goalTable(sorted, goals),
    misses(sorted, goals, causes),
    otherRows(sorted, goals),
    kernels(sorted),
    scaling(sorted),
    method,
  ].join('\n\n')}\n`
}

function heading(results: readonly CaseResult[]): string {
  const last = results.at(-1)
  if (!last) return '# Performance\n\nNothing has been measured yet.'
  const { machine } = last
  const commands = [...new Set(results.map(({ command }) => command))]
  const commits = [...new Set(results.map(({ machine: at }) => at.commit ?? 'unknown'))]
  const sizes = [...new Set(results.map(({ size }) => size))]
  return `# Performance

Written by \`npm run bench -- --write docs/performance.md\` from measured results; nothing here is typed by hand except the causes of
misses (bench/CAUSES.json).

| | |
|---|---|
| machine | ${machine.cpu}, ${machine.cores} cores, ${machine.memory} GiB; threads: ${machine.threads}; instruction set: ${machine.isa} |
| ceilings, measured in the same run | ${ceilingText(last.ceilings)} |
| products with bf16 weights | ${products(results)} |
| made with | Node ${machine.node}, commit ${commits.join(', ')}, ${machine.date.slice(0, 10)}, size ${sizes.join(', ')} |
| commands | ${commands.map((command) => `\`${command}\``).join('<br>')} |
| took | ${(results.reduce((sum, { seconds }) => sum + seconds, 0) / 60).toFixed(0)} minutes |`
}

function products(results: readonly CaseResult[]): string {
  const texts = {
    bf16: 'rounded rows times bf16 weights, sums in fp32, as peers do (`model.compute: bf16`)',
    fp32: 'fp32 rows times widened bf16 weights (the default)',
  }
  return [...new Set(results.map((result) => texts[result.products]))].join('; ')
}

function ceilingText({ read, fp32, bf16, int8 }: Ceilings): string {
  const giga = (value: number): string => (value / 1e9).toFixed(0)
  const parts = [`${giga(read)} GB/s read from memory`, `${giga(fp32)} GFLOP/s fp32`]
  if (bf16 > 0) parts.push(`${giga(bf16)} GFLOP/s bf16 pairs`)
  if (int8 > 0) parts.push(`${giga(int8)} GOP/s int8`)
  return parts.join(', ')
}

const goalOfRow = (row: BenchRow): string => row.id.split(' ')[0]!

function goalTable(results: readonly CaseResult[], goals: Goals): string {
  const lines = Object.entries(goals).flatMap(([id, goal]) => {
    const rows = results
      .flatMap((result) => result.rows)
      .filter((row) => row.id === id || goalOfRow(row) === id)
    const why = [...new Set(notMeasured(results, id))].join('; ')
    if (rows.length === 0)
      return [`| ${id} | ${goal.what} | | | | | | not measured: ${why || 'its case was not run'} |`]
    return rows.map((row) => goalLine(row, goal))
  })
  return `## Goals

Ratio: ours over the peer's rate, of the shortest runs, and of the medians in brackets; of memory, our share of the peer's. Roofline: the share of what the
machine could do at most, by the formulas in bench/roofline.ts and the ceilings above.

| id | what | ours | peer | ratio | roofline | must / stretch | |
|---|---|---|---|---|---|---|---|
${lines.join('\n')}`
}

function goalLine(row: BenchRow, goal: Goal): string {
  const share = goal.of === 'share'
  const limit = (value: number | null): string =>
    value === null ? '-' : goal.of === 'ours' ? rate(value) : `${share ? '≤ ' : '≥ '}${value}x`
  const verdict = row.met === null ? 'not judged' : row.met ? 'met' : '**missed**'
  const peer = row.peer === null ? '-' : `${rate(row.peer)} (${row.peer_name})`
  const ratio = row.ratio === null ? '-' : `${times(row.ratio)} (${times(row.ratio_median)})`
  const notes = [verdict, remarks(row), row.agree ? 'outputs agree' : ''].filter(Boolean).join(', ')
  return `| ${row.id} | ${row.what} | ${rate(row.ours)} ${row.unit} | ${peer} | ${ratio} | ${percent(row.roofline)} | ${limit(row.must)} / ${limit(row.stretch)} | ${notes} |`
}

function notMeasured(results: readonly CaseResult[], id: string): readonly string[] {
  const is = (of: string): boolean => of === id || of.split(' ')[0] === id
  return results.flatMap((result) => [
    ...result.absent.filter((one) => is(one.id)).map(({ reason }) => reason),
    ...result.failed
      .filter((one) => is(one.id))
      .map(({ peer, reason }) => `${peer ?? 'ours'} failed: ${reason}`),
  ])
}

function misses(results: readonly CaseResult[], goals: Goals, causes: Causes): string {
  const rows = results.flatMap((result) => result.rows).filter(({ met }) => met === false)
  const seen = new Set(results.flatMap((result) => result.rows).map(goalOfRow))
  const missed = rows.map((row) => {
    const cause = causes[`${row.id} ${row.peer_name}`] ?? causes[row.id] ?? causes[goalOfRow(row)]
    const got = row.ratio === null ? `${rate(row.ours)} ${row.unit}` : times(row.ratio)
    return `- **${row.id}** against ${row.peer_name ?? 'its goal'}: ${got}, wanted ${row.must}. Cause: ${cause ?? 'not yet known'}.`
  })
  const never = Object.keys(goals)
    .filter((id) => !seen.has(id))
    .map((id) => `- **${id}**: not measured. ${causes[id] ?? [...notMeasured(results, id)].join('; ')}`)
  const peers = results.flatMap(({ missing }) => missing)
  const absent = [...new Set(peers.map(({ peer, reason }) => `- ${peer} is not installed: ${reason}`))]
  const broken = results.flatMap(({ failed }) =>
    failed.map(({ id, peer, reason }) => `- ${id}${peer ? ` against ${peer}` : ''} failed: ${reason}`),
  )
  const all = [...missed, ...never, ...absent, ...broken]
  return `## What is missed, and why\n\n${all.length > 0 ? all.join('\n') : 'Nothing.'}`
}

function otherRows(results: readonly CaseResult[], goals: Goals): string {
  const rows = results
    .flatMap((result) => result.rows)
    .filter((row) => !goals[row.id] && !goals[goalOfRow(row)])
  const lines = rows.map(
    (row) =>
      `| ${row.id} | ${row.what} | ${rate(row.ours)} ${row.unit} | ${row.peer === null ? '-' : `${rate(row.peer)} (${row.peer_name})`} | ${times(row.ratio)} | ${percent(row.roofline)} | ${remarks(row)} |`,
  )
  if (lines.length === 0) return '## Beside the goals\n\nNothing measured.'
  return `## Beside the goals\n\n| id | what | ours | peer | ratio | roofline | |\n|---|---|---|---|---|---|---|\n${lines.join('\n')}`
}

function kernels(results: readonly CaseResult[]): string {
  const rows = results.flatMap((result) => result.variants)
  const lines = rows.map(
    (row) =>
      `| ${row.id} | ${row.variant} | ${rate(row.ours)} ${row.unit} | ${times(row.ratio)} | ${percent(row.roofline)} | ${deviation(row, 'max')} | ${deviation(row, 'mean')} | ${row.noisy ? 'noisy' : ''} |`,
  )
  return `## Kernels

\`npm run bench -- --case kernels\`: every way of a kernel on one input. "Times" is against the first way of that kernel. Errors are relative to the largest value
of the fp64 reference (or of the way named).

| kernel | way | rate | times | roofline | largest error | mean error | |
|---|---|---|---|---|---|---|---|
${lines.join('\n')}`
}

function scaling(results: readonly CaseResult[]): string {
  const series = results.flatMap((result) => result.series)
  const parts = series.map(({ id, what, x, points, exponent, exponent_last }) => {
    const lines = points.map(
      (point) => `| ${point.x} | ${point.seconds.toPrecision(3)} | ${point.most} ${percent(point.share)} |`,
    )
    return `**${id}**: ${what}. seconds ~ x^${exponent.toFixed(2)} over all, x^${exponent_last.toFixed(2)} over the last two.

| ${x} | seconds | most of the operations |
|---|---|---|
${lines.join('\n')}`
  })
  return `## How cost grows\n\n${parts.length > 0 ? parts.join('\n\n') : 'Not measured.'}`
}

const method = `## How it is measured

Ours and a peer run in turn, A-B-A-B, after one run of each that does not count; the shortest and the median run of each side give two ratios. A
measure whose median is more than 25 % above its shortest is tried three times, while its time allows, and then marked noisy; so is one that never found nine tenths of
the cores idle. Both sides get the same weights file (random, in the shape of Qwen2.5-0.5B, bench/random-model.ts), the same token ids and the same lengths, and
what they compute is compared before they are timed. Peers are programs of their own (bench/peers), on as many threads as ours.`

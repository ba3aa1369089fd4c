/**
 * Published numbers beside ours, for the one data set where both exist: LastFM with S-DPO's 20 fixed
 * candidates. They are compared, never imitated: nothing in the project was tuned towards them, and the
 * fault of the published lists is stated with them.
 *
 * Source of the numbers: xingyuHuxingyu/DynamicPO, README at commit 0331db3.
 */

import type { RunSummary } from '../phases/run/run-record.js'
import { fullRowLabel, modeLabel } from './labels.js'
import { count } from './numbers.js'

export interface ComparisonRow {
  readonly name: string
  readonly hr1: number
  /** Ours, counting baseline on the same lists, or published. */
  readonly kind: 'ours' | 'counting' | 'published'
  readonly n: number
  readonly lo95?: number
  readonly hi95?: number
  readonly note: string
}

export interface Comparison {
  readonly title: string
  readonly rows: readonly ComparisonRow[]
  readonly remarks: readonly string[]
}

const tests = 2495

/** HR@1 on the 2,495 published test lists: plain preference optimisation, and with DynamicPO. */
const published = [
  ['Llama2-7B, DMPO', 0.5848, 0.6661],
  ['Llama2-7B, MPPO', 0.6597, 0.6906],
  ['Llama2-7B, S-DPO', 0.6617, 0.6666],
  ['Llama3-8B-Instruct, DMPO', 0.6232, 0.7331],
  ['Qwen2.5-7B-Instruct, DMPO', 0.5892, 0.6433],
] as const

/** Counting on the same lists, training part only; no language model. */
const counting = [
  ['Popularity', 0.2567],
  ['Item-kNN, cosine', 0.4635],
  ['Co-occurrence within 10 places', 0.5331],
] as const

const trained: ReadonlySet<string> = new Set([
  'base',
  'imitated',
  'internalized',
  'answers_only_sft',
  'answers_only_sdpo',
  'answers_only_rl',
])

/** Null for every other data set: numbers on other data or other candidates are not comparable. */
export function publishedComparison(summary: Partial<RunSummary>): Comparison | null {
  const rows = summary.table?.filter((row) => trained.has(row.id)) ?? []
  const name = (summary.tested ?? summary.dataset)?.name
  if (name === undefined || !/^lastfm-llara\b/.test(name) || rows.length === 0) return null
  const ours: ComparisonRow[] = rows.map((row) => ({
    name: `${fullRowLabel(row)} (${modeLabel(row.mode)})`,
    hr1: row.hr1,
    kind: 'ours',
    n: row.n,
    ...(row.lo95 && row.hi95 && { lo95: row.lo95.hr1, hi95: row.hi95.hr1 }),
    note: summary.model?.name ?? '',
  }))
  const floors: ComparisonRow[] = counting.map(([name, hr1]) => ({
    name,
    hr1,
    kind: 'counting',
    n: tests,
    note: 'counted on the same lists',
  }))
  const theirs: ComparisonRow[] = published.flatMap(([name, plain, dynamic]) => [
    { name, hr1: plain, kind: 'published' as const, n: tests, note: 'as published' },
    { name: `${name} + DynamicPO`, hr1: dynamic, kind: 'published' as const, n: tests, note: 'as published' },
  ])
  const sizes = [...new Set(rows.map((row) => row.n))]
  const partial = sizes.some((n) => n !== tests)
    ? [
        `This run was judged on ${sizes.join(' and ')} of the ${count(tests)} published tests, so its numbers carry the wider interval shown.`,
      ]
    : []
  return {
    title: 'Beside published numbers: HR@1 on LastFM, 20 fixed candidates',
    rows: [...ours, ...floors, ...theirs].sort((a, b) => b.hr1 - a.hr1),
    remarks: [
      'Compared, never imitated. The published rows are language models of 7 to 8 billion parameters after supervised tuning and preference optimisation with 15 negatives (source: README of xingyuHuxingyu/DynamicPO, commit 0331db3). They are not RE2: no number of RE2 is known.',
      'The published lists have a fault: the script that drew them seeds its generator with the id of the target, before it draws the 19 negatives and again before it shuffles them. List and order are therefore a function of the answer; remembering the training lists alone reaches HR@1 0.990 without reading a history. Published models were trained on lists drawn this way, so their numbers may hold some of it. Here, training negatives are drawn without regard to the target and every test list is shuffled.',
      'Scoring differs too: the published code looks for exactly one candidate title as a substring of a greedy answer; the rows of this run are answered as their mode says.',
      ...partial,
    ],
  }
}

/**
 * The table over several training seeds of the embedded default, of either method:
 *   npx tsx src/quickstart/seed-table.ts RUN... [--arm NAME RUN...]... > table.md
 * Each RUN is the folder of a finished run on the same tests (eval.instances null) with another --seed. Tests are
 * pooled and users drawn with all their seeds at once, so an interval covers both; the seeds' own HR@1 stand
 * beside it. Base is its best way to answer, chosen once for all seeds. An arm is the same seeds' runs with another
 * Internalization, or another Collection; its row is "internalized NAME".
 */

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readStoredConfig } from '../config/load.js'
import type { Instance } from '../data/types.js'
import { trainCounts } from '../eval/baselines/baseline.js'
import { itemKnnBaseline } from '../eval/baselines/item-knn.js'
import { popularityBaseline } from '../eval/baselines/popularity.js'
import { randomBaseline } from '../eval/baselines/random.js'
import { rankingOutcomes } from '../eval/protocol.js'
import type { RowId } from '../eval/result-row.js'
import { interval, meansOf, type Outcome, pairedDifferences } from '../eval/significance.js'
import type { PredictionLine } from '../phases/evaluation/prediction-lines.js'
import { outcomesOf } from '../phases/evaluation/prediction-lines.js'
import { ranking } from '../phases/prediction/predictions.js'
import { readJsonLines } from '../phases/run/files.js'
import type { RunSummary } from '../phases/run/run-record.js'
import { embeddedDataset, historyLength } from './dataset.js'

interface Run {
  readonly seed: number
  /** Items of a history as the run showed them. */
  readonly shown: number
  readonly summary: RunSummary
  readonly lines: readonly PredictionLine[]
}

interface PooledRow {
  readonly name: string
  readonly outcomes: readonly Outcome[]
  /** The top choice's popularity over its candidates' mean, training interactions, in the place of hr1; null without answers. */
  readonly excess: readonly Outcome[] | null
  readonly bySeed: readonly number[]
  readonly parsed: number
}

const [folders = [], ...named] = groupsOf(process.argv.slice(2))
if (folders.length === 0) throw new Error('name the folders of finished runs')
const runs = folders.map(readRun)
const arms = named.map(([name = '', ...own]) => ({ name, runs: own.map(readRun) }))
const dataset = embeddedDataset({ shown: runs[0]?.shown ?? historyLength })
const asked = askedByAll()
const tests = dataset.test.filter(({ id }) => asked.has(id))
const counts = trainCounts(dataset)
const rows = [...counted(), ...answered(), ...arms.flatMap(armRows)]
process.stdout.write(`${[table(), differences(), popularities(), timings()].join('\n\n')}\n`)

/** A sample of tests (eval.instances) depends on the seed: only what every run answered can be pooled. */
function askedByAll(): ReadonlySet<string> {
  const [first, ...others] = [...runs, ...arms.flatMap(({ runs: own }) => own)].map(
    ({ lines }) => new Set(lines.map(({ instance }) => instance)),
  )
  return new Set([...(first ?? [])].filter((id) => others.every((answered) => answered.has(id))))
}

/** The arguments, parted at every --arm. */
function groupsOf(words: readonly string[]): string[][] {
  const groups: string[][] = [[]]
  for (const word of words) {
    if (word === '--arm') groups.push([])
    else groups.at(-1)?.push(word)
  }
  return groups
}

function readRun(folder: string): Run {
  const { seed, data } = readStoredConfig(join(folder, 'config.yaml')).config
  return {
    seed,
    shown: Math.min(data.max_hist, historyLength),
    summary: JSON.parse(readFileSync(join(folder, 'summary.json'), 'utf8')) as RunSummary,
    lines: readJsonLines<PredictionLine>(join(folder, 'predictions.jsonl')),
  }
}

/** Rows without a model: the same in every run. */
function counted(): PooledRow[] {
  const scorers: readonly (readonly [string, (instance: Instance) => readonly number[]])[] = [
    ['random', randomBaseline().score],
    ['popularity', popularityBaseline(dataset).score],
    ['item_knn', itemKnnBaseline(dataset).score],
    ['oracle', (instance) => dataset.oracle?.(instance) ?? []],
  ]
  return scorers.map(([name, score]) => {
    const own = rankingOutcomes(tests, { scores: tests.map((instance) => score(instance)) })
    return {
      name,
      outcomes: runs.flatMap(({ seed }) => ofSeed(own, seed)),
      excess: null,
      bySeed: [],
      parsed: 1,
    }
  })
}

function answered(): PooledRow[] {
  const kinds = new Map<string, readonly [RowId, string]>()
  for (const { row, mode } of runs[0]?.lines ?? []) kinds.set(`${row} ${mode}`, [row, mode])
  return [...kinds].map(([name, [row, mode]]) => pooled(name, runs, row, mode))
}

/** What an arm's Internalization began with has a row where it is not what the runs' began with. */
function armRows({ name, runs: own }: (typeof arms)[number]): PooledRow[] {
  const [imitated, internalized] = (['imitated', 'internalized'] as const).map((row) =>
    pooled(`${row} ${name}`, own, row, 'think_score'),
  )
  const same = pooled(
    '',
    runs.filter(({ seed }) => own.some((run) => run.seed === seed)),
    'imitated',
    'think_score',
  )
  const another = JSON.stringify(imitated?.outcomes) !== JSON.stringify(same.outcomes)
  return [...(another && imitated ? [imitated] : []), ...(internalized ? [internalized] : [])]
}

function pooled(name: string, of: readonly Run[], row: RowId, mode: string): PooledRow {
  const own = of.map(({ lines }) => lines.filter((line) => line.row === row && line.mode === mode))
  const outcomes = own.map((lines) => outcomesOf(tests, lines))
  const all = own.flat()
  return {
    name,
    outcomes: outcomes.flatMap((values, index) => ofSeed(values, of[index]?.seed ?? 0)),
    excess: own.flatMap((lines, index) =>
      ofSeed(excessPopularity(lines, outcomes[index] ?? []), of[index]?.seed ?? 0),
    ),
    bySeed: outcomes.map((values) => meansOf(values).hr1),
    parsed: all.filter(({ parsed }) => parsed).length / all.length,
  }
}

/** The bootstrap draws any number of a test: this one travels as hr1. Tests without a choice are left out. */
function excessPopularity(lines: readonly PredictionLine[], outcomes: readonly Outcome[]): Outcome[] {
  const answers = new Map(lines.map((line) => [line.instance, line]))
  const test = new Map(tests.map((instance) => [instance.id, instance]))
  return outcomes.flatMap((outcome) => {
    const instance = test.get(outcome.instance) as Instance
    const { candidates } = instance
    const answer = answers.get(outcome.instance)
    const [item] = answer ? ranking(instance, answer) : []
    if (item === undefined) return []
    const mean = candidates.reduce((sum, one) => sum + popularity(one), 0) / candidates.length
    return [{ ...outcome, hr1: popularity(item) - mean }]
  })
}

function popularity(item: number): number {
  return counts[item] ?? 0
}

/** Is the last model drawn to what is popular, and is the one that learnt answers alone more so? */
function popularities(): string {
  const names = ['base think_score', 'imitated think_score', 'internalized think_score']
  const shown = rows.filter(({ name }) => names.includes(name) || name.startsWith('answers_only'))
  const lines = shown.flatMap(({ name, excess }) => {
    if (!excess) return []
    const { lo95, hi95 } = interval(excess)
    return [`| ${name} | ${signed(meansOf(excess).hr1)} | ${signed(lo95.hr1)} to ${signed(hi95.hr1)} |`]
  })
  const last = rows.find(({ name }) => name === 'internalized think_score')?.excess
  const against = shown.filter(({ name }) => name.startsWith('answers_only'))
  const pairs = against.flatMap(({ name, excess }) => {
    if (!last || !excess) return []
    const [hr1] = pairedDifferences(last, excess).filter(({ metric }) => metric === 'hr1')
    return hr1
      ? [
          `| internalized think_score - ${name} | ${signed(hr1.difference)} | ${signed(hr1.lo95)} to ${signed(hr1.hi95)} |`,
        ]
      : []
  })
  const head =
    '| popularity of the top choice over the mean of its candidates (training interactions) | mean | 95 % |'
  return [head, '|---|---|---|', ...lines, ...pairs].join('\n')
}

function ofSeed(outcomes: readonly Outcome[], seed: number): Outcome[] {
  return outcomes.map((outcome) => ({ ...outcome, instance: `${outcome.instance} seed ${seed}` }))
}

function table(): string {
  const head = `${runs.length} training seeds (${runs.map(({ seed }) => seed).join(', ')}), ${tests.length} held-out users.\n`
  const lines = rows.map(({ name, outcomes, bySeed, parsed }) => {
    const { hr1, hr5, ndcg5 } = meansOf(outcomes)
    const { lo95, hi95 } = interval(outcomes)
    const seeds = bySeed.map(number).join(' ')
    return `| ${name} | ${number(hr1)} | ${number(lo95.hr1)} to ${number(hi95.hr1)} | ${number(hr5)} | ${number(ndcg5)} | ${number(parsed)} | ${seeds} |`
  })
  return [
    head,
    '| row | HR@1 | 95 % | HR@5 | NDCG@5 | parsed | HR@1 by seed |',
    '|---|---|---|---|---|---|---|',
    ...lines,
  ].join('\n')
}

function differences(): string {
  const find = (name: string): PooledRow | undefined => rows.find((row) => row.name === name)
  const base = rows
    .filter(({ name }) => name.startsWith('base '))
    .sort((a, b) => meansOf(b.outcomes).hr1 - meansOf(a.outcomes).hr1)[0]
  const [imitated, internalized] = [find('imitated think_score'), find('internalized think_score')]
  const pairs = [
    [imitated, base],
    [internalized, imitated],
    [internalized, base],
    [internalized, find('popularity')],
    [internalized, find('item_knn')],
    [internalized, find('answers_only_sft score')],
    [internalized, find('answers_only_rl score')],
    [find('shuffled_history think_score'), find('popularity')],
    [find('shuffled_history think_score'), find('random')],
    [internalized, find('exchanged_reasoning think_score')],
    [internalized, find('filler_reasoning think_score')],
    [internalized, find('shuffled_ratings think_score')],
    ...arms.flatMap(({ name }) => [
      [find(`imitated ${name}`), imitated] as const,
      [find(`internalized ${name}`), find(`imitated ${name}`) ?? imitated] as const,
      [internalized, find(`internalized ${name}`)] as const,
    ]),
  ] as const
  const lines = pairs.flatMap(([a, b]) => {
    if (!a || !b) return []
    const hr1 = pairedDifferences(a.outcomes, b.outcomes).find(({ metric }) => metric === 'hr1')
    return hr1
      ? [`| ${a.name} - ${b.name} | ${signed(hr1.difference)} | ${signed(hr1.lo95)} to ${signed(hr1.hi95)} |`]
      : []
  })
  const ratio = (to: PooledRow | undefined): string =>
    internalized && to ? (meansOf(internalized.outcomes).hr1 / meansOf(to.outcomes).hr1).toFixed(2) : '-'
  return [
    '| paired difference in HR@1 | mean | 95 % |',
    '|---|---|---|',
    ...lines,
    '',
    `internalized / base: ${ratio(base)}; internalized / item_knn: ${ratio(find('item_knn'))}`,
  ].join('\n')
}

function timings(): string {
  const configuration = createHash('sha256')
    .update(runs.map(({ summary }) => summary.config_hash).join())
    .digest('hex')
    .slice(0, 12)
  const all = [{ name: '', runs }, ...arms]
  const lines = all.flatMap(({ name, runs: own }) => own.map((run) => timing(name, run)))
  return [`Configurations: ${configuration}.`, '', ...lines].join('\n')
}

function timing(arm: string, { seed, summary: { seconds, cpu_seconds, quality } }: Run): string {
  const { collect, imitate, internalize, evaluate } = seconds
  const own = quality.internalized ?? {}
  const names = ['gain', 'gain_positive_share', 'grounding_precision', 'pop_lift']
  const shown = Object.entries(own)
    .filter(([name]) => names.includes(name))
    .map(([name, value]) => `${name} ${value.toPrecision(3)}`)
  return `- ${arm === '' ? '' : `${arm}, `}seed ${seed}: collect ${collect.toFixed(0)} s, imitate ${imitate.toFixed(0)} s, internalize ${internalize.toFixed(0)} s, evaluate ${evaluate.toFixed(0)} s, ${cpu_seconds.toFixed(0)} s of CPU; internalized: ${shown.join(', ')}`
}

function number(value: number): string {
  return value.toFixed(3)
}

function signed(value: number): string {
  return `${value < 0 ? '' : '+'}${value.toFixed(3)}`
}

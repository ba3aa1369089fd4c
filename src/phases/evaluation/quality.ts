/**
 * Quality of a row's reasonings without a judge (spec 7.5) and popularity of what it recommends (spec 7.6): means over the
 * tests, flat, in the names of the summary. Texts and rankings only: nothing is asked of a model here. What probes
 * measured (phases/probes.ts) is read from their lines.
 */

import { words } from '../../data/title.js'
import type { Instance } from '../../data/types.js'
import { trainCounts } from '../../eval/baselines/baseline.js'
import { answerRates } from '../../eval/metrics.js'
import { type PopularityMetrics, popularityMetrics, stratifiedHitRate } from '../../eval/popularity.js'
import { distinctShare, distribution, repeatedShare } from '../../eval/reasoning-quality.js'
import { selfBleu } from '../../eval/self-bleu.js'
import type { Outcome } from '../../eval/significance.js'
import { type Citations, citations } from '../../rewards/citations.js'
import { ranking } from '../prediction/predictions.js'
import type { PhaseContext } from '../run/context.js'
import { type PredictionLine, readProbes } from './prediction-lines.js'
import { directMode, ranksCatalogue } from './ways-to-answer.js'

/** Lines of one row and mode, and what each test was worth. */
export interface JudgedRow {
  readonly id: PredictionLine['row']
  readonly mode: PredictionLine['mode']
  readonly lines: readonly PredictionLine[]
  readonly outcomes: readonly Outcome[]
}

/** Of free answers: form, exactly one candidate named, any item of the catalogue named. */
function freeRates(lines: readonly PredictionLine[]): Record<string, number> {
  const answers = lines.map(({ parsed, named = 0, in_catalogue: inCatalogue = false }) => ({
    parsed,
    candidatesNamed: named,
    inCatalogue,
  }))
  return { ...answerRates(answers) }
}

export function qualityOf(
  context: PhaseContext,
  instances: readonly Instance[],
  row: JudgedRow,
  rows: readonly JudgedRow[],
): Record<string, number> {
  const direct = rows.find(({ id, mode }) => id === row.id && mode === directMode(context.config))
  const byInstance = new Map(row.lines.map((line) => [line.instance, line]))
  const lines = instances.map(({ id }) => byInstance.get(id) as PredictionLine)
  const strata = stratifiedHitRate(
    trainCounts(context.dataset),
    instances.map(({ target }) => target),
    row.outcomes.map(({ hr1 }) => hr1),
  )
  return finite({
    ...(row.mode === 'free' ? freeRates(lines) : {}),
    ...(direct && direct !== row ? gains(row, direct) : {}),
    ...texts(
      lines,
      lines.map(({ reasoning }, index) =>
        citations(context.dataset, instances[index] as Instance, reasoning),
      ),
      instances,
    ),
    ...probed(context, row),
    hr1_head: strata.head,
    hr1_mid: strata.mid,
    hr1_tail: strata.tail,
    ...popularity(context, instances, lines),
  })
}

/** Mean log-prob per token of the true title behind the row's own reasoning, minus the same under the direct prompt. */
function gains(row: JudgedRow, direct: JudgedRow): Record<string, number> {
  const without = new Map(direct.lines.map((line) => [line.instance, line.target_mean]))
  const values = row.lines.flatMap(({ instance, target_mean }) => {
    const base = without.get(instance)
    return target_mean === null || base === null || base === undefined ? [] : [target_mean - base]
  })
  return { gain: mean(values), gain_positive_share: mean(values.map((value) => (value > 0 ? 1 : 0))) }
}

function texts(
  lines: readonly PredictionLine[],
  cited: readonly Citations[],
  instances: readonly Instance[],
): Record<string, number> {
  const all = lines.map(({ reasoning }) => reasoning)
  const lengths = all.map((text) => words(text).length)
  const own = cited.map(({ history, candidates }) => new Set([...history, ...candidates]).size)
  const some = lengths.some((length) => length > 0)
  return {
    reasoning_words: mean(lengths),
    ...(some && { reasoning_words_p95: distribution(lengths).p95 }),
    reasoning_tokens: mean(lines.map(({ tokens }) => tokens)),
    reasoning_closed: mean(lines.map(({ parsed }) => (parsed ? 1 : 0))),
    // Cited titles of the history or the candidates over all cited titles; nothing where none is cited.
    grounding_precision: mean(
      cited.flatMap(({ foreign }, index) => {
        const named = (own[index] as number) + foreign.length
        return named === 0 ? [] : [(own[index] as number) / named]
      }),
    ),
    ...(some && {
      hallucinated_title_rate: mean(cited.map(({ foreign }) => (foreign.length > 0 ? 1 : 0))),
      history_coverage: mean(
        cited.flatMap(({ history }, index) => {
          const past = new Set((instances[index] as Instance).history).size
          return past === 0 ? [] : [history.size / past]
        }),
      ),
      repeated_4grams: mean(all.map((text) => repeatedShare(text))),
      distinct_1: distinctShare(all, 1),
      distinct_2: distinctShare(all, 2),
      self_bleu: selfBleu(all),
    }),
  }
}

/** Means of what the probes measured on this row's reasonings, each over the tests that have it. */
function probed(context: PhaseContext, { id }: JudgedRow): Record<string, number> {
  if (context.config.eval.probes.length === 0) return {}
  const sums = new Map<string, { total: number; n: number }>()
  for (const line of readProbes(context.run))
    if (line.row === id)
      for (const [name, value] of Object.entries(line.values)) {
        const sum = sums.get(name) ?? { total: 0, n: 0 }
        sums.set(name, { total: sum.total + value, n: sum.n + 1 })
      }
  return Object.fromEntries([...sums].map(([name, { total, n }]) => [name, total / n]))
}

/** Of the first eval.popularity_cuts recommendations; the first cut has the plain names, others end in _at<K>. */
function popularity(
  context: PhaseContext,
  instances: readonly Instance[],
  lines: readonly PredictionLine[],
): Record<string, number> {
  const rankings = instances.map((instance, index) => ranking(instance, lines[index] as PredictionLine))
  const catalogue = ranksCatalogue(context.config)
  const atCut = (cut: number): PopularityMetrics =>
    popularityMetrics({
      counts: trainCounts(context.dataset),
      recommendations: rankings.map((items) => items.slice(0, cut)),
      histories: instances.map(({ history }) => history),
      targets: instances.map(({ target }) => target),
      ...(!catalogue && { candidates: instances.map(({ candidates }) => candidates) }),
    })
  return Object.fromEntries(
    context.config.eval.popularity_cuts.flatMap((cut, place) =>
      Object.entries(atCut(cut)).map(([name, value]) => [place === 0 ? name : `${name}_at${cut}`, value]),
    ),
  )
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length

/** A mean over nothing is left out, not written as a number. */
function finite(values: Readonly<Record<string, number | null | undefined>>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(values).filter((entry): entry is [string, number] => Number.isFinite(entry[1])),
  )
}

/** Ranking, popularity and diversity metrics against the reference values. */
import { describe, expect, it } from 'vitest'
import { hitRate, ndcg, rankOf, reciprocalRank } from '../../src/eval/metrics.js'
import { popularityMetrics, shortHead } from '../../src/eval/popularity.js'
import { entries, folders, readJson, Tally } from './reference.js'

interface Rankings {
  readonly ks: readonly number[]
  readonly means: {
    readonly HR: Record<string, number>
    readonly NDCG: Record<string, number>
    readonly MRR: number
  }
  readonly cases: readonly {
    readonly scores: readonly (number | null)[]
    readonly target: number
    readonly mean_rank: number | null
    readonly HR: Record<string, number>
    readonly NDCG: Record<string, number>
    readonly MRR: number
  }[]
}
interface Popularity {
  readonly cases: readonly {
    readonly name: string
    readonly phi: readonly number[]
    readonly recs: readonly (readonly number[])[]
    readonly hist: readonly (readonly number[])[]
    readonly genres: readonly (readonly string[])[]
    readonly targets?: readonly number[]
    readonly values: Record<string, number> & { readonly short_head: readonly number[] }
  }[]
}

const tally = new Tally('metrics')
// Both sides work in float64 on a few dozen terms: only the order of additions differs.
const atol = 1e-12

const average = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length

function compareRankings({ ks, means, cases }: Rankings): void {
  const ranks = cases.map(({ scores, target }) => rankOf(scores, target))
  cases.forEach((each, index) => {
    tally.case()
    const rank = ranks[index] as number
    expect(Number.isFinite(rank), `case ${index}: a rank where the answer is valid`).toBe(
      each.mean_rank !== null,
    )
    const ours = [
      Number.isFinite(rank) ? rank : 0,
      reciprocalRank(rank),
      ...ks.flatMap((k) => [hitRate(rank, k), ndcg(rank, k)]),
    ]
    const theirs = [
      each.mean_rank ?? 0,
      each.MRR,
      ...ks.flatMap((k) => [each.HR[k] as number, each.NDCG[k] as number]),
    ]
    tally.compare(`ranking ${index}`, ours, theirs, atol)
  })
  const ours = [
    average(ranks.map(reciprocalRank)),
    ...ks.flatMap((k) => [
      average(ranks.map((rank) => hitRate(rank, k))),
      average(ranks.map((rank) => ndcg(rank, k))),
    ]),
  ]
  tally.compare(
    'means',
    ours,
    [means.MRR, ...ks.flatMap((k) => [means.HR[k] as number, means.NDCG[k] as number])],
    atol,
  )
}

/** Our name of each reference value. */
const names = {
  ARP: 'arp',
  APLT: 'aplt',
  ACLT: 'aclt',
  Gini: 'gini',
  Coverage: 'coverage',
  Entropy_nats: 'entropy',
  Entropy_norm: 'entropy_norm',
  DivRatio: 'div_ratio',
  ORRatio: 'or_ratio',
  MGU: 'mgu',
  DGU: 'dgu',
  PopLift: 'pop_lift',
  GAP_to_truth: 'gap',
} as const

function comparePopularity({ cases }: Popularity): void {
  for (const { name, phi, recs, hist, genres, targets, values } of cases) {
    tally.case()
    const ours = popularityMetrics({
      counts: phi,
      recommendations: recs,
      histories: hist,
      groups: genres,
      ...(targets && { targets }),
    })
    for (const [theirs, own] of Object.entries(names)) {
      if (theirs === 'GAP_to_truth' && !targets) continue
      tally.compare(`${name}: ${theirs}`, [ours[own] as number], [values[theirs] as number], atol)
    }
    tally.compare(
      `${name}: short head`,
      [...shortHead(phi)].sort((a, b) => a - b),
      values.short_head,
      0,
    )
  }
}

for (const folder of folders())
  describe(`metrics, ${folder.name}`, () => {
    it('agree with the reference', () => {
      const files = entries(folder, 'metrics', (name) => name.endsWith('.json'))
      expect(files.length, `${folder.path}/metrics holds no reference values`).toBeGreaterThan(0)
      for (const file of files) {
        const reference = readJson<Rankings | Popularity>(folder.path, 'metrics', file)
        if ('ks' in reference) compareRankings(reference)
        else comparePopularity(reference)
      }
    })
  })

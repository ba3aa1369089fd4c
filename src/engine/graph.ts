/**
 * The user-item graph and its interaction chains u0 - i0 - u1 - i1 - u0 (native/graph/chains.h states the law).
 * Users and items are numbers from 0. A query's chains are a pure function of (graph, query, seed, its stream):
 * neither the other queries nor the threads change them.
 */

import { callNative, type JobOptions, runJob } from './job.js'
import { loadAddon } from './load.js'
import type {
  NativeChainOptions,
  NativeChainQueries,
  NativeChains,
  NativeEdges,
  NativeGraph,
} from './native.js'

export type { NativeChainQueries, NativeChains, NativeEdges } from './native.js'

export interface OwnEdge {
  readonly item: number
  readonly rating: number | null
  readonly time: number
}

export interface ChainQuery {
  /** u0's number; null: not in the graph. Never taken for u1. */
  readonly user: number | null
  /** i1 of every chain, its closing edge hidden; null: closed over u0's own items. */
  readonly target?: number | null
  /** At most this many chains, each through another u1. */
  readonly count: number
  readonly stream: bigint
  /** Every edge is strictly earlier; absent: no limit. */
  readonly before?: number
  /** u0's edges where they are not those of the graph. */
  readonly own?: readonly OwnEdge[]
  /** Items that no chain may name; the target always may. */
  readonly excluded?: readonly number[]
}

export interface ChainOptions {
  readonly seed: bigint
  /** faithful: uniform; tuned: cosine overlap times rating agreement, recent items preferred. */
  readonly weights: 'faithful' | 'tuned'
  /** open: i1 is an item of u1 that u0 lacks. */
  readonly form?: 'closed' | 'open'
  /** Open chains where there is no closed one; true unless told. */
  readonly fallBack?: boolean
  /** Whether times of different users compare; else `before` binds u0's own edges only. */
  readonly sharedClock: boolean
  /** Intermediate users; 1 unless told. */
  readonly middles?: number
}

/** k intermediate users, k + 1 items, 2k + 2 edges. */
export interface Chain {
  /** u1 .. uk. */
  readonly users: readonly number[]
  /** i0 .. ik. */
  readonly items: readonly number[]
  /** Along the walk: (u0,i0), (u1,i0), (u1,i1), ..., (u0,ik); null where there is none or it is hidden. */
  readonly ratings: readonly (number | null)[]
  readonly closed: boolean
}

export interface ChainsOfQuery {
  readonly chains: readonly Chain[]
  /** `open`: the fallback, or what was asked for; `none`: no chain at all. */
  readonly outcome: 'closed' | 'open' | 'none'
}

const outcomes = ['closed', 'open', 'none'] as const

export class InteractionGraph {
  readonly native: NativeGraph

  /** Repeated pairs keep their earliest edge. @throws RR_BAD_GRAPH, RR_OUT_OF_MEMORY */
  constructor(users: number, items: number, edges: NativeEdges) {
    this.native = callNative(() => loadAddon().createGraph(users, items, edges))
  }

  get users(): number {
    return this.native.users
  }
  get items(): number {
    return this.native.items
  }
  get edges(): number {
    return this.native.edges
  }
  /** Memory of the rows. */
  get bytes(): number {
    return this.native.bytes
  }

  /** One result per query. Progress counts queries. @throws RR_BAD_ARGUMENT, RR_OUT_OF_MEMORY, RR_CANCELLED */
  async sample(
    queries: readonly ChainQuery[],
    options: ChainOptions,
    job?: JobOptions,
  ): Promise<ChainsOfQuery[]> {
    return byQuery(await this.sampleColumns(queryColumns(queries), options, job), options)
  }

  /** The same at once, on the calling thread: for a few queries. */
  sampleNow(queries: readonly ChainQuery[], options: ChainOptions): ChainsOfQuery[] {
    const columns = callNative(() =>
      loadAddon().sampleChainsNow(this.native, queryColumns(queries), nativeOptions(options)),
    )
    return byQuery(columns, options)
  }

  /** The same in columns, for very many chains. */
  sampleColumns(queries: NativeChainQueries, options: ChainOptions, job?: JobOptions): Promise<NativeChains> {
    return runJob(job, (control) =>
      loadAddon().sampleChains(this.native, queries, nativeOptions(options), control),
    )
  }

  /** U_cand: the users that allow a closed chain, ascending, and how many items each shares with u0. */
  candidates(
    query: ChainQuery,
    sharedClock: boolean,
  ): { readonly users: Int32Array; readonly shared: Int32Array } {
    return callNative(() => loadAddon().chainCandidates(this.native, queryColumns([query]), sharedClock))
  }
}

function byQuery(columns: NativeChains, { middles = 1 }: ChainOptions): ChainsOfQuery[] {
  let at = 0
  return Array.from(columns.counts, (count, query) => {
    const outcome = outcomes[columns.outcomes[query]!] ?? 'none'
    const chains = Array.from({ length: count }, () => chainAt(columns, at++, middles, outcome === 'closed'))
    return { chains, outcome }
  })
}

/** The chain at a place of the columns. */
export function chainAt(
  { users, items, ratings }: NativeChains,
  index: number,
  middles: number,
  closed: boolean,
): Chain {
  const part = (values: Int32Array | Float32Array, width: number): number[] =>
    Array.from(values.subarray(index * width, (index + 1) * width))
  return {
    users: part(users, middles),
    items: part(items, middles + 1),
    ratings: part(ratings, 2 * middles + 2).map((rating) => (Number.isNaN(rating) ? null : rating)),
    closed,
  }
}

function nativeOptions(options: ChainOptions): NativeChainOptions {
  return { form: 'closed', fallBack: true, middles: 1, ...options }
}

export function queryColumns(queries: readonly ChainQuery[]): NativeChainQueries {
  const own = queries.flatMap((query) => query.own ?? [])
  return {
    users: Int32Array.from(queries, ({ user }) => user ?? -1),
    targets: Int32Array.from(queries, ({ target }) => target ?? -1),
    counts: Int32Array.from(queries, ({ count }) => count),
    streams: BigUint64Array.from(queries, ({ stream }) => stream),
    before: Float64Array.from(queries, ({ before }) => before ?? Number.POSITIVE_INFINITY),
    ownGiven: Int32Array.from(queries, (query) => (query.own ? 1 : 0)),
    ownOffsets: offsets(queries, (query) => query.own?.length ?? 0),
    ownItems: Int32Array.from(own, ({ item }) => item),
    ownRatings: Float32Array.from(own, ({ rating }) => rating ?? Number.NaN),
    ownTimes: Float64Array.from(own, ({ time }) => time),
    excludedOffsets: offsets(queries, (query) => query.excluded?.length ?? 0),
    excluded: Int32Array.from(queries.flatMap((query) => query.excluded ?? [])),
  }
}

function offsets(queries: readonly ChainQuery[], length: (query: ChainQuery) => number): Int32Array {
  const out = new Int32Array(queries.length + 1)
  queries.forEach((query, index) => {
    out[index + 1] = out[index]! + length(query)
  })
  return out
}

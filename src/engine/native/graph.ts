/** The user-item graph and its chains: native/graph. */

/** A built user-item graph (native/graph/interaction_graph.h). */
export interface NativeGraph {
  readonly users: number
  readonly items: number
  readonly edges: number
  readonly bytes: number
}

/** Columns of interactions; rating NaN: none. */
export interface NativeEdges {
  readonly users: Int32Array
  readonly items: Int32Array
  readonly ratings: Float32Array
  readonly times: Float64Array
}

/** Columns of queries (native/graph/chains.h); offsets have one entry more than there are queries. */
export interface NativeChainQueries {
  /** -1: not in the graph. */
  readonly users: Int32Array
  /** -1: closed over the user's own items. */
  readonly targets: Int32Array
  readonly counts: Int32Array
  readonly streams: BigUint64Array
  readonly before: Float64Array
  /** Int32Array of 0 and 1: whether the user's edges are those given here instead of the graph's. */
  readonly ownGiven: Int32Array
  readonly ownOffsets: Int32Array
  readonly ownItems: Int32Array
  readonly ownRatings: Float32Array
  readonly ownTimes: Float64Array
  readonly excludedOffsets: Int32Array
  readonly excluded: Int32Array
}

export interface NativeChainOptions {
  readonly seed: bigint
  readonly weights: 'faithful' | 'tuned'
  readonly form: 'closed' | 'open'
  readonly fallBack: boolean
  readonly sharedClock: boolean
  readonly middles: number
}

/** Chains of all queries in their order, k = middles. */
export interface NativeChains {
  /** (chains, k) */
  readonly users: Int32Array
  /** (chains, k + 1) */
  readonly items: Int32Array
  /** (chains, 2k + 2); NaN: none or hidden. */
  readonly ratings: Float32Array
  /** (queries) */
  readonly counts: Int32Array
  /** (queries): 0 closed, 1 open, 2 no chain. */
  readonly outcomes: Int32Array
}

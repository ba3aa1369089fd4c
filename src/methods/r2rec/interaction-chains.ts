/**
 * From a dataset to its graph, and from an instance to its chains (spec 3). The graph holds the training part alone.
 * What u0 brings are his interactions before the target: those of the training part, or all of them where he has none
 * there (held-out users), so no edge is later than the target or from another test. Every edge is strictly earlier than
 * the target by the clock; where times of different users do not compare (Dataset.clock), that binds u0's edges only.
 *
 * Chains among the history never name the target or another candidate: an open one that named all but the right
 * candidate would give it away. The chains of an instance are a pure function of the data, the seed and the instance.
 */

import { hash } from 'node:crypto'
import type { Config } from '../../config/schema.js'
import type { Dataset, Instance, Interaction, ItemIndex } from '../../data/types.js'
import {
  type ChainOptions,
  type ChainQuery,
  chainAt,
  InteractionGraph,
  type JobOptions,
  type Chain as NumberedChain,
  type OwnEdge,
  queryColumns,
} from '../../engine/index.js'
import type { Chain, ChainSource } from './chain.js'

export type GraphSettings = Config['graph']

/** How many queries had closed chains, fell back to open ones, or have none. */
export interface ChainOutcomes {
  readonly closed: number
  readonly open: number
  readonly none: number
}

export interface ManyChains {
  readonly chains: readonly Chain[]
  /** How many were drawn in all. */
  readonly sampled: number
  /** Of drawing alone. */
  readonly seconds: number
}

export class InteractionChains implements ChainSource {
  readonly graph: InteractionGraph
  /** Ids by the graph's numbers. */
  private readonly users: readonly string[]
  private readonly numberOf: ReadonlyMap<string, number>
  private readonly training: ReadonlyMap<string, readonly Interaction[]>
  private readonly options: ChainOptions

  constructor(
    private readonly dataset: Dataset,
    private readonly settings: GraphSettings,
    seed: number,
  ) {
    this.training = byUser(dataset.trainInteractions)
    this.users = [...this.training.keys()]
    this.numberOf = new Map(this.users.map((user, number) => [user, number]))
    this.graph = graphOf(dataset, this.numberOf)
    this.options = {
      seed: BigInt(seed),
      weights: settings.weights,
      form: settings.form,
      fallBack: settings.fall_back,
      middles: settings.middles,
      sharedClock: dataset.clock === 'shared',
    }
  }

  amongHistory(instance: Instance, count: number): readonly Chain[] {
    return this.now(instance, this.query(instance, null, count))
  }

  endingAt(instance: Instance, item: ItemIndex, count: number): readonly Chain[] {
    return this.now(instance, this.query(instance, item, count))
  }

  /** What becomes of the history's chains, closed wanted first: `open` and `none` are the fallback. */
  async outcomes(instances: readonly Instance[], job?: JobOptions): Promise<ChainOutcomes> {
    const queries = instances.map((instance) => this.query(instance, null, 1))
    const tally = { closed: 0, open: 0, none: 0 }
    const results = await this.graph.sample(queries, { ...this.options, form: 'closed' }, job)
    for (const { outcome } of results) tally[outcome]++
    return tally
  }

  /** Share of the instances whose user has no closed chain (U_cand is empty). */
  async emptyShare(instances: readonly Instance[], job?: JobOptions): Promise<number> {
    const { open, none } = await this.outcomes(instances, job)
    return instances.length === 0 ? 0 : (open + none) / instances.length
  }

  /**
   * Any number of chains of one instance (`target` null: among the history), of which the first `shown` are given.
   * They come in rounds: within one, each leads through another user, at most 1,024 of them.
   */
  async manyChains(
    instance: Instance,
    target: ItemIndex | null,
    { count, shown }: { readonly count: number; readonly shown: number },
    job?: JobOptions,
  ): Promise<ManyChains> {
    const query = this.query(instance, target, Math.min(count, 1024))
    const chains: Chain[] = []
    let [sampled, round, milliseconds] = [0, 0, 0]
    for (let inRound = query.count; sampled < count && inRound > 0; ) {
      const rounds = Math.min(256, Math.ceil((count - sampled) / inRound))
      const queries = Array.from({ length: rounds }, (_, index) => ({
        ...query,
        count: inRound,
        stream: BigInt.asUintN(64, query.stream + BigInt(round + index)),
      }))
      const columns = queryColumns(queries)
      const start = performance.now()
      const found = await this.graph.sampleColumns(columns, this.options, job)
      milliseconds += performance.now() - start
      const closed = found.outcomes[0] === 0
      const total = found.counts.reduce((sum, each) => sum + each, 0)
      for (let at = 0; at < total && chains.length < Math.min(shown, count); at++)
        chains.push(this.named(instance, chainAt(found, at, this.settings.middles, closed)))
      inRound = Math.max(...found.counts)
      round += rounds
      sampled += total
    }
    return { chains, sampled: Math.min(sampled, count), seconds: milliseconds / 1000 }
  }

  private now(instance: Instance, query: ChainQuery): readonly Chain[] {
    const [result] = this.graph.sampleNow([query], this.options)
    return result ? result.chains.map((chain) => this.named(instance, chain)) : []
  }

  private named({ user }: Instance, chain: NumberedChain): Chain {
    return { ...chain, users: [user, ...chain.users.map((number) => this.users[number] ?? '')] }
  }

  private query(instance: Instance, target: ItemIndex | null, count: number): ChainQuery {
    const { id, user } = instance
    return {
      user: this.numberOf.get(user) ?? null,
      target,
      count,
      stream: streamOf(id, user, target),
      ...this.own(instance),
      excluded: [instance.target, ...instance.candidates].filter((item) => item >= 0 && item !== target),
    }
  }

  /** What u0 brings, and the time before which everything lies. */
  private own({ user, history, position = null }: Instance): Pick<ChainQuery, 'own' | 'before'> {
    const training = this.training.get(user)
    const all = this.dataset.userInteractions?.get(user) ?? training ?? []
    if (position === null) return unplaced(all, history)
    // A user's training part is where his sequence begins.
    const earlier = all.slice(0, Math.min(position, training?.length ?? position))
    const shown = new Set(history)
    const own = this.settings.among === 'shown' ? earlier.filter(({ item }) => shown.has(item)) : earlier
    const at = all[position]
    return { own: own.map(edgeOf), ...(at && { before: at.timestamp }) }
  }
}

function edgeOf({ item, rating, timestamp }: Interaction): OwnEdge {
  return { item, rating, time: timestamp }
}

/**
 * For a history whose place is not known: each item's latest interaction, where there is one, and no edge of anybody
 * after the latest of them.
 */
function unplaced(
  all: readonly Interaction[],
  history: readonly ItemIndex[],
): Pick<ChainQuery, 'own' | 'before'> {
  const found = history.map((item) => all.findLast((interaction) => interaction.item === item))
  const latest = Math.max(...found.map((interaction) => interaction?.timestamp ?? Number.NEGATIVE_INFINITY))
  const known = Number.isFinite(latest)
  return {
    own: history.map((item, place) => {
      const at = found[place]
      return at ? edgeOf(at) : { item, rating: null, time: known ? latest : place }
    }),
    // The next number above, so that the latest itself is in.
    ...(known && { before: latest + Math.abs(latest) * Number.EPSILON + Number.MIN_VALUE }),
  }
}

function byUser(interactions: readonly Interaction[]): Map<string, Interaction[]> {
  const rows = new Map<string, Interaction[]>()
  for (const interaction of interactions) {
    const row = rows.get(interaction.user)
    if (row) row.push(interaction)
    else rows.set(interaction.user, [interaction])
  }
  return rows
}

function graphOf(
  { items, trainInteractions: all }: Dataset,
  numbers: ReadonlyMap<string, number>,
): InteractionGraph {
  return new InteractionGraph(numbers.size, items.length, {
    users: Int32Array.from(all, ({ user }) => numbers.get(user) ?? -1),
    items: Int32Array.from(all, ({ item }) => item),
    ratings: Float32Array.from(all, ({ rating }) => rating ?? Number.NaN),
    times: Float64Array.from(all, ({ timestamp }) => timestamp),
  })
}

/** The Philox stream of a question: its instance, its user and what its chains end in. */
function streamOf(id: string, user: string, target: ItemIndex | null): bigint {
  const digest = hash('sha256', JSON.stringify(['chains', id, user, target]), 'buffer')
  return digest.readBigUInt64LE(0)
}

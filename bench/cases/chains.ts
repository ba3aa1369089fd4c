/**
 * chains: interaction chains per second on a graph of MovieLens-1M's shape. A rating query asks for three chains that
 * end in one of the user's own items, through three different users (as data generation does); a history query asks
 * for three loops among everything the user has. Outputs are compared by the law of u1 and i0 on one query asked
 * many times, and each of a peer's chains is checked against the graph.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ChainOptions, InteractionGraph, philox, queryColumns } from '../../src/engine/index.js'
import type { AskPeer, BenchCase, Measure, Prepared, Size } from '../contract.js'
import { type GraphShape, millionEdges, type RandomGraph, randomGraph } from '../random-graph.js'
import { timed } from '../timing.js'

const shapes: Readonly<Record<Size, GraphShape>> = {
  tiny: { users: 80, items: 60, edges: 1000 },
  quick: millionEdges,
  full: millionEdges,
}
/** Queries of one run, three chains each. */
const ourQueries: Readonly<Record<Size, number>> = { tiny: 200, quick: 100_000, full: 300_000 }
const peerQueries: Readonly<Record<Size, Readonly<Record<string, number>>>> = {
  tiny: { 'chains-typescript': 200, 'chains-scipy': 100 },
  quick: { 'chains-typescript': 20_000, 'chains-scipy': 3000 },
  full: { 'chains-typescript': 60_000, 'chains-scipy': 10_000 },
}
const chainsPerQuery = 3
const seed = 17n

interface Kind {
  readonly id: string
  readonly weights: ChainOptions['weights']
  readonly asksTarget: boolean
}

const kinds: readonly Kind[] = [
  { id: 'chains', weights: 'faithful', asksTarget: true },
  { id: 'chains-history', weights: 'faithful', asksTarget: false },
  { id: 'chains-tuned', weights: 'tuned', asksTarget: true },
]

export const chains: BenchCase = {
  name: 'chains',
  what: 'interaction chains on a graph of a million edges',
  peers: ['chains-typescript', 'chains-scipy'],
  goals: ['chains', 'chains-history', 'chains-tuned'],
  minutes: { tiny: 0.1, quick: 2, full: 4 },
  prepare: async (size): Promise<Prepared> => {
    const graph = randomGraph(shapes[size], seed)
    const queries = queriesOf(graph, ourQueries[size])
    const folder = writeInput(graph, queries)
    const built = builtGraph(graph)
    return {
      input: {
        folder,
        users: graph.users,
        items: graph.items,
        edges: graph.edges,
        queries: queries.users.length,
      },
      measures: kinds.map((kind) => measureOf(kind, graph, built, queries, size)),
      dispose: () => rmSync(folder, { recursive: true, force: true }),
    }
  },
}

interface Queries {
  readonly users: Int32Array
  readonly targets: Int32Array
}

/** A user and one of his items each. */
function queriesOf({ users, offsets, itemsOf }: RandomGraph, count: number): Queries {
  const draws = philox(seed, 1n << 42n, 0n, 2 * count)
  const asked = Int32Array.from({ length: count }, (_, query) => Math.floor(draws[2 * query]! * users))
  const targets = Int32Array.from(asked, (user, query) => {
    const degree = offsets[user + 1]! - offsets[user]!
    return itemsOf[offsets[user]! + Math.floor(draws[2 * query + 1]! * degree)]!
  })
  return { users: asked, targets }
}

function writeInput(graph: RandomGraph, { users, targets }: Queries): string {
  const folder = mkdtempSync(join(tmpdir(), 'reasonrec-bench-'))
  const files = { offsets: graph.offsets, items: graph.itemsOf, ratings: graph.ratings, users, targets }
  for (const [name, values] of Object.entries(files))
    writeFileSync(join(folder, `${name}.bin`), new Uint8Array(values.buffer))
  return folder
}

function builtGraph({ users, items, edges, offsets, itemsOf, ratings }: RandomGraph): InteractionGraph {
  const owners = new Int32Array(edges)
  for (let user = 0; user < users; user++) owners.fill(user, offsets[user], offsets[user + 1])
  return new InteractionGraph(users, items, {
    users: owners,
    items: itemsOf,
    ratings,
    times: new Float64Array(edges),
  })
}

function columnsOf(users: ArrayLike<number>, targets: ArrayLike<number>, count: number, asksTarget: boolean) {
  const queries = users.length
  return {
    ...queryColumns([]),
    users: Int32Array.from(users),
    targets: asksTarget ? Int32Array.from(targets) : new Int32Array(queries).fill(-1),
    counts: new Int32Array(queries).fill(count),
    streams: BigUint64Array.from({ length: queries }, (_, query) => BigInt(query)),
    before: new Float64Array(queries).fill(Number.POSITIVE_INFINITY),
    ownGiven: new Int32Array(queries),
    ownOffsets: new Int32Array(queries + 1),
    excludedOffsets: new Int32Array(queries + 1),
  }
}

function measureOf(
  kind: Kind,
  graph: RandomGraph,
  built: InteractionGraph,
  queries: Queries,
  size: Size,
): Measure {
  const options: ChainOptions = { seed, weights: kind.weights, sharedClock: true, fallBack: false }
  const columns = columnsOf(queries.users, queries.targets, chainsPerQuery, kind.asksTarget)
  return {
    id: kind.id,
    what: `chains, ${kind.weights}, ${kind.asksTarget ? 'to a target' : 'among the history'}`,
    unit: 'chains/s',
    roofline: null,
    run: () => timed(async () => (await built.sampleColumns(columns, options)).users.length),
    request: (peer) => ({ queries: peerQueries[size][peer] ?? 100, count: chainsPerQuery }),
    disagreement: (peer) => disagreement(kind, graph, built, queries, options, peer),
  }
}

/** Chains of one query asked `asked` times. */
interface Sampled {
  readonly u1: readonly number[]
  readonly i0: readonly number[]
  readonly i1: readonly number[]
}

const asked = 4000
/** Deviations of a two-sample chi square: less happens by chance once in a million. */
const unlikely = 5

async function disagreement(
  kind: Kind,
  graph: RandomGraph,
  built: InteractionGraph,
  queries: Queries,
  options: ChainOptions,
  peer: AskPeer,
): Promise<string | null> {
  const [user, target] = [queries.users[0]!, kind.asksTarget ? queries.targets[0]! : -1]
  const theirs = (await peer({ check: kind.id, user, target, count: asked })) as Sampled
  const wrong = unsound(graph, user, target, theirs)
  if (wrong) return wrong
  const same = columnsOf(
    new Int32Array(asked).fill(user),
    new Int32Array(asked).fill(target),
    1,
    kind.asksTarget,
  )
  const { users, items } = await built.sampleColumns(same, options)
  const ours: Sampled = {
    u1: Array.from(users),
    i0: Array.from(users, (_, chain) => items[2 * chain]!),
    i1: Array.from(users, (_, chain) => items[2 * chain + 1]!),
  }
  for (const column of ['u1', 'i0', 'i1'] as const) {
    const surprise = twoSamples(ours[column], theirs[column])
    if (surprise > unlikely) return `${column} follows another law: ${surprise.toFixed(1)} deviations`
  }
  return null
}

function unsound(
  { offsets, itemsOf }: RandomGraph,
  user: number,
  target: number,
  { u1, i0, i1 }: Sampled,
): string | null {
  const has = (owner: number, item: number): boolean =>
    itemsOf.subarray(offsets[owner], offsets[owner + 1]).includes(item)
  if (u1.length !== asked || i0.length !== asked || i1.length !== asked)
    return `${u1.length} of ${asked} chains`
  const bad = u1.findIndex((other, chain) => {
    const [first, last] = [i0[chain]!, i1[chain]!]
    const known = has(user, first) && has(other, first) && has(other, last) && has(user, last)
    return !known || other === user || first === last || (target >= 0 && last !== target)
  })
  return bad < 0 ? null : `chain ${bad} is none: u1 ${u1[bad]}, i0 ${i0[bad]}, i1 ${i1[bad]}`
}

/** Chi square of two samples of one size, above its mean in deviations; rare values are taken together. */
function twoSamples(a: readonly number[], b: readonly number[]): number {
  const counts = new Map<number, [number, number]>()
  for (const [side, values] of [a, b].entries())
    for (const value of values) {
      const pair = counts.get(value) ?? [0, 0]
      pair[side]!++
      counts.set(value, pair)
    }
  const rare: [number, number] = [0, 0]
  const cells = [...counts.values()].filter(([mine, their]) => {
    if (mine + their >= 10) return true
    rare[0] += mine
    rare[1] += their
    return false
  })
  if (rare[0] + rare[1] > 0) cells.push(rare)
  const chi = cells.reduce((sum, [mine, their]) => sum + (mine - their) ** 2 / (mine + their), 0)
  const freedom = Math.max(1, cells.length - 1)
  return (chi - freedom) / Math.sqrt(2 * freedom)
}

/** The typed face of the graph: columns, errors, cancellation, the same chains at once and as a job, on any threads. */

import { afterAll, describe, expect, it } from 'vitest'
import {
  type ChainOptions,
  type ChainQuery,
  engineInfo,
  InteractionGraph,
  philox,
  setThreads,
} from '../../../src/engine/index.js'

const threadsBefore = engineInfo().threads
afterAll(() => setThreads(threadsBefore))

/** 60 users, 40 items, each edge with probability 1/3; ratings 1 to 5, times 0 to 99. */
function randomGraph(): {
  graph: InteractionGraph
  rows: Map<number, Map<number, { rating: number; time: number }>>
} {
  const draws = philox(3n, 0n, 0n, 60 * 40 * 3)
  const rows = new Map<number, Map<number, { rating: number; time: number }>>()
  const edges = {
    users: [] as number[],
    items: [] as number[],
    ratings: [] as number[],
    times: [] as number[],
  }
  for (let user = 0; user < 60; user++)
    for (let item = 0; item < 40; item++) {
      const at = 3 * (40 * user + item)
      if (draws[at]! > 1 / 3) continue
      const edge = { rating: 1 + Math.floor(5 * draws[at + 1]!), time: Math.floor(100 * draws[at + 2]!) }
      rows.set(user, (rows.get(user) ?? new Map()).set(item, edge))
      edges.users.push(user)
      edges.items.push(item)
      edges.ratings.push(edge.rating)
      edges.times.push(edge.time)
    }
  const graph = new InteractionGraph(60, 40, {
    users: Int32Array.from(edges.users),
    items: Int32Array.from(edges.items),
    ratings: Float32Array.from(edges.ratings),
    times: Float64Array.from(edges.times),
  })
  return { graph, rows }
}

const { graph, rows } = randomGraph()
const options: ChainOptions = { seed: 1n, weights: 'faithful', sharedClock: true }
const queries: ChainQuery[] = Array.from({ length: 200 }, (_, index) => ({
  user: index % 60,
  target: index % 3 === 0 ? index % 40 : null,
  count: 1 + (index % 4),
  stream: BigInt(index),
  ...(index % 2 === 0 && { before: 60 }),
  excluded: [(index + 1) % 40],
}))

describe('chains', () => {
  it('are loops over known, earlier edges; the closing edge of a target is hidden', async () => {
    let closed = 0
    for (const [index, { chains, outcome }] of (await graph.sample(queries, options)).entries()) {
      const { user, target, before = Number.POSITIVE_INFINITY, excluded } = queries[index]!
      for (const { users, items, ratings, closed: loop } of chains) {
        expect(loop).toBe(outcome === 'closed')
        if (!loop) continue
        closed++
        const [u1, [i0, i1]] = [users[0]!, items as [number, number]]
        const edges = [
          rows.get(user!)?.get(i0),
          rows.get(u1)?.get(i0),
          rows.get(u1)?.get(i1),
          rows.get(user!)?.get(i1),
        ]
        expect(u1).not.toBe(user)
        expect(i0).not.toBe(i1)
        for (const edge of edges.slice(0, 3)) expect(edge!.time).toBeLessThan(before)
        expect(ratings).toEqual([
          ...edges.slice(0, 3).map((edge) => edge!.rating),
          target === null ? edges[3]!.rating : null,
        ])
        expect(items.filter((item) => excluded!.includes(item) && item !== target)).toEqual([])
        if (target !== null) expect(i1).toBe(target)
      }
    }
    expect(closed).toBeGreaterThan(200)
  })

  it('are the same at once, as a job, on one thread and on three', async () => {
    const reference = await graph.sample(queries, options)
    expect(graph.sampleNow(queries, options)).toEqual(reference)
    for (const threads of [1, 3]) {
      await setThreads(threads)
      expect(await graph.sample(queries, options)).toEqual(reference)
    }
    expect(graph.sampleNow(queries, { ...options, seed: 2n })).not.toEqual(reference)
  })

  it('come from U_cand, the users who share two items', () => {
    const { users, shared } = graph.candidates({ user: 5, count: 1, stream: 0n }, true)
    const mine = rows.get(5)!
    const wanted = [...rows].flatMap(([user, theirs]) => {
      const common = [...theirs.keys()].filter((item) => mine.has(item)).length
      return user !== 5 && common >= 2 ? [[user, common]] : []
    })
    expect(Array.from(users, (user, at) => [user, shared[at]])).toEqual(wanted)
  })

  it('take edges given with the question, and fall back where nobody shares two items', () => {
    const own = [{ item: 3, rating: null, time: 0 }]
    const [fallen] = graph.sampleNow([{ user: null, count: 2, stream: 1n, own }], options)
    expect(fallen!.outcome).toBe('open')
    expect(fallen!.chains).toHaveLength(2)
    for (const { items, ratings } of fallen!.chains) {
      expect(items[0]).toBe(3)
      expect([ratings[0], ratings[3]]).toEqual([null, null])
    }
    const [nothing] = graph.sampleNow([{ user: null, count: 2, stream: 1n, own }], {
      ...options,
      fallBack: false,
    })
    expect(nothing).toEqual({ chains: [], outcome: 'none' })
  })
})

describe('refusals', () => {
  it.each<[string, string, () => unknown]>([
    ['an edge that leaves the graph', 'RR_BAD_GRAPH', () => graphOf([0], [9])],
    ['columns of different lengths', 'RR_BAD_GRAPH', () => graphOf([0, 1], [1])],
    [
      'a user outside',
      'RR_BAD_ARGUMENT',
      () => graph.sampleNow([{ user: 60, count: 1, stream: 0n }], options),
    ],
    [
      'a target outside',
      'RR_BAD_ARGUMENT',
      () => graph.sampleNow([{ user: 1, target: 40, count: 1, stream: 0n }], options),
    ],
    [
      'an excluded item outside',
      'RR_BAD_ARGUMENT',
      () => graph.sampleNow([{ user: 1, count: 1, stream: 0n, excluded: [-2] }], options),
    ],
    [
      'more chains than memory',
      'RR_BAD_ARGUMENT',
      () => graph.sampleNow([{ user: 1, count: 2 ** 30, stream: 0n }], options),
    ],
    [
      'nine users between',
      'RR_BAD_ARGUMENT',
      () => graph.sampleNow([{ user: 1, count: 1, stream: 0n }], { ...options, middles: 9 }),
    ],
    [
      'an object that is no graph',
      'RR_BAD_ARGUMENT',
      () =>
        InteractionGraph.prototype.sampleNow.call({ native: {} } as unknown as InteractionGraph, [], options),
    ],
  ])('of %s', (_, code, call) => {
    expect(call).toThrow(expect.objectContaining({ code }))
  })

  it('of a job that was called off', async () => {
    const error = await graph
      .sample(queries, options, { signal: AbortSignal.abort() })
      .catch((thrown) => thrown)
    expect(error).toMatchObject({ code: 'RR_CANCELLED' })
  })
})

function graphOf(users: readonly number[], items: readonly number[]): InteractionGraph {
  const [ratings, times] = [new Float32Array(users.length), new Float64Array(users.length)]
  return new InteractionGraph(2, 2, {
    users: Int32Array.from(users),
    items: Int32Array.from(items),
    ratings,
    times,
  })
}

/**
 * A user-item graph of a real set's shape without any of its data: degrees of users are log-normal (median about
 * 0.58 of the mean, as in sets of film ratings), items are drawn without repeats in proportion to (rank + items/60)^-1,
 * so the most popular one reaches about half of the users. Ratings 1 to 5, times by place. A pure function of the seed.
 */

import { philox } from '../src/engine/index.js'

export interface GraphShape {
  readonly users: number
  readonly items: number
  readonly edges: number
}

/** Rows by user, items ascending. */
export interface RandomGraph extends GraphShape {
  /** (users + 1) */
  readonly offsets: Int32Array
  /** (edges) */
  readonly itemsOf: Int32Array
  /** (edges), 1 to 5 */
  readonly ratings: Float32Array
}

/** The shape of MovieLens-1M: 6 k users, 3.4 k items, 1 M edges. */
export const millionEdges: GraphShape = { users: 6000, items: 3400, edges: 1_000_000 }

export function randomGraph({ users, items, edges }: GraphShape, seed: bigint): RandomGraph {
  const degrees = degreesOf({ users, items, edges }, seed)
  const running = new Float64Array(items)
  for (let rank = 0, sum = 0; rank < items; rank++) running[rank] = sum += 1 / (rank + items / 60)
  const offsets = new Int32Array(users + 1)
  for (let user = 0; user < users; user++) offsets[user + 1] = offsets[user]! + degrees[user]!
  const itemsOf = new Int32Array(edges)
  for (let user = 0; user < users; user++)
    itemsOf.set(itemsOfUser(degrees[user]!, running, seed, BigInt(user)), offsets[user])
  const ratings = Float32Array.from(philox(seed, 1n << 40n, 0n, edges), (draw) =>
    Math.min(5, 1 + Math.floor(draw * 7)),
  )
  return { users, items, edges, offsets, itemsOf, ratings }
}

/** Log-normal, at least 4 and at most two thirds of the items, brought to the sum wanted. */
function degreesOf({ users, items, edges }: GraphShape, seed: bigint): Int32Array {
  const draws = philox(seed, 1n << 41n, 0n, 2 * users)
  const raw = Float64Array.from({ length: users }, (_, user) => {
    const normal = Math.sqrt(-2 * Math.log(draws[2 * user]!)) * Math.cos(2 * Math.PI * draws[2 * user + 1]!)
    return Math.exp(1.04 * normal)
  })
  const most = Math.floor((2 * items) / 3)
  const bounded = (scale: number): Int32Array =>
    Int32Array.from(raw, (value) => Math.max(4, Math.min(most, Math.round(scale * value))))
  const total = (degrees: Int32Array): number => degrees.reduce((sum, degree) => sum + degree, 0)
  let [low, high] = [0, edges]
  for (let step = 0; step < 60; step++) {
    const middle = (low + high) / 2
    if (total(bounded(middle)) < edges) low = middle
    else high = middle
  }
  const degrees = bounded(high)
  // A few edges too many, from rounding.
  for (let user = 0, extra = total(degrees) - edges; extra > 0; user = (user + 1) % users)
    if (degrees[user]! > 4) {
      degrees[user]!--
      extra--
    }
  return degrees
}

function itemsOfUser(degree: number, running: Float64Array, seed: bigint, user: bigint): number[] {
  const chosen = new Set<number>()
  for (let first = 0n; chosen.size < degree; first += 4096n) {
    const draws = philox(seed, user, first, Math.min(4096, 8 * degree))
    for (const draw of draws) {
      if (chosen.size === degree) break
      chosen.add(rankAt(running, draw * running.at(-1)!))
    }
    // Somebody who takes nearly everything takes the most popular of the rest.
    for (let rank = 0; first > 100_000n && chosen.size < degree; rank++) chosen.add(rank)
  }
  return [...chosen].sort((a, b) => a - b)
}

function rankAt(running: Float64Array, mark: number): number {
  let [low, high] = [0, running.length - 1]
  while (low < high) {
    const middle = (low + high) >> 1
    if (running[middle]! > mark) high = middle
    else low = middle + 1
  }
  return low
}

/** The same sampler in plain TypeScript, one thread: proposals with refusal over rows of typed arrays. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { timed } from '../timing.js'

interface Input {
  readonly folder: string
  readonly users: number
  readonly items: number
  readonly edges: number
}

interface Graph {
  readonly users: number
  readonly offsets: Int32Array
  readonly items: Int32Array
  readonly ratings: Float32Array
  readonly raterOffsets: Int32Array
  readonly raters: Int32Array
  /** (items): place in u0's row + 1, or 0. */
  readonly marks: Int32Array
  readonly askedUsers: Int32Array
  readonly askedTargets: Int32Array
}

/** Marsaglia's xorshift128; 32 bits of it are a draw. */
const state = Uint32Array.of(0x9e3779b9, 0x243f6a88, 0xb7e15162, 0x12345678)
function draw(): number {
  let t = state[3]!
  const s = state[0]!
  state[3] = state[2]!
  state[2] = state[1]!
  state[1] = s
  t ^= t << 11
  t ^= t >>> 8
  state[0] = t ^ s ^ (s >>> 19)
  return state[0]! / 4294967296
}

function open({ folder, users, items, edges }: Input): Graph {
  const words = (name: string): ArrayBuffer =>
    new Uint8Array(readFileSync(join(folder, `${name}.bin`))).buffer
  const offsets = new Int32Array(words('offsets'))
  const itemsOf = new Int32Array(words('items'))
  const raterOffsets = new Int32Array(items + 1)
  for (const item of itemsOf) raterOffsets[item + 1]!++
  for (let item = 0; item < items; item++) raterOffsets[item + 1]! += raterOffsets[item]!
  const next = raterOffsets.slice()
  const raters = new Int32Array(edges)
  for (let user = 0; user < users; user++)
    for (let edge = offsets[user]!; edge < offsets[user + 1]!; edge++) raters[next[itemsOf[edge]!]!++] = user
  return {
    users,
    offsets,
    items: itemsOf,
    ratings: new Float32Array(words('ratings')),
    raterOffsets,
    raters,
    marks: new Int32Array(items),
    askedUsers: new Int32Array(words('users')),
    askedTargets: new Int32Array(words('targets')),
  }
}

const shared = new Int32Array(1 << 16)
const sharedOwn = new Int32Array(1 << 16)

/** How many of u0's marked items `user` has; their edges are in `shared`, u0's in `sharedOwn`. */
function share({ offsets, items, marks }: Graph, user: number): number {
  let found = 0
  for (let edge = offsets[user]!; edge < offsets[user + 1]!; edge++) {
    const place = marks[items[edge]!]!
    if (place > 0) {
      shared[found] = edge
      sharedOwn[found++] = place - 1
    }
  }
  return found
}

const ratingSpan = 4
const proposals = 2000

/** Appends up to `count` chains to `out`. */
function sample(
  graph: Graph,
  user: number,
  target: number,
  count: number,
  tuned: boolean,
  out: number[],
): void {
  const { offsets, items, ratings, marks, raterOffsets, raters, users } = graph
  const [first, last] = [offsets[user]!, offsets[user + 1]!]
  let own = 0
  for (let edge = first; edge < last; edge++)
    if (items[edge] !== target) {
      marks[items[edge]!] = edge + 1
      own++
    }
  const used: number[] = []
  const least = target < 0 ? 2 : 1
  for (let tries = 0; used.length < count && tries < proposals; tries++) {
    const begin = target < 0 ? 0 : raterOffsets[target]!
    const width = target < 0 ? users : raterOffsets[target + 1]! - begin
    const at = Math.floor(draw() * width)
    const other = target < 0 ? at : raters[begin + at]!
    if (other === user || used.includes(other)) continue
    const found = share(graph, other)
    if (found < least) continue
    if (tuned) {
      let agreed = 0
      for (let k = 0; k < found; k++)
        agreed += 1 - Math.abs(ratings[sharedOwn[k]!]! - ratings[shared[k]!]!) / (1 + ratingSpan)
      if (draw() * Math.sqrt((offsets[other + 1]! - offsets[other]!) * own) >= agreed) continue
    }
    const one = tuned ? recent(found, first, items, target) : Math.floor(draw() * found)
    let two = target
    if (target < 0) {
      const place = Math.floor(draw() * (found - 1))
      two = items[shared[place < one ? place : place + 1]!]!
    }
    used.push(other)
    out.push(other, items[shared[one]!]!, two)
  }
  for (let edge = first; edge < last; edge++) marks[items[edge]!] = 0
}

/** By recency: all times are equal here, so the smaller id goes first; the target has no place. */
function recent(found: number, first: number, items: Int32Array, target: number): number {
  const weight = (own: number): number =>
    1 / (1 + own - first - (target >= 0 && target < items[own]! ? 1 : 0))
  let total = 0
  for (let k = 0; k < found; k++) total += weight(sharedOwn[k]!)
  let mark = draw() * total
  for (let k = 0; k < found; k++) {
    mark -= weight(sharedOwn[k]!)
    if (mark < 0) return k
  }
  return found - 1
}

interface Request {
  readonly prepare?: Input
  readonly measure?: string
  readonly check?: string
  readonly queries?: number
  readonly count?: number
  readonly user?: number
  readonly target?: number
}

let graph: Graph | null = null

async function answer({
  prepare,
  measure,
  check,
  queries = 0,
  count = 1,
  user = 0,
  target = -1,
}: Request): Promise<object> {
  if (prepare) graph = open(prepare)
  if (!graph || prepare) return { ok: graph !== null }
  const out: number[] = []
  if (check !== undefined) {
    for (let k = 0; k < count; k++) sample(graph, user, target, 1, check === 'chains-tuned', out)
    const column = (which: number): number[] => out.filter((_, place) => place % 3 === which)
    return { u1: column(0), i0: column(1), i1: column(2) }
  }
  const { askedUsers, askedTargets } = graph
  const asked = graph
  return timed(() => {
    for (let query = 0; query < queries; query++) {
      const end = measure === 'chains-history' ? -1 : askedTargets[query]!
      sample(asked, askedUsers[query]!, end, count, measure === 'chains-tuned', out)
    }
    return out.length / 3
  })
}

process.stdout.write(`${JSON.stringify({ name: `TypeScript, Node ${process.version}` })}\n`)
for await (const line of createInterface({ input: process.stdin })) {
  let reply: object
  try {
    reply = await answer(JSON.parse(line) as Request)
  } catch (error) {
    reply = { error: String(error) }
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`)
}

/** Several sides in turn, A-B-A-B, and what their times say. */

import type { BenchRow, Measure, Timing } from './contract.js'

export interface Goal {
  readonly what: string
  /** What the goal is about: our rate, the ratio to the peer (the more the better), or our share of the peer's memory (the less). */
  readonly of: 'ours' | 'ratio' | 'share'
  /** One for all peers, or by the name of a peer's file. */
  readonly must: number | Readonly<Record<string, number>>
  readonly stretch: number | Readonly<Record<string, number>>
}

export interface Side {
  /** Seconds per unit, in the order of the runs; by the clock and of all processors. */
  readonly times: readonly number[]
  readonly cpu: readonly number[]
  /** Of memory measures. */
  readonly bytes: readonly number[]
}

/** Beyond this the shortest run says little about the usual one. */
const acceptedSpread = 0.25
const attempts = 3
/** Milliseconds: threads of the other side that wait for more work by spinning have gone to sleep by then. */
const pause = 10
/** Share of the limit; what takes longer has no need of a run that does not count. */
const longRun = 0.25

/** How long one measure may take, and how often it is run. */
export interface Effort {
  readonly rounds: number
  /** Seconds; two rounds are run whatever they take. */
  readonly limit: number
  /** False: no run that does not count, for what does not get quicker by it. */
  readonly warm?: boolean
}

export interface Runs {
  readonly ours: Side
  readonly peer: Side | null
}

type Run = () => Promise<Timing>

/**
 * Rounds of every side in turn, after one of each that does not count (but for long work, of which it is the first that
 * does), while the limit leaves time for them; again where they scatter. The calmest attempt is kept.
 */
export async function inTurn(
  sides: readonly Run[],
  { rounds, limit, warm = true }: Effort,
): Promise<readonly Side[]> {
  const begin = performance.now()
  const spent = (): number => (performance.now() - begin) / 1000
  const first: Timing[] = []
  if (warm) for (const run of sides) first.push(await run())
  const round = Math.max(spent(), 1e-9)
  const counts = warm && round > longRun * limit
  let best: readonly Side[] | null = null
  for (let attempt = 0; attempt < attempts; attempt++) {
    const timings: Timing[][] = sides.map((_, side) => (counts && attempt === 0 ? [first[side]!] : []))
    const wanted = rounds - timings[0]!.length
    const least = Math.min(2, rounds) - timings[0]!.length
    const count = Math.max(least, Math.min(wanted, Math.floor((limit - spent()) / round)))
    for (let done = 0; done < count; done++)
      for (const [side, run] of sides.entries()) {
        await new Promise((resolve) => setTimeout(resolve, pause))
        timings[side]!.push(await run())
      }
    const found = timings.map(sideOf)
    if (best === null || worstSpread(found) < worstSpread(best)) best = found
    if (worstSpread(best) <= acceptedSpread || spent() + count * round > limit) break
  }
  return best as readonly Side[]
}

export async function interleaved(run: Run, peer: Run | null, effort: Effort): Promise<Runs> {
  const [ours, theirs] = await inTurn(peer ? [run, peer] : [run], effort)
  return { ours: ours!, peer: theirs ?? null }
}

function sideOf(timings: readonly Timing[]): Side {
  return {
    times: timings.map(({ units, seconds }) => seconds / units),
    cpu: timings.map(({ units, cpuSeconds }) => cpuSeconds / units),
    bytes: timings.flatMap(({ bytes }) => bytes ?? []),
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

function worstSpread(sides: readonly Side[]): number {
  return Math.max(...sides.map(({ times }) => median(times) / Math.min(...times) - 1))
}

/** How much longer the median run of a side is than its shortest; the worse side. */
export function spreadOf({ ours, peer }: Runs): number {
  return worstSpread(peer ? [ours, peer] : [ours])
}

export interface Rival {
  /** As it names itself. */
  readonly title: string
  /** Its file under peers/. */
  readonly file: string
}

export function rowOf(
  { id, what, unit, roofline }: Pick<Measure, 'id' | 'what' | 'unit' | 'roofline'>,
  runs: Runs,
  rival: Rival | null,
  goal: Goal | undefined,
  { busy, agree }: { readonly busy: boolean; readonly agree: boolean | null },
): BenchRow {
  const { ours, peer } = runs
  const memory = unit === 'GiB'
  const shown = (side: Side, of: (values: readonly number[]) => number): number =>
    memory ? of(side.bytes) / 2 ** 30 : 1 / of(side.times)
  const least = (values: readonly number[]): number => Math.min(...values)
  const rate = shown(ours, least)
  const ratio = peer && rate / shown(peer, least)
  const limits = { must: limitOf(goal?.must, rival), stretch: limitOf(goal?.stretch, rival) }
  const judged = goal?.of === 'ours' ? rate : ratio
  const reached = (limit: number, value: number): boolean =>
    goal?.of === 'share' ? value <= limit : value >= limit
  return {
    id,
    what,
    ours: rate,
    peer: peer && shown(peer, least),
    peer_name: rival?.title ?? null,
    unit,
    ratio,
    ratio_median: peer && shown(ours, median) / shown(peer, median),
    roofline: roofline === null ? null : rate / roofline,
    ...limits,
    met: limits.must !== null && judged !== null ? reached(limits.must, judged) : null,
    noisy: busy || (!memory && spreadOf(runs) > acceptedSpread),
    agree,
    ours_cpu: 1 / least(ours.cpu),
    peer_cpu: peer && 1 / least(peer.cpu),
    rounds: ours.times.length,
  }
}

function limitOf(limit: Goal['must'] | undefined, rival: Rival | null): number | null {
  if (limit === undefined || typeof limit === 'number') return limit ?? null
  return rival ? (limit[rival.file] ?? null) : null
}

/** b of y = a x^b by least squares of the logarithms. */
export function exponentOf(points: readonly { readonly x: number; readonly seconds: number }[]): number {
  const logs = points.map(({ x, seconds }) => [Math.log(x), Math.log(seconds)] as const)
  const mean = (of: 0 | 1): number => logs.reduce((sum, log) => sum + log[of], 0) / logs.length
  const [mx, my] = [mean(0), mean(1)]
  const over = logs.reduce((sum, [x, y]) => sum + (x - mx) * (y - my), 0)
  return over / logs.reduce((sum, [x]) => sum + (x - mx) ** 2, 0)
}

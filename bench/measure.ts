/** Ours and a peer in turn, A-B-A-B, and what their times say. */

import type { BenchRow, Measure, Timing } from './contract.js'

export interface Goal {
  readonly what: string
  /** What the goal is about: our rate, or the ratio to the peer. */
  readonly of: 'ours' | 'ratio'
  readonly must: number
  readonly stretch: number
}

export interface Side {
  /** Seconds per unit, in the order of the runs; by the clock and of all processors. */
  readonly times: readonly number[]
  readonly cpu: readonly number[]
}

/** Beyond this the shortest run says little about the usual one. */
const acceptedSpread = 0.25
const attempts = 3

export interface Runs {
  readonly ours: Side
  readonly peer: Side | null
}

/** `rounds` runs of each side in turn, after one of each that does not count; again where they scatter. */
export async function interleaved(
  run: () => Promise<Timing>,
  peer: (() => Promise<Timing>) | null,
  rounds: number,
): Promise<Runs> {
  let best: Runs | null = null
  await run()
  await peer?.()
  for (let attempt = 0; attempt < attempts; attempt++) {
    const [ours, theirs]: [Timing[], Timing[]] = [[], []]
    for (let round = 0; round < rounds; round++) {
      ours.push(await run())
      if (peer) theirs.push(await peer())
    }
    const runs = { ours: sideOf(ours), peer: peer && sideOf(theirs) }
    if (best === null || spreadOf(runs) < spreadOf(best)) best = runs
    if (spreadOf(best) <= acceptedSpread) break
  }
  return best as Runs
}

function sideOf(timings: readonly Timing[]): Side {
  return {
    times: timings.map(({ units, seconds }) => seconds / units),
    cpu: timings.map(({ units, cpuSeconds }) => cpuSeconds / units),
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** How much longer the median run of a side is than its shortest; the worse side. */
export function spreadOf({ ours, peer }: Runs): number {
  const spread = ({ times }: Side): number => median(times) / Math.min(...times) - 1
  return Math.max(spread(ours), peer ? spread(peer) : 0)
}

export function rowOf(
  { id, unit, roofline }: Measure,
  runs: Runs,
  peerName: string | null,
  goal: Goal | undefined,
  { busy, agree }: { readonly busy: boolean; readonly agree: boolean | null },
): BenchRow {
  const shortest = ({ times }: Side): number => Math.min(...times)
  const { ours, peer } = runs
  const rate = 1 / shortest(ours)
  const ratio = peer && shortest(peer) / shortest(ours)
  const judged = goal?.of === 'ours' ? rate : ratio
  return {
    id,
    ours: rate,
    peer: peer && 1 / shortest(peer),
    peer_name: peerName,
    unit,
    ratio,
    ratio_median: peer && median(peer.times) / median(ours.times),
    roofline: roofline === null ? null : rate / roofline,
    must: goal?.must ?? null,
    stretch: goal?.stretch ?? null,
    met: goal && judged !== null ? judged >= goal.must : null,
    noisy: busy || spreadOf(runs) > acceptedSpread,
    agree,
    ours_cpu: 1 / Math.min(...ours.cpu),
    peer_cpu: peer && 1 / Math.min(...peer.cpu),
  }
}

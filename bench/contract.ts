/**
 * What a case and a peer supply to the harness. A case prepares one input and names what it measures: measures are one
 * piece of work of ours and of every peer that can do it, comparisons several ways of ours on one input, series one
 * work of ours as its input grows. A peer is a program of its own that reads requests and writes answers, one JSON
 * object per line (peers/README.md).
 */

import type { NativeCeilings } from '../src/engine/index.js'

/** tiny: a test of the harness itself; quick: the whole table in 20 minutes; full: the table with more of everything. */
export type Size = 'tiny' | 'quick' | 'full'

export type Ceilings = NativeCeilings

/** One timed run: `units` of work in `seconds`. */
export interface Timing {
  readonly units: number
  readonly seconds: number
  /** Of all threads together: what a busy machine changes less. */
  readonly cpuSeconds: number
  /** Largest resident memory of the process that did it, where that is what is measured. */
  readonly bytes?: number
}

export interface Measure {
  /** Its first word is a goal of GOALS.json, such as "C4"; what follows tells apart what has the same goal. */
  readonly id: string
  readonly what: string
  /** What one unit is, per second: "chains/s", "tok/s". Or "GiB": the least memory wins. */
  readonly unit: string
  /** Units per second that the machine could do at most; null where no such bound is known. */
  readonly roofline: number | null
  /** Files of those peers of the case that can do it; all of them unless told. */
  readonly peers?: readonly string[]
  /** One run of ours, timed by itself, so that what a run needs beforehand costs nothing. */
  run(): Promise<Timing>
  /** What a peer is asked for in one run: fields of its own besides those of the case's input. */
  readonly request: (peer: string) => object
  /** Compares what a peer computes with what we compute on one small input; a sentence where they differ. */
  readonly disagreement?: (peer: AskPeer, name: string) => Promise<string | null>
}

/** Sends a request of the case's own to a peer and takes its answer. */
export type AskPeer = (request: object) => Promise<unknown>

/** How far a result is from the exact one, relative to the largest exact value. */
export interface Deviation {
  readonly max: number
  readonly mean: number
  /** "fp64", or the variant that stands for it. */
  readonly against: string
}

export interface Variant {
  readonly name: string
  /** As of a Measure. */
  readonly roofline: number | null
  run(): Promise<Timing>
  deviation(): Promise<Deviation | null>
}

/** Ways of ours to do one work; the first is what the others are held against. */
export interface Comparison {
  readonly id: string
  readonly what: string
  readonly unit: string
  readonly variants: readonly Variant[]
}

/** Seconds of ours against the size of one input, and what of it the formulas say is most. */
export interface Series {
  readonly id: string
  readonly what: string
  /** Of x: "tokens of the prompt". */
  readonly x: string
  readonly points: readonly {
    readonly x: number
    run(): Promise<Timing>
    /** Operations by part, of section formulas in roofline.ts. */
    readonly parts: Readonly<Record<string, number>>
  }[]
}

export interface Prepared {
  /** Sent to each peer once, before the first run; files it names exist until `dispose`. */
  readonly input: object
  readonly measures: readonly Measure[]
  readonly comparisons?: readonly Comparison[]
  readonly series?: readonly Series[]
  /** Goals of this case that cannot be measured, and why. */
  readonly absent?: readonly Absent[]
  dispose(): void
}

export interface BenchCase {
  readonly name: string
  readonly what: string
  /** Names of files under peers/, without their ending. */
  readonly peers: readonly string[]
  /** Goals of GOALS.json it measures. */
  readonly goals?: readonly string[]
  /** About how long it takes, all peers there; for the progress line. */
  readonly minutes: Readonly<Record<Size, number>>
  prepare(size: Size, ceilings: Ceilings): Promise<Prepared>
}

/** One line of the table; the JSON of `bench --json`. Rates in `unit`, at the shortest run. */
export interface BenchRow {
  readonly id: string
  readonly what: string
  readonly ours: number
  readonly peer: number | null
  readonly peer_name: string | null
  readonly unit: string
  /** Of the shortest runs and of the median runs; above 1 we are quicker. Of memory: our share of the peer's. */
  readonly ratio: number | null
  readonly ratio_median: number | null
  /** Share of the bound that we reach. */
  readonly roofline: number | null
  readonly must: number | null
  readonly stretch: number | null
  /** Null where the id has no goal, or its goal is a ratio and there is no peer. */
  readonly met: boolean | null
  /** The runs of a side differ by more than the harness accepts. */
  readonly noisy: boolean
  /** Null: nothing to compare. */
  readonly agree: boolean | null
  /** Units per second of processor time, all threads counted. */
  readonly ours_cpu: number
  readonly peer_cpu: number | null
  /** Runs of each side that count. */
  readonly rounds: number
}

/** A row of a comparison: ours is this variant, the peer the first one. */
export interface VariantRow extends BenchRow {
  readonly variant: string
  readonly deviation: Deviation | null
}

export interface SeriesResult {
  readonly id: string
  readonly what: string
  readonly x: string
  readonly points: readonly {
    readonly x: number
    readonly seconds: number
    /** The largest part by operations, and its share. */
    readonly most: string
    readonly share: number
  }[]
  /** b of seconds = a x^b, over all points and over the last two. */
  readonly exponent: number
  readonly exponent_last: number
}

export interface Missing {
  readonly case: string
  readonly peer: string
  readonly reason: string
}

export interface Absent {
  readonly id: string
  readonly reason: string
}

export interface Failed {
  readonly case: string
  readonly id: string
  readonly peer: string | null
  readonly reason: string
}

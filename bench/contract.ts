/**
 * What a case and a peer supply to the harness. A case prepares one input and names its measures; each measure is one
 * piece of work of ours and of every peer that can do it. A peer is a program of its own that reads requests and
 * writes answers, one JSON object per line (peers/README.md).
 */

/** tiny: a test of the harness itself; quick: the whole table in minutes; full: what is published. */
export type Size = 'tiny' | 'quick' | 'full'

/** One timed run: `units` of work in `seconds`. */
export interface Timing {
  readonly units: number
  readonly seconds: number
  /** Of all threads together: what a busy machine changes less. */
  readonly cpuSeconds: number
}

export interface Measure {
  /** As in GOALS.json, such as "chains" or "C4". */
  readonly id: string
  /** What one unit is, per second: "chains/s", "tok/s". */
  readonly unit: string
  /** Units per second that the machine could do at most; null where no such bound is known. */
  readonly roofline: number | null
  /** One run of ours, timed by itself, so that what a run needs beforehand costs nothing. */
  run(): Promise<Timing>
  /** What a peer is asked for in one run: fields of its own besides those of the case's input. */
  readonly request: (peer: string) => object
  /** Compares what a peer computes with what we compute on one small input; a sentence where they differ. */
  readonly disagreement?: (peer: AskPeer) => Promise<string | null>
}

/** Sends a request of the case's own to a peer and takes its answer. */
export type AskPeer = (request: object) => Promise<unknown>

export interface Prepared {
  /** Sent to each peer once, before the first run; files it names exist until `dispose`. */
  readonly input: object
  readonly measures: readonly Measure[]
  dispose(): void
}

export interface BenchCase {
  readonly name: string
  readonly what: string
  /** Names of files under peers/, without their ending. */
  readonly peers: readonly string[]
  prepare(size: Size): Promise<Prepared>
}

/** One line of the table; the JSON of `bench --json`. Rates in `unit`, at the shortest run. */
export interface BenchRow {
  readonly id: string
  readonly ours: number
  readonly peer: number | null
  readonly peer_name: string | null
  readonly unit: string
  /** Of the shortest runs and of the median runs; above 1 we are quicker. */
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
}

/**
 * Progress on stderr: a bar with rate, tokens/s and the time left on a terminal; elsewhere (a log file,
 * CI) one plain line every few seconds with the same facts. Results never go through here: stdout is theirs.
 */

import cliProgress from 'cli-progress'
import type { ProgressSink } from '../phases/run/progress.js'
import { duration } from './numbers.js'
import { terminalLine } from './terminal-text.js'

export type { ProgressSink } from '../phases/run/progress.js'

export interface ProgressOptions {
  /** Default stderr. */
  readonly stream?: NodeJS.WritableStream & { readonly isTTY?: boolean }
  /** Seconds between two lines where there is no terminal. */
  readonly lineInterval?: number
  /** Milliseconds; a clock of the test's own. */
  readonly now?: () => number
}

interface Mark {
  readonly at: number // milliseconds
  readonly done: number // units
  readonly tokens: number
}

/** Rates are taken over this long: short enough to follow a change, long enough not to jitter. */
const windowMs = 60_000

/** Counts of the phase under way and its rates over the last minute. */
class Meter {
  done = 0
  tokens = 0
  private readonly began: number
  private marks: Mark[]

  constructor(
    readonly phase: string,
    readonly total: number,
    readonly unit: string,
    private readonly now: () => number,
  ) {
    this.began = now()
    this.marks = [{ at: this.began, done: 0, tokens: 0 }]
  }

  advance(done: number, tokens: number): void {
    this.done += done
    this.tokens += tokens
    const at = this.now()
    // Told at once and without tokens: work of an earlier process, which says nothing about this one's speed.
    if (tokens === 0 && this.marks.length === 1 && at - this.began < 1000) {
      this.marks = [{ at, done: this.done, tokens: this.tokens }]
      return
    }
    this.marks.push({ at, done: this.done, tokens: this.tokens })
    // One mark older than the window stays, so that a slow phase has a rate too.
    while (this.marks.length > 2 && at - (this.marks[1]?.at ?? at) > windowMs) this.marks.shift()
  }

  facts(): { rate: string; pace: string; tokenRate: string; left: string; elapsed: string } {
    const first = this.marks[0]
    const last = this.marks[this.marks.length - 1]
    const seconds = first && last ? (last.at - first.at) / 1000 : 0
    const rate = first && last && seconds > 0 ? (last.done - first.done) / seconds : 0
    const tokenRate = first && last && seconds > 0 ? (last.tokens - first.tokens) / seconds : 0
    const remaining = Math.max(0, this.total - this.done)
    return {
      rate: rate > 0 ? perTime(rate, this.unit) : `– ${this.unit}/s`,
      pace:
        rate > 0
          ? rate >= 1
            ? `${rate.toFixed(rate < 10 ? 2 : 0)}/s`
            : `${(1 / rate).toFixed(1)} s each`
          : '–/s',
      tokenRate: tokenRate > 0 ? `${tokenRate.toFixed(tokenRate < 100 ? 1 : 0)} tokens/s` : '– tokens/s',
      left: remaining === 0 ? 'done' : rate > 0 ? `${duration(remaining / rate)} left` : 'time left unknown',
      elapsed: duration((this.now() - this.began) / 1000),
    }
  }
}

/** Slow work reads better the other way round: "12.0 s/step", not "0.08 steps/s". */
function perTime(rate: number, unit: string): string {
  if (rate >= 1) return `${rate.toFixed(rate < 10 ? 2 : 0)} ${unit}/s`
  return `${(1 / rate).toFixed(1)} s/${unit.replace(/s$/, '')}`
}

/** Bar on a terminal, lines elsewhere. */
export function terminalProgress(options: ProgressOptions = {}): ProgressSink {
  const stream = options.stream ?? process.stderr
  const now = options.now ?? Date.now
  return stream.isTTY
    ? barProgress(stream, now)
    : lineProgress(stream, now, (options.lineInterval ?? 5) * 1000)
}

function lineProgress(stream: NodeJS.WritableStream, now: () => number, every: number): ProgressSink {
  let meter: Meter | null = null
  let printed = Number.NEGATIVE_INFINITY
  const line = (): void => {
    if (!meter) return
    const { rate, tokenRate, left, elapsed } = meter.facts()
    const share = meter.total > 0 ? Math.floor((100 * meter.done) / meter.total) : 100
    const counts = `${meter.done}/${meter.total} ${meter.unit} (${share} %)`
    stream.write(`${meter.phase}: ${counts}, ${rate}, ${tokenRate}, ${elapsed} elapsed, ${left}\n`)
    printed = now()
  }
  const end = (): void => {
    line()
    meter = null
  }
  return {
    start(phase, total, unit) {
      end()
      meter = new Meter(terminalLine(phase), total, terminalLine(unit), now)
      printed = now()
      stream.write(`${meter.phase}: ${total} ${meter.unit}\n`)
    },
    advance(done, tokens) {
      meter?.advance(done, tokens)
      if (now() - printed >= every) line()
    },
    note(text) {
      stream.write(`${terminalLine(text)}\n`)
    },
    end,
  }
}

function barProgress(stream: NodeJS.WritableStream, now: () => number): ProgressSink {
  let meter: Meter | null = null
  let bars: cliProgress.MultiBar | null = null
  let bar: cliProgress.SingleBar | null = null
  // The time left before the rates: what does not fit into the terminal's width is cut on the right.
  const format = '{phase} {bar} {value}/{total} {unit} · {left} · {pace} · {tokenRate}'
  const end = (): void => {
    if (meter) bar?.update(meter.done, meter.facts())
    bars?.stop()
    meter = null
    bars = null
    bar = null
  }
  return {
    start(phase, total, unit) {
      end()
      meter = new Meter(terminalLine(phase), total, terminalLine(unit), now)
      // A MultiBar, since only it can print a line above its bar; no signal handler: the phases have theirs.
      bars = new cliProgress.MultiBar(
        {
          stream,
          format,
          barsize: 14,
          hideCursor: false,
          linewrap: true,
          fps: 5,
          gracefulExit: false,
          emptyOnZero: true,
        },
        cliProgress.Presets.rect,
      )
      // The redraw timer must not keep a failing process alive.
      const display = bars as unknown as { readonly timer: NodeJS.Timeout | null } & cliProgress.MultiBar
      for (const event of ['start', 'update-post'] as const) display.on(event, () => display.timer?.unref())
      bar = bars.create(total, 0, { phase: meter.phase, unit: meter.unit, ...meter.facts() })
    },
    advance(done, tokens) {
      if (!meter) return
      meter.advance(done, tokens)
      bar?.update(meter.done, meter.facts())
    },
    note(text) {
      const line = `${terminalLine(text)}\n`
      if (!bars) {
        stream.write(line)
        return
      }
      bars.log(line)
      bars.update() // the display only buffers notes, and drops what is in the buffer when it stops
    },
    end,
  }
}

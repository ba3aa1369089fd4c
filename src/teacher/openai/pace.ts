/**
 * How many requests are in flight. Additive increase, multiplicative decrease: an answer adds 1/limit, a busy server
 * halves the limit, once for all requests that were in flight together. Retry-After holds everybody, not only the one who
 * was told. A circuit breaker: `breaker` failures in a row close the line for a pause that doubles each time; one
 * request then tries the line; after `pauses` pauses without an answer between them the work ends.
 */

import PQueue from 'p-queue'
import { ReasonrecError } from '../../engine/errors.js'

export interface PaceOptions {
  readonly most: number
  /** Failures in a row. */
  readonly breaker: number
  /** First pause of the breaker, milliseconds. */
  readonly pauseMs: number
}

const pauses = 5
const longestPauseMs = 60_000
/** A server that asks for more is asked once more after this. */
const longestRetryAfterMs = 600_000

export class Pace {
  private readonly queue: PQueue
  /** Requests in flight that are allowed; a fraction on its way up. */
  private limit: number
  private lastCut = 0
  private failuresInRow = 0
  private pausesInRow = 0
  private wake: NodeJS.Timeout | null = null
  private wakeAt = 0
  private ended: unknown = null

  constructor(private readonly options: PaceOptions) {
    this.limit = Math.min(options.most, 8)
    this.queue = new PQueue({ concurrency: Math.floor(this.limit) })
  }

  get concurrency(): number {
    return this.queue.concurrency
  }

  /** Runs when it is its turn; what comes back (`again`) goes before what has not been tried. */
  async run<T>(attempt: () => Promise<T>, again: boolean): Promise<T> {
    return (await this.queue.add(
      async () => {
        if (this.ended !== null) throw this.ended
        return attempt()
      },
      { priority: again ? 1 : 0 },
    )) as T
  }

  answered(): void {
    this.failuresInRow = 0
    this.pausesInRow = 0
    this.setLimit(this.limit + 1 / this.limit)
  }

  /** A request that began at `beganAt` (performance.now()) found the server busy. */
  congested(beganAt: number, retryAfterMs: number | null): void {
    if (beganAt >= this.lastCut) {
      this.lastCut = performance.now()
      this.setLimit(this.limit / 2)
    }
    if (retryAfterMs !== null) this.hold(Math.min(retryAfterMs, longestRetryAfterMs))
  }

  /** @returns the error that ends the work, once the line has been closed too often */
  brokeDown(text: string): ReasonrecError | null {
    if (++this.failuresInRow < this.options.breaker) return null
    this.failuresInRow = this.options.breaker - 1
    // Those that were in flight when the line was closed say nothing new.
    if (this.queue.isPaused) return null
    if (++this.pausesInRow > pauses) return down(text, this.options.breaker)
    this.setLimit(1)
    this.hold(Math.min(this.options.pauseMs * 2 ** (this.pausesInRow - 1), longestPauseMs))
    return null
  }

  /** Whatever waits or comes is refused with `reason`. */
  end(reason: unknown): void {
    this.ended ??= reason
    if (this.wake) clearTimeout(this.wake)
    this.wake = null
    this.queue.start()
  }

  private setLimit(limit: number): void {
    this.limit = Math.max(1, Math.min(this.options.most, limit))
    this.queue.concurrency = Math.floor(this.limit)
  }

  private hold(milliseconds: number): void {
    const until = performance.now() + milliseconds
    if (this.ended !== null || until <= this.wakeAt) return
    this.wakeAt = until
    if (this.wake) clearTimeout(this.wake)
    this.queue.pause()
    this.wake = setTimeout(() => {
      this.wake = null
      this.queue.start()
    }, milliseconds)
  }
}

function down(text: string, breaker: number): ReasonrecError {
  return new ReasonrecError('RR_TEACHER_DOWN', 'the teacher does not answer', {
    expected: `an answer among ${breaker} attempts, or after one of ${pauses} pauses`,
    got: text,
    remedy:
      'see whether the server runs, then go on with reasonrec resume: nothing that was answered is asked again',
  })
}

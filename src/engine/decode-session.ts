/**
 * Decoding for requests that come and go: each joins the running batch at the next step boundary and leaves it when
 * its samples have ended or its signal aborts (native/decode/session.h). A request's samples are those that generate()
 * gives it alone, to the bit, whatever else is in the batch.
 *
 * The session steps by itself while there is work, one native job for each step, so other jobs of the engine thread
 * run between two steps. Weights and adapters must not change while a request is in it.
 */

import {
  type Adapters,
  type DecodeGroup,
  type DecodeOptions,
  type Sample,
  type ScriptStep,
  toGroup,
  toNative,
  toStep,
} from './decoder.js'
import { ReasonrecError } from './errors.js'
import { callNative, runJob } from './job.js'
import { loadAddon } from './load.js'
import type { Model } from './model.js'
import type { NativeSession, NativeSessionSample } from './native.js'

export type SessionOptions = Omit<DecodeOptions, 'seed'>

export interface SessionRequest {
  readonly group: DecodeGroup
  readonly script: readonly ScriptStep[]
  readonly seed: bigint
  /** Aborting takes the request out of the batch; its promise rejects with RR_CANCELLED. */
  readonly signal?: AbortSignal | undefined
  /**
   * Told once for each step that gave the sample tokens: these tokens and what stands per token beside them. The
   * tokens of a sample's last step come with the result only.
   */
  readonly onGrowth?: ((sample: number, piece: Sample) => void) | undefined
}

interface OpenRequest {
  readonly samples: (Sample | undefined)[]
  readonly onGrowth: SessionRequest['onGrowth']
  missing: number
  resolve(samples: Sample[]): void
  reject(error: unknown): void
}

export class DecodeSession {
  private readonly requests = new Map<number, OpenRequest>()
  private driving: Promise<void> | null = null
  private nextId = 0
  private ended: unknown = null

  private constructor(private readonly native: NativeSession) {}

  static open(model: Model, adapters: Adapters, options: SessionOptions): DecodeSession {
    return new DecodeSession(
      callNative(() =>
        loadAddon().openSession(model.native, toNative(adapters), {
          maxRows: options.maxRows,
          sharePrefix: options.sharePrefix ?? true,
          vocabularyBytes: options.vocabularyBytes ?? null,
        }),
      ),
    )
  }

  /** Requests that have not ended. */
  get live(): number {
    return this.requests.size
  }

  /** An error of a step ended the session; it takes no more requests. */
  get broken(): boolean {
    return this.ended !== null
  }

  /**
   * All samples, once the last of them has ended.
   * @throws what generate() throws, RR_SESSION_CLOSED, RR_CANCELLED
   */
  async decode({ group, script, seed, signal, onGrowth }: SessionRequest): Promise<Sample[]> {
    if (signal?.aborted) throw cancelled(signal)
    const id = this.nextId++
    callNative(() => this.native.join(id, toGroup(group), script.map(toStep), seed, onGrowth !== undefined))
    if (group.samples.length === 0) return []
    const leave = (): void => this.fail(id, cancelled(signal))
    try {
      return await new Promise<Sample[]>((resolve, reject) => {
        const count = group.samples.length
        this.requests.set(id, { samples: new Array(count), onGrowth, missing: count, resolve, reject })
        signal?.addEventListener('abort', leave, { once: true })
        this.driving ??= this.drive()
      })
    } finally {
      signal?.removeEventListener('abort', leave)
    }
  }

  /** Ends every request with RR_CANCELLED and frees the batch's memory. */
  async close(): Promise<void> {
    for (const id of [...this.requests.keys()]) this.fail(id, cancelled(undefined))
    await this.driving
    this.ended ??= cancelled(undefined)
    callNative(() => this.native.close())
  }

  private async drive(): Promise<void> {
    try {
      let idle = false
      while (this.requests.size > 0 || !idle) {
        const news = await runJob(undefined, (control) => this.native.step(control))
        idle = news.idle
        for (const piece of news.grown) this.tell(piece)
        for (const done of news.finished) this.finish(done)
      }
    } catch (error) {
      this.ended = error
      for (const { reject } of this.requests.values()) reject(error)
      this.requests.clear()
      callNative(() => this.native.close())
    } finally {
      this.driving = null
    }
  }

  private tell({ group, sample, result }: NativeSessionSample): void {
    try {
      this.requests.get(group)?.onGrowth?.(sample, result)
    } catch (error) {
      this.fail(group, error)
    }
  }

  private finish({ group, sample, result }: NativeSessionSample): void {
    const request = this.requests.get(group)
    if (!request) return
    request.samples[sample] = result
    if (--request.missing > 0) return
    this.requests.delete(group)
    request.resolve(request.samples as Sample[])
  }

  private fail(id: number, error: unknown): void {
    const request = this.requests.get(id)
    if (!request) return
    this.requests.delete(id)
    callNative(() => this.native.drop(id))
    request.reject(error)
  }
}

function cancelled(signal: AbortSignal | undefined): ReasonrecError {
  return new ReasonrecError('RR_CANCELLED', 'the request was cancelled', {}, { cause: signal?.reason })
}

/**
 * One long native job as seen by a caller: stop it with an AbortSignal, watch it with onProgress.
 * The job and its caller share four 32-bit words (native/core/job.h); nothing is posted between threads.
 */

import { fromNative, ReasonrecError } from './errors.js'
import type { Control } from './native.js'

export interface JobProgress {
  /** Units finished; what a unit is depends on the call (samples, sequences, tensors). */
  readonly done: number
  /** Units in all, 0 while unknown. */
  readonly total: number
  /** Tokens computed so far. */
  readonly tokens: number
}

export interface JobOptions {
  /** Aborting ends the job at its next token or layer; the promise rejects with RR_CANCELLED. */
  readonly signal?: AbortSignal | undefined
  /** Called at most ten times a second while the job runs, and once at its end. */
  readonly onProgress?: ((progress: JobProgress) => void) | undefined
}

const pollMilliseconds = 100

/** Runs `start` with a fresh control array. Errors: those of the job as ReasonrecError, RR_CANCELLED on abort. */
export async function runJob<T>(
  options: JobOptions | undefined,
  start: (control: Control) => Promise<T>,
): Promise<T> {
  const { signal, onProgress } = options ?? {}
  if (signal?.aborted) throw cancelled(signal)
  const control: Control = new Int32Array(new SharedArrayBuffer(16))
  const stop = () => Atomics.store(control, 0, 1)
  const report = () => onProgress?.({ done: control[1]!, total: control[2]!, tokens: control[3]! })
  signal?.addEventListener('abort', stop, { once: true })
  const timer = onProgress && setInterval(report, pollMilliseconds)
  timer?.unref()
  try {
    const result = await start(control)
    report()
    return result
  } catch (error) {
    const mapped = fromNative(error)
    if (signal?.aborted && mapped instanceof ReasonrecError && mapped.code === 'RR_CANCELLED')
      throw cancelled(signal)
    throw mapped
  } finally {
    clearInterval(timer)
    signal?.removeEventListener('abort', stop)
  }
}

/** Runs a synchronous call of the addon and gives its errors the shape of ReasonrecError. */
export function callNative<T>(call: () => T): T {
  try {
    return call()
  } catch (error) {
    throw fromNative(error)
  }
}

function cancelled(signal: AbortSignal): ReasonrecError {
  return new ReasonrecError('RR_CANCELLED', 'the job was cancelled', {}, { cause: signal.reason })
}

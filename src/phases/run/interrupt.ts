/**
 * Signals: the first SIGINT, SIGTERM or SIGUSR1 asks every loop to stop at its next safe point and save;
 * the second leaves at once. The exit status is 130 for SIGINT and 143 for the others.
 */

export class Interrupted extends Error {
  readonly signal: NodeJS.Signals

  constructor(signal: NodeJS.Signals) {
    super(`interrupted by ${signal}`)
    this.name = 'Interrupted'
    this.signal = signal
  }

  get exitStatus(): number {
    return this.signal === 'SIGINT' ? 130 : 143
  }
}

const watched: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGUSR1']

export interface InterruptWatch {
  readonly signal: AbortSignal
  stop(): void
}

/** `notify` is told once, when the first signal comes. */
export function watchInterrupts(notify: (name: NodeJS.Signals) => void): InterruptWatch {
  const controller = new AbortController()
  const receive = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.exit(name === 'SIGINT' ? 130 : 143)
    notify(name)
    controller.abort(new Interrupted(name))
  }
  for (const name of watched) process.on(name, receive)
  return {
    signal: controller.signal,
    stop: () => {
      for (const name of watched) process.removeListener(name, receive)
    },
  }
}

/** Was this error caused by the abort of `signal` (natively or here)? */
export function isInterruption(error: unknown, signal: AbortSignal | undefined): boolean {
  if (error instanceof Interrupted) return true
  if (!signal?.aborted) return false
  return error === signal.reason || (error as { code?: string } | null)?.code === 'RR_CANCELLED'
}

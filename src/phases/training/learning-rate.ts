/** Learning rates as pure functions of the step: nothing to restore on resume. Steps count from 0. */

/** Linear warm-up over `warmup` steps, then a cosine from `peak` to `final` x peak at the last step. */
export function cosineRate(peak: number, step: number, steps: number, warmup: number, final: number): number {
  if (step < warmup) return (peak * (step + 1)) / warmup
  const progress = Math.min(1, (step - warmup) / Math.max(1, steps - warmup - 1))
  return peak * (final + (1 - final) * 0.5 * (1 + Math.cos(Math.PI * progress)))
}

/** Linear warm-up, then constant. */
export function constantRate(peak: number, step: number, warmup: number): number {
  return step < warmup ? (peak * (step + 1)) / warmup : peak
}

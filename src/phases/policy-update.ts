/**
 * The updates of one step of Internalization: rl.inner passes over its mini-batches. Sampled log-probs are the old
 * ones, so before the first update the ratio is 1, which is checked.
 */

import { type Adapters, ReasonrecError } from '../engine/index.js'
import type { PhaseContext } from './context.js'
import { emptySums, type StepSums, withSums } from './internalize-metrics.js'
import type { PolicyBatch } from './policy-batch.js'
import type { Training } from './training.js'

/** Sampled and trained log-probs come from one engine and may differ by rounding only. */
const largestMismatch = 1e-3

export async function updatePolicy(
  context: PhaseContext,
  { training, reference }: { readonly training: Training; readonly reference: Adapters },
  batches: readonly PolicyBatch[],
  learningRate: number,
): Promise<StepSums> {
  const { rl } = context.config
  let sums = emptySums()
  for (let inner = 0; inner < rl.inner; inner++) {
    for (const [index, batch] of batches.entries()) {
      const options = { temperature: rl.temperature, reference, signal: context.signal }
      const result = await training.trainer.accumulatePolicy(
        batch.groups,
        policyLoss(context),
        batch.weights,
        options,
      )
      if (inner === 0 && index === 0) checkMismatch(result.sums.maxAbsLogRatio, batch.instances)
      const settings = { learningRate, weightDecay: rl.weight_decay, clipNorm: rl.clip_norm }
      const done = await training.update(result.sums.loss + result.sftLoss, settings)
      sums = withSums(sums, result, done, inner === 0 && index === 0)
    }
  }
  return sums
}

export function policyLoss(context: Pick<PhaseContext, 'config'>) {
  const { rl } = context.config
  return {
    loss: rl.loss,
    clipLow: rl.eps[0],
    clipHigh: rl.eps[1],
    dualClip: rl.dual_c,
    aggregation: rl.agg,
    maxLength: rl.max_new,
    kl: rl.kl.kind,
    beta: rl.kl.beta,
    entropyBonus: rl.entropy,
  } as const
}

function checkMismatch(mismatch: number, instances: readonly string[]): void {
  // A NaN is left to the rule for losses that are not finite.
  if (!(mismatch >= largestMismatch)) return
  throw new ReasonrecError('RR_NUMERIC_MISMATCH', 'sampled and trained log-probs differ before the update', {
    expected: `at most ${largestMismatch}`,
    got: `${mismatch} among ${instances.slice(0, 4).join(' ')}`,
    remedy: 'please report this with the run folder',
  })
}

/**
 * The updates of one step of Internalization: rl.inner passes over its mini-batches. Sampled log-probs are the old
 * ones, so before the first update the ratio is 1, which is checked.
 */

import { type Adapters, ReasonrecError } from '../../engine/index.js'
import type { PhaseContext } from '../run/context.js'
import type { Training } from '../training/training.js'
import { emptySums, type StepSums, withSums } from './internalize-metrics.js'
import type { PolicyBatch } from './policy-batch.js'
import { type PolicyWeights, policyLoss, preferenceLoss } from './policy-loss.js'

/** Sampled and trained log-probs come from one engine and may differ by rounding only. */
const largestMismatch = 1e-3

export async function updatePolicy(
  context: PhaseContext,
  { training, reference }: { readonly training: Training; readonly reference: Adapters },
  batches: readonly PolicyBatch[],
  at: { readonly learningRate: number; readonly weights: PolicyWeights },
): Promise<StepSums> {
  const { rl } = context.config
  const loss = rl.arm === 'policy' ? policyLoss(rl, at.weights) : preferenceLoss(rl, rl.arm)
  const help = preferenceLoss(rl, 'simpo')
  const options = { temperature: rl.temperature, reference, signal: context.signal }
  let sums = emptySums()
  for (let inner = 0; inner < rl.inner; inner++) {
    for (const [index, batch] of batches.entries()) {
      const result = await training.trainer.accumulatePolicy(batch.groups, loss, batch.weights, options)
      const pairs =
        batch.pairs &&
        (await training.trainer.accumulatePolicy(batch.pairs.groups, help, batch.pairs.weights, options))
      if (inner === 0 && index === 0) checkMismatch(result.sums.maxAbsLogRatio, batch.instances)
      const settings = {
        learningRate: at.learningRate,
        weightDecay: rl.weight_decay,
        clipNorm: rl.clip_norm,
      }
      const total = result.sums.loss + result.sftLoss + (pairs?.sums.loss ?? 0)
      const done = await training.update(total, settings)
      sums = withSums(sums, { result, pairs, done }, inner === 0 && index === 0)
    }
  }
  return sums
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

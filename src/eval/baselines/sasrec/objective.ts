/**
 * The losses of SASRec as the engine takes them.
 *   softmax  -log p(target) over the whole catalogue, mean over predictions
 *   bce      -log s(target) - sum over K drawn items of log(1 - s(item)), mean over predictions; items of the
 *            sequence are not drawn (Kang & McAuley 2018, K = 1)
 *   gbce     -(b log s(target) + sum over K of log(1 - s(item))) / (K + 1), mean over predictions,
 *            b = a (t (1 - 1/a) + 1/a), a = K / (items - 1), t the calibration (Petrov & Macdonald 2023, K = 256)
 */

import type { Config } from '../../../config/schema.js'
import type { SasrecStep } from '../../../engine/index.js'

export type SasrecSettings = Config['baselines']['sasrec']

type Objective = Pick<SasrecStep, 'negatives' | 'positiveWeight' | 'spareSequence'> & {
  /** Terms of one prediction's mean. */
  readonly terms: number
}

export function objectiveOf(settings: SasrecSettings, items: number): Objective {
  if (settings.loss === 'softmax') return { negatives: 0, positiveWeight: 1, spareSequence: false, terms: 1 }
  if (settings.loss === 'bce')
    return { negatives: settings.negatives ?? 1, positiveWeight: 1, spareSequence: true, terms: 1 }
  const negatives = settings.negatives ?? 256
  const share = Math.min(1, negatives / Math.max(1, items - 1))
  const positiveWeight = share * (settings.calibration * (1 - 1 / share) + 1 / share)
  return { negatives, positiveWeight, spareSequence: false, terms: negatives + 1 }
}

/**
 * Step 2 of R2Rec, supervised fine-tuning on (Q, R, A): theta* = argmin E_D [ L(LLM_theta(Q), R, A) ], prompt tokens without
 * weight, LoRA. The mixture of rating and ranking traces is mixture.ts; loss, schedule and checkpoints are
 * phases/imitate.ts. The result is also the frozen reference of step 3.
 */

import { imitate } from '../../phases/imitation/imitate.js'
import type { PhaseContext } from '../../phases/run/context.js'

export function supervisedFineTuning(context: PhaseContext): Promise<void> {
  return imitate(context)
}

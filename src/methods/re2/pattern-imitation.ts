/**
 * Step 2 of RE2, Pattern Imitation: supervised fine-tuning on the collected data, prompt in, reasoning and
 * then the item out. RE2 adds nothing of its own here; the loss, its weights and the schedule are in
 * phases/imitate.ts. The result is also the frozen reference of step 3.
 */

import { imitate } from '../../phases/imitation/imitate.js'
import type { PhaseContext } from '../../phases/run/context.js'

export function patternImitation(context: PhaseContext): Promise<void> {
  return imitate(context)
}

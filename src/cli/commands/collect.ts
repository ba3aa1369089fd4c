/** collect: this phase alone, in the run directory given with --out. */

import { phaseCommand } from '../single-phase.js'

export const collectCommand = phaseCommand(
  'collect',
  'Write reasoning traces with the model itself (and the builtin teacher where it keeps too few)',
)

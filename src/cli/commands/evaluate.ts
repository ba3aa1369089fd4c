/** evaluate: this phase alone, in the run directory given with --out. */

import { phaseCommand } from '../single-phase.js'

export const evaluateCommand = phaseCommand(
  'evaluate',
  'Rank the test candidates with the model before and after training',
)

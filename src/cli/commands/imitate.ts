/** imitate: this phase alone, in the run directory given with --out. */

import { phaseCommand } from '../single-phase.js'

export const imitateCommand = phaseCommand('imitate', 'Fine-tune on the kept traces')

/** internalize: this phase alone, in the run directory given with --out. */

import { phaseCommand } from '../single-phase.js'

export const internalizeCommand = phaseCommand('internalize', 'Reinforce: roll out, reward, advantage, step')

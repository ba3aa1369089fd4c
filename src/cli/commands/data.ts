/** data: what goes into a run, before it goes in. One file per sub-verb under data/. */

import type { CommandModule } from 'yargs'
import { statsCommand } from './data/stats.js'

export const dataCommand: CommandModule = {
  command: 'data <what>',
  describe: 'Look at data sets',
  builder: (parser) => parser.command(statsCommand).demandCommand(1, 'say what to do: stats'),
  handler: () => {},
}

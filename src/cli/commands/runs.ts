/** runs: the folders of runs under one folder: list, look at, remove. */

import type { CommandModule } from 'yargs'
import { listRunsCommand } from './runs/list.js'
import { removeRunCommand } from './runs/remove.js'
import { showRunCommand } from './runs/show.js'

export const runsCommand: CommandModule = {
  command: 'runs',
  describe: 'Runs in a folder: ls, show, rm',
  builder: (parser) =>
    parser
      .command(listRunsCommand)
      .command(showRunCommand)
      .command(removeRunCommand)
      .demandCommand(1, 'say what to do: ls, show or rm'),
  handler: () => {},
}

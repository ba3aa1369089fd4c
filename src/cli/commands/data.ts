/** data: what goes into a run, before it goes in. One file per sub-verb under data/. */

import type { CommandModule } from 'yargs'
import { exportDataCommand } from './data/export.js'
import { importCommand } from './data/import.js'
import { inspectDataCommand } from './data/inspect.js'
import { statsCommand } from './data/stats.js'

export const dataCommand: CommandModule = {
  command: 'data <what>',
  describe: 'Import, look at and export data sets',
  builder: (parser) =>
    parser
      .command(importCommand)
      .command(inspectDataCommand)
      .command(statsCommand)
      .command(exportDataCommand)
      .demandCommand(1, 'say what to do: import, inspect, stats or export'),
  handler: () => {},
}

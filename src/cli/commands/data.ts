/** data: what goes into a run, before it goes in. One file per sub-verb under data/. */

import type { CommandModule } from 'yargs'
import { auditCommand } from './data/audit.js'
import { candidatesCommand } from './data/candidates.js'
import { exportDataCommand } from './data/export.js'
import { importCommand } from './data/import.js'
import { importScoresCommand } from './data/import-scores.js'
import { inspectDataCommand } from './data/inspect.js'
import { splitCommand } from './data/split.js'
import { statsCommand } from './data/stats.js'

export const dataCommand: CommandModule = {
  command: 'data <what>',
  describe: 'Import, look at, audit, split and export data sets; judge scores of other programs',
  builder: (parser) =>
    parser
      .command(importCommand)
      .command(inspectDataCommand)
      .command(statsCommand)
      .command(auditCommand)
      .command(splitCommand)
      .command(candidatesCommand)
      .command(importScoresCommand)
      .command(exportDataCommand)
      .demandCommand(
        1,
        'say what to do: import, inspect, stats, audit, split, candidates, import-scores or export',
      ),
  handler: () => {},
}

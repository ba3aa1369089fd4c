/** inspect: look at what the engine sees. One file per subject under inspect/. */

import type { CommandModule } from 'yargs'
import { logprobsCommand } from './inspect/logprobs.js'
import { tokenizerCommand } from './inspect/tokenizer.js'

export const inspectCommand: CommandModule = {
  command: 'inspect <what>',
  describe: 'Look at what the engine sees',
  builder: (parser) =>
    parser
      .command(logprobsCommand)
      .command(tokenizerCommand)
      .demandCommand(1, 'say what to inspect: logprobs or tokenizer'),
  handler: () => {},
}

/** inspect: look at what the engine sees. One file per subject under inspect/. */

import type { CommandModule } from 'yargs'
import { adapterCommand } from './inspect/adapter.js'
import { logprobsCommand } from './inspect/logprobs.js'
import { memoryCommand } from './inspect/memory.js'
import { modelCommand } from './inspect/model.js'
import { tokenizerCommand } from './inspect/tokenizer.js'

export const inspectCommand: CommandModule = {
  command: 'inspect <what>',
  describe: 'Look at what the engine sees',
  builder: (parser) =>
    parser
      .command(modelCommand)
      .command(adapterCommand)
      .command(memoryCommand)
      .command(logprobsCommand)
      .command(tokenizerCommand)
      .demandCommand(1, 'say what to inspect: model, adapter, memory, logprobs or tokenizer'),
  handler: () => {},
}

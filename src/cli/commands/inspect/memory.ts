/** inspect memory: what a model's weights and caches will take, told from its headers; nothing is loaded. */

import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import { modelTensors, planMemory, readModelConfig } from '../../../engine/index.js'
import { modelFolder } from '../../../hub/repository.js'
import { type CommonArguments, commonOptions, dtypeOption } from '../../options.js'
import { printJson } from '../../running.js'
import { print } from './model.js'

interface MemoryArguments extends CommonArguments {
  readonly model: string
  readonly dtype: 'auto' | 'fp32' | 'bf16'
  readonly training: boolean
  readonly rank: number
  readonly rows: number
  readonly tokens: number
  readonly shared: number
}

export const memoryCommand: CommandModule<object, MemoryArguments> = {
  command: 'memory',
  describe: 'Memory that weights, adapter and caches will take; activations and scratch are not in it',
  builder: (parser) =>
    commonOptions(parser)
      .option('model', {
        type: 'string',
        demandOption: true,
        requiresArg: true,
        describe: 'Model folder or GGUF file',
      })
      .option('dtype', dtypeOption)
      .option('training', { type: 'boolean', default: false, describe: 'With what a backward pass needs' })
      .option('rank', {
        type: 'number',
        default: 0,
        describe: 'Rank of an adapter in training on all linears',
      })
      .option('rows', { type: 'number', default: 1, describe: 'Sequences decoded together' })
      .option('tokens', { type: 'number', default: 0, describe: 'Tokens of each, prompt and completion' })
      .option('shared', { type: 'number', default: 0, describe: 'Tokens of them that all rows share' }),
  handler: (args: ArgumentsCamelCase<MemoryArguments>) => {
    const model = modelFolder(args.model)
    const matrices = modelTensors(model).filter(({ shape }) => shape.length === 2)
    const asStored = matrices.every(({ dtype }) => dtype === 'BF16') ? 'bf16' : 'fp32'
    const dtype = args.dtype === 'auto' ? asStored : args.dtype
    const { training, rank, rows, tokens, shared } = args
    const plan = planMemory({
      config: readModelConfig(model),
      dtype,
      training: training || rank > 0,
      rank,
      rows,
      tokens,
      shared,
    })
    if (args.json) return printJson({ dtype, bytes: plan })
    const mebibytes = Object.entries(plan).map(([name, bytes]): [string, unknown] => [
      name,
      `${(bytes / 2 ** 20).toFixed(name === 'cache_per_token' ? 4 : 1)} MiB`,
    ])
    print([['dtype', dtype], ...mebibytes])
  },
}

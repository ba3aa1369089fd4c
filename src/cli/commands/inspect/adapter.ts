/** inspect adapter: rank, scale, adapted modules and stored types of a PEFT folder, checked against its base model. */

import path from 'node:path'
import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import { inspectSafetensors, readAdapterConfig, readModelConfig } from '../../../engine/index.js'
import { type CommonArguments, commonOptions, namedModel } from '../../options.js'
import { printJson } from '../../running.js'
import { byType, print, valuesOf } from './model.js'

interface AdapterArguments extends CommonArguments {
  readonly model: string
  readonly adapter: string
}

export const adapterCommand: CommandModule<object, AdapterArguments> = {
  command: 'adapter',
  describe: 'Rank, scale, adapted modules, stored types',
  builder: (parser) =>
    commonOptions(parser)
      .option('adapter', {
        type: 'string',
        demandOption: true,
        requiresArg: true,
        describe: 'PEFT adapter folder',
      })
      .option('model', {
        type: 'string',
        demandOption: true,
        requiresArg: true,
        describe: 'Its base model: folder or GGUF file',
      }),
  handler: (args: ArgumentsCamelCase<AdapterArguments>) => {
    const { layers } = readModelConfig(namedModel(args.model))
    const { modules, ...config } = readAdapterConfig(args.adapter, layers)
    const tensors = inspectSafetensors(path.join(args.adapter, 'adapter_model.safetensors'))
    const parameters = tensors.reduce((sum, tensor) => sum + valuesOf(tensor), 0)
    const facts = { adapter: path.resolve(args.adapter), ...config, parameters, dtypes: byType(tensors) }
    if (args.json) return printJson({ ...facts, modules, tensors })
    print([
      ...Object.entries(facts),
      ...modules.map(({ layer, linear, rank, alpha }): [string, unknown] => [
        `layer ${layer} ${linear}`,
        `rank ${rank}, alpha ${alpha}`,
      ]),
    ])
  },
}

/** inspect model: architecture, parameters, stored types and tensors, from the headers of the files alone. */

import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import { isGgufPath, modelTensors, type NativeTensorFacts, readModelConfig } from '../../../engine/index.js'
import { type CommonArguments, commonOptions, namedModel } from '../../options.js'
import { printJson } from '../../running.js'

interface ModelArguments extends CommonArguments {
  readonly model: string
  readonly tensors: boolean
}

export const modelCommand: CommandModule<object, ModelArguments> = {
  command: 'model',
  describe: 'Architecture, parameters, stored types, tensors',
  builder: (parser) =>
    commonOptions(parser)
      .option('model', {
        type: 'string',
        demandOption: true,
        requiresArg: true,
        describe: 'Model folder or GGUF file',
      })
      .option('tensors', { type: 'boolean', default: false, describe: 'List every tensor' }),
  handler: (args: ArgumentsCamelCase<ModelArguments>) => {
    const model = namedModel(args.model)
    const config = readModelConfig(model)
    const tensors = modelTensors(model)
    const facts = {
      model,
      format: isGgufPath(model) ? 'gguf' : 'safetensors',
      architecture: config,
      parameters: tensors.reduce((sum, tensor) => sum + valuesOf(tensor), 0),
      dtypes: byType(tensors),
    }
    if (args.json) return printJson({ ...facts, tensors })
    const { architecture, dtypes, ...plain } = facts
    print([
      ...Object.entries(plain),
      ...Object.entries(architecture),
      ...Object.entries(dtypes).map(([name, { tensors: count, parameters }]): [string, unknown] => [
        name,
        `${count} tensors, ${parameters} values`,
      ]),
      ...(args.tensors
        ? tensors.map(({ name, dtype, shape }) => [name, `${dtype} [${shape}]`] as const)
        : []),
    ])
  },
}

export function valuesOf({ shape }: NativeTensorFacts): number {
  return shape.reduce((product, extent) => product * extent, 1)
}

export function byType(
  tensors: readonly NativeTensorFacts[],
): Record<string, { tensors: number; parameters: number }> {
  const found: Record<string, { tensors: number; parameters: number }> = {}
  for (const tensor of tensors) {
    const before = found[tensor.dtype] ?? { tensors: 0, parameters: 0 }
    found[tensor.dtype] = {
      tensors: before.tensors + 1,
      parameters: before.parameters + valuesOf(tensor),
    }
  }
  return found
}

export function print(lines: readonly (readonly [string, unknown])[]): void {
  for (const [name, value] of lines)
    process.stdout.write(`${name}\t${typeof value === 'string' ? value : JSON.stringify(value)}\n`)
}

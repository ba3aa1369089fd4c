/**
 * describe: every key of a preset (with --set and --config on top, if given): value, default, unit, range, what changing
 * it does, its symbol, and what the paper says about it. Keys a paper says nothing about were chosen in this project.
 */

import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import { type DescribedKey, describedKeys } from '../../config/describe.js'
import { ReasonrecError } from '../../engine/errors.js'
import { statedOf } from '../../methods/registry.js'
import { wrapped } from '../../report/terminal-text.js'
import { configOf, type RunArguments, runOptions } from '../options.js'
import { printJson } from '../running.js'

interface DescribeArguments extends RunArguments {
  readonly name: string
  readonly changed: boolean
  readonly keys?: string | undefined
}

export const describeCommand: CommandModule<object, DescribeArguments> = {
  command: 'describe <name>',
  describe: 'Every value of a preset with unit, range, consequence and what the paper says',
  builder: (parser) =>
    runOptions(parser.positional('name', { type: 'string', demandOption: true, describe: 'A preset' }))
      .option('changed', { type: 'boolean', default: false, describe: 'Only what the preset sets itself' })
      .option('keys', {
        type: 'string',
        requiresArg: true,
        describe: 'Only keys that begin so, such as rl.kl',
      })
      .example('$0 describe re2-quickstart --changed', '')
      .example('$0 describe re2 --keys rl.reward', ''),
  handler: (args: ArgumentsCamelCase<DescribeArguments>) => {
    const { config } = configOf({ ...args, preset: args.name })
    const wanted = describedKeys(config, statedOf(config)).filter(
      ({ path, from }) =>
        (!args.changed || from === 'preset') && (args.keys === undefined || path.startsWith(args.keys)),
    )
    if (wanted.length === 0)
      throw new ReasonrecError('RR_USAGE', 'no key is left to describe', {
        got: args.keys ?? args.name,
        remedy: 'leave --keys or --changed out',
      })
    if (args.json) printJson({ schema: 1, preset: args.name, method: config.method, keys: wanted })
    else process.stdout.write(`${wanted.map(described).join('\n')}\n`)
  },
}

function described(one: DescribedKey): string {
  const { path, value, from, default: plain, unit, range, symbol, consequence, stated } = one
  const facts = [
    from === 'default' ? 'default' : plain === undefined ? 'set here' : `default ${JSON.stringify(plain)}`,
    range,
    ...(unit ? [unit] : []),
    ...(symbol ? [`symbol ${symbol}`] : []),
  ]
  const lines = [`${path}: ${JSON.stringify(value)}  (${facts.join('; ')})`, wrapped(consequence, 4)]
  return [...lines, ...(stated ? [wrapped(`paper: ${stated}`, 4)] : [])].join('\n')
}

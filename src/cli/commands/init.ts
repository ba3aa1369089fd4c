/**
 * init: a configuration file to start from: a preset's every key with its consequence as a comment, and the JSON schema
 * beside it, which editors that know the comment of the first line complete and check against. Overwrites nothing.
 */

import { existsSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import { configYaml } from '../../config/load.js'
import { configJsonSchema } from '../../config/schema.js'
import { ReasonrecError } from '../../engine/errors.js'
import { configOf, type RunArguments, runOptions } from '../options.js'
import { printJson } from '../running.js'

interface InitArguments extends RunArguments {
  readonly file: string
}

export const initCommand: CommandModule<object, InitArguments> = {
  command: 'init [file]',
  describe: 'Write a configuration file with every key explained, and its schema',
  builder: (parser) =>
    runOptions(
      parser.positional('file', {
        type: 'string',
        default: 'reasonrec.yaml',
        describe: 'The YAML file to write',
      }),
    ).example(
      '$0 init mine.yaml --preset re2 --model DIR --data DIR',
      'then: reasonrec run --config mine.yaml',
    ),
  handler: (args: ArgumentsCamelCase<InitArguments>) => {
    const preset = args.preset ?? 're2'
    const { config } = configOf({ ...args, preset })
    const file = resolve(args.file)
    const schema = join(dirname(file), 'reasonrec.schema.json')
    if (existsSync(file))
      throw new ReasonrecError('RR_OUTPUT_NOT_EMPTY', `${file} is already there`, {
        remedy: 'name another file, or move this one away',
      })
    const head = [
      `# yaml-language-server: $schema=./${basename(schema)}`,
      `# Written by: reasonrec init --preset ${preset}. Run it with: reasonrec run --config ${basename(file)} --out DIR`,
    ]
    writeFileSync(schema, `${JSON.stringify(configJsonSchema(), null, 1)}\n`)
    writeFileSync(file, `${head.join('\n')}\n${configYaml(config)}`, { flag: 'wx' })
    if (args.json) printJson({ schema: 1, file, json_schema: schema, preset })
    else process.stdout.write(`${file}\n${schema}\n`)
  },
}

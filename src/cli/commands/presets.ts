/** presets: the named settings, one per paper and size, and what each is for. */

import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import { presetSummary } from '../../config/describe.js'
import { loadConfig } from '../../config/load.js'
import { presetFile, presetNames } from '../../methods/registry.js'
import { wrapped } from '../../report/terminal-text.js'
import { type CommonArguments, commonOptions } from '../options.js'
import { printJson } from '../running.js'

export const presetsCommand: CommandModule<object, CommonArguments> = {
  command: 'presets',
  describe: 'Named settings, and what each is for',
  builder: (parser) => commonOptions(parser),
  handler: ({ json }: ArgumentsCamelCase<CommonArguments>) => {
    const presets = presetNames.map((name) => {
      const file = presetFile(name)
      const { config } = loadConfig({ preset: file, file: null, set: [], options: {} })
      return { name, method: config.method, what: presetSummary(file) }
    })
    if (json) return printJson({ schema: 1, presets })
    for (const { name, what } of presets) process.stdout.write(`${name}\n${wrapped(what, 2)}\n`)
    process.stdout.write(
      '\nreasonrec describe PRESET says every value; reasonrec init --preset PRESET writes it.\n',
    )
  },
}

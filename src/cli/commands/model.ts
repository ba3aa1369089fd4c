/** model: get a model from a hub into the shared cache, list the cache, check a folder. */

import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import { bytesToCheck, checkModel } from '../../hub/check.js'
import { hubOptions } from '../../hub/hub-fetch.js'
import { pull } from '../../hub/pull.js'
import { cachedModels, cacheFolder, modelFolder, requireRepository } from '../../hub/repository.js'
import { isInterruption, watchInterrupts } from '../../phases/run/interrupt.js'
import { terminalLine } from '../../report/terminal-text.js'
import { byteProgress } from '../download-progress.js'
import { type CommonArguments, commonOptions } from '../options.js'
import { note, printJson, Stopped } from '../running.js'

interface PullArguments extends CommonArguments {
  readonly name: string
  readonly offline: boolean
}

interface CheckArguments extends CommonArguments {
  readonly dir: string
}

const pullCommand: CommandModule<object, PullArguments> = {
  command: 'pull <name>',
  describe: 'Load ORG/NAME or ORG/NAME@REVISION into the Hugging Face cache; an interrupted load goes on',
  builder: (parser) =>
    commonOptions(parser)
      .positional('name', { type: 'string', demandOption: true, describe: 'ORG/NAME[@REVISION]' })
      .option('offline', {
        type: 'boolean',
        default: /^(1|true|on|yes)$/i.test(process.env.HF_HUB_OFFLINE ?? ''),
        describe: 'Ask nobody; succeed if the model is in the cache',
      }),
  handler: async (args: ArgumentsCamelCase<PullArguments>) => {
    const repository = requireRepository(args.name)
    const signals = watchInterrupts(() => undefined)
    const shown = byteProgress()
    const progress = {
      start: (file: string, index: number, count: number, _bytes: number, total: number) =>
        shown.start(`${index + 1}/${count} ${file}`, total),
      received: (bytes: number) => shown.received(bytes),
    }
    try {
      const options = { ...hubOptions(process.env, signals.signal), offline: args.offline }
      const pulled = await pull(repository, options, progress)
      shown.end()
      if (args.json) printJson({ schema: 1, ...pulled })
      else process.stdout.write(`${pulled.dir}\n`)
    } catch (error) {
      shown.end()
      if (!isInterruption(error, signals.signal)) throw error
      throw new Stopped(`interrupted; run it again and it goes on`, signals.signal.reason?.exitStatus ?? 130)
    } finally {
      signals.stop()
    }
  },
}

const listCommand: CommandModule<object, CommonArguments> = {
  command: 'list',
  describe: 'Models in the Hugging Face cache',
  builder: (parser) => commonOptions(parser),
  handler: (args) => {
    const models = cachedModels()
    if (args.json) return printJson({ schema: 1, cache: cacheFolder(), models })
    if (models.length === 0) note(`no models in ${cacheFolder()}`)
    for (const { name, revision, bytes, dir } of models)
      process.stdout.write(
        `${terminalLine(name)}\t${terminalLine(revision)}\t${(bytes / 1e6).toFixed(1)} MB\t${terminalLine(dir)}\n`,
      )
  },
}

const checkCommand: CommandModule<object, CheckArguments> = {
  command: 'check <dir>',
  describe: 'Is a model folder whole? Tensors, shapes, finite values, checksums',
  builder: (parser) =>
    commonOptions(parser).positional('dir', {
      type: 'string',
      demandOption: true,
      describe: 'Model folder, or ORG/NAME of the cache',
    }),
  handler: async (args: ArgumentsCamelCase<CheckArguments>) => {
    const dir = modelFolder(args.dir)
    const shown = byteProgress()
    shown.start('reading', bytesToCheck(dir))
    const result = await checkModel(dir, (bytes) => shown.received(bytes)).finally(() => shown.end())
    if (!result.ok) process.exitCode = 10
    if (args.json) return printJson({ schema: 1, ...result })
    for (const problem of result.problems) process.stdout.write(`problem\t${terminalLine(problem)}\n`)
    for (const { name, bytes, sha256, checksum } of result.files)
      process.stdout.write(`${terminalLine(name)}\t${bytes} bytes\t${sha256}\t${checksum}\n`)
    const verdict = result.ok ? 'whole' : `${result.problems.length} problems`
    process.stdout.write(`${verdict}\t${result.tensors} tensors, ${result.parameters} parameters\n`)
  },
}

export const modelCommand: CommandModule = {
  command: 'model <what>',
  describe: 'Get, list and check models',
  builder: (parser) =>
    parser
      .command(pullCommand)
      .command(listCommand)
      .command(checkCommand)
      .demandCommand(1, 'say what to do: pull, list or check'),
  handler: () => {},
}

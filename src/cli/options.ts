/** Options that every verb takes, and how they become layers of the configuration. */

import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Argv } from 'yargs'
import { type ConfigSources, type LoadedConfig, loadConfig } from '../config/load.js'
import { type TiePolicy, tiePolicies } from '../data/raw.js'
import { ReasonrecError } from '../engine/index.js'
import { modelFolder } from '../hub/repository.js'
import { presetFile } from '../methods/registry.js'
import { embedded, embeddedModelFolder } from '../quickstart/embedded.js'

export interface CommonArguments {
  readonly json: boolean
  readonly seed?: number | undefined
  readonly threads?: number | undefined
  readonly device: string
  readonly config?: string | undefined
  readonly set?: readonly string[] | undefined
  readonly out?: string | undefined
}

export interface RunArguments extends CommonArguments {
  readonly preset?: string | undefined
  readonly model?: string | undefined
  readonly data?: string | undefined
  readonly ties?: TiePolicy | undefined
  readonly reward?: readonly string[] | undefined
}

export function commonOptions<T>(parser: Argv<T>) {
  return parser
    .option('json', {
      type: 'boolean',
      default: false,
      describe: 'One JSON object last on stdout; everything else goes to stderr',
    })
    .option('seed', { type: 'number', describe: 'Seed of everything random' })
    .option('threads', {
      type: 'number',
      describe: 'CPU threads (0: all cores); results do not depend on it',
    })
    .option('device', {
      choices: ['auto', 'cpu', 'cuda'] as const,
      default: 'auto' as const,
      describe: 'Where to compute',
    })
    .option('config', { type: 'string', requiresArg: true, describe: 'YAML file with configuration keys' })
    .option('set', {
      type: 'string',
      array: true,
      requiresArg: true,
      nargs: 1,
      describe: 'One key: --set rl.steps=30 (repeatable)',
    })
    .option('out', { type: 'string', requiresArg: true, describe: 'Folder of the run' })
}

export function runOptions<T>(parser: Argv<T>) {
  return commonOptions(parser)
    .option('preset', {
      type: 'string',
      requiresArg: true,
      describe: 'Named settings: re2 or r2rec, each also with -small-cpu and -quickstart',
      // `npm run quickstart` names one itself; the last one named counts.
      coerce: (given: string | readonly string[]): string =>
        typeof given === 'string' ? given : (given.at(-1) ?? ''),
    })
    .option('model', {
      type: 'string',
      requiresArg: true,
      describe: 'Hugging Face model folder, a GGUF file, ORG/NAME of the cache, or embedded',
    })
    .option('data', {
      type: 'string',
      requiresArg: true,
      describe: 'Folder with interactions and items, or embedded',
    })
    .option('ties', {
      choices: tiePolicies,
      describe: 'Interactions of a user with equal times (data.ties): order of the file, drawn, or refused',
    })
    .option('reward', {
      type: 'string',
      array: true,
      requiresArg: true,
      nargs: 1,
      describe: 'File with a reward term of your own, .mjs, .js or .ts (repeatable)',
    })
}

/** The folder of a model as the command line names it: a path, ORG/NAME of the cache, or embedded. */
export function namedModel(name: string): string {
  return name === embedded ? embeddedModelFolder() : modelFolder(name)
}

/** Of verbs that open a model without a configuration. */
export const dtypeOption = {
  choices: ['auto', 'fp32', 'bf16'] as const,
  default: 'auto' as const,
  describe: 'How weights are held; auto: bf16 where they are stored so, else fp32',
}

/** Of the same verbs. */
export const computeOption = {
  choices: ['fp32', 'bf16'] as const,
  default: 'fp32' as const,
  describe: 'How products are computed; bf16 rounds both sides and holds weights in bf16',
}

export function configOf(args: RunArguments): LoadedConfig {
  requireDevice(args.device)
  return loadConfig(sourcesOf(args))
}

/** Does this call say anything about the configuration? */
export function namesConfig(args: RunArguments): boolean {
  const { preset, file, set, options } = sourcesOf(args)
  return preset !== null || file !== null || set.length > 0 || Object.keys(options).length > 0
}

function sourcesOf(args: RunArguments): ConfigSources {
  return {
    preset: args.preset === undefined ? null : presetFile(args.preset),
    file: args.config ?? null,
    set: args.set ?? [],
    options: {
      ...(args.model !== undefined && {
        'model.dir': args.model === embedded ? embedded : modelFolder(args.model),
      }),
      ...(args.data !== undefined && { 'data.dir': args.data === embedded ? embedded : resolve(args.data) }),
      ...(args.ties !== undefined && { 'data.ties': args.ties }),
      ...(args.reward !== undefined && { 'rl.reward.user': args.reward.map((file) => resolve(file)) }),
      ...(args.seed !== undefined && { seed: args.seed }),
      ...(args.threads !== undefined && { 'model.threads': args.threads }),
    },
  }
}

export function requireDevice(device: string): void {
  if (device !== 'cuda') return
  throw new ReasonrecError('RR_DEVICE_UNAVAILABLE', 'no CUDA backend is built in', {
    expected: 'auto or cpu',
    got: 'cuda',
    remedy: 'leave --device out',
  })
}

/** Where a run goes that is given no folder: runs/<preset>, or the first free of runs/<preset>-2, -3, ... */
export function freeRunFolder(preset: string): string {
  for (let number = 1; ; number++) {
    const folder = resolve(join('runs', number === 1 ? preset : `${preset}-${number}`))
    if (!existsSync(folder)) return folder
  }
}

export function requireOut(out: string | undefined): string {
  if (out !== undefined && out !== '') return resolve(out)
  throw new ReasonrecError('RR_USAGE_MISSING', 'no output folder is given', { remedy: 'give --out DIR' })
}

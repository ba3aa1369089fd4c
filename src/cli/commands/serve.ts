/** serve: a model over the OpenAI protocol, on this machine unless told otherwise; until a signal, then drained. */

import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import { serve } from '../../config/sections/serve.js'
import { ReasonrecError, setThreads } from '../../engine/index.js'
import { watchInterrupts } from '../../phases/run/interrupt.js'
import { ServedModel } from '../../serve/served-model.js'
import { isLoopback, ModelServer } from '../../serve/server.js'
import { type CommonArguments, commonOptions, dtypeOption, namedModel, requireDevice } from '../options.js'
import { note, printJson, stoppedBy } from '../running.js'

interface ServeArguments extends CommonArguments {
  readonly model: string
  readonly adapter?: string | undefined
  readonly dtype: 'auto' | 'fp32' | 'bf16'
  readonly name?: string | undefined
  readonly host: string
  readonly port: number
  readonly rows: number
  readonly queue: number
  readonly 'max-tokens': number
  readonly body: number
  readonly drain: number
  readonly 'api-key-env'?: string | undefined
}

const defaults = serve.parse({})
const about = (key: keyof typeof serve.shape): string => serve.shape[key].meta()?.description ?? ''

export const serveCommand: CommandModule<object, ServeArguments> = {
  command: 'serve',
  describe: 'A model over the OpenAI protocol, on this machine',
  builder: (parser) =>
    commonOptions(parser)
      .option('model', {
        type: 'string',
        demandOption: true,
        requiresArg: true,
        describe: 'Hugging Face model folder, a GGUF file, or ORG/NAME of the cache',
      })
      .option('adapter', { type: 'string', requiresArg: true, describe: 'PEFT adapter folder' })
      .option('dtype', dtypeOption)
      .option('name', {
        type: 'string',
        requiresArg: true,
        describe: 'What requests call the model (the names of its folders)',
      })
      .option('host', { type: 'string', requiresArg: true, default: defaults.host, describe: about('host') })
      .option('port', { type: 'number', default: defaults.port, describe: about('port') })
      .option('rows', { type: 'number', default: defaults.rows, describe: about('rows') })
      .option('queue', { type: 'number', default: defaults.queue, describe: about('queue') })
      .option('max-tokens', {
        type: 'number',
        default: defaults.max_tokens,
        describe: about('max_tokens'),
      })
      .option('body', { type: 'number', default: defaults.body, describe: about('body') })
      .option('drain', { type: 'number', default: defaults.drain, describe: about('drain') })
      .option('api-key-env', {
        type: 'string',
        requiresArg: true,
        describe: 'Environment variable with the key that clients must show',
      })
      .example('$0 serve --model DIR --adapter RUN/adapter', ''),
  handler: async (args: ArgumentsCamelCase<ServeArguments>) => {
    requireDevice(args.device)
    const settings = settingsOf(args)
    const key = keyOf(args['api-key-env'], args.host)
    if (args.threads !== undefined && args.threads > 0) await setThreads(args.threads)
    const signals = watchInterrupts((name) =>
      note(`${name}: no new requests; those under way may end; once more to leave at once`),
    )
    try {
      const model = await ServedModel.open({
        model: namedModel(args.model),
        adapter: args.adapter ?? null,
        dtype: args.dtype,
        name: args.name ?? null,
        rows: settings.rows,
        maxTokens: settings.max_tokens,
      })
      const onError = (error: unknown): void => note(`${(error as Error)?.stack ?? error}`)
      const server = await listen(model, { ...settings, key, onError })
      if (args.json) printJson({ schema: 1, url: server.url, model: model.id })
      else process.stdout.write(`model    ${model.id}\nlisten   ${server.url}\n`)
      await interrupted(signals.signal)
      await server.drain(1_000 * settings.drain)
      throw stoppedBy(signals.signal, 'every request was answered or told')
    } finally {
      signals.stop()
    }
  },
}

function settingsOf(args: ServeArguments) {
  const { host, port, rows, queue, 'max-tokens': max_tokens, body, drain } = args
  const result = serve.safeParse({ host, port, rows, queue, max_tokens, body, drain })
  if (result.success) return result.data
  const [issue] = result.error.issues
  throw new ReasonrecError(
    'RR_USAGE_SERVE',
    `--${String(issue?.path[0]).replaceAll('_', '-')} is out of range`,
    {
      expected: issue?.message ?? 'another value',
      remedy: 'see reasonrec serve --help',
    },
  )
}

function keyOf(variable: string | undefined, host: string): string | null {
  if (variable === undefined) {
    if (isLoopback(host)) return null
    throw new ReasonrecError('RR_USAGE_SERVE', 'a server that others can reach needs a key', {
      expected: '--api-key-env NAME beside --host',
      got: `--host ${host} alone`,
      remedy: 'put a key into an environment variable and name it',
    })
  }
  const key = process.env[variable]
  if (key !== undefined && key !== '') return key
  throw new ReasonrecError('RR_USAGE_SERVE', `the environment variable ${variable} holds no key`, {
    remedy: 'set it, or leave --api-key-env out',
  })
}

async function listen(
  model: ServedModel,
  options: Parameters<typeof ModelServer.listen>[1],
): Promise<ModelServer> {
  try {
    return await ModelServer.listen(model, options)
  } catch (error) {
    await model.close()
    const { code, message } = error as NodeJS.ErrnoException
    throw new ReasonrecError(
      'RR_USAGE_SERVE',
      `cannot listen on ${options.host}:${options.port}`,
      { got: code ?? message, remedy: 'choose another --port (0: a free one) or --host' },
      { cause: error },
    )
  }
}

function interrupted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

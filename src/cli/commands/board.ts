/** board: a read-only page on this machine with the curves of the runs under a folder, until a signal. */

import { existsSync } from 'node:fs'
import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import { openBoard } from '../../board/board.js'
import { ReasonrecError } from '../../engine/errors.js'
import { watchInterrupts } from '../../phases/run/interrupt.js'
import { type CommonArguments, commonOptions } from '../options.js'
import { note, printJson } from '../running.js'

interface BoardArguments extends CommonArguments {
  readonly folder: string
  readonly port: number
}

export const boardCommand: CommandModule<object, BoardArguments> = {
  command: 'board [folder]',
  describe: 'A page on this machine with the curves of the runs in a folder, live',
  builder: (parser) =>
    commonOptions(
      parser.positional('folder', { type: 'string', default: 'runs', describe: 'Folder that holds runs' }),
    ).option('port', { type: 'number', default: 0, describe: 'Port on 127.0.0.1 (0: a free one)' }),
  handler: async (args: ArgumentsCamelCase<BoardArguments>) => {
    if (!existsSync(args.folder))
      throw new ReasonrecError('RR_DATA_NO_RUN', `there is no folder ${args.folder}`, {
        expected: 'a folder with runs in it',
        remedy: 'give the folder that holds the runs',
      })
    const signals = watchInterrupts(() => note('the board closes'))
    try {
      const board = await opened(args.folder, args.port)
      if (args.json) printJson({ schema: 1, url: board.url })
      else process.stdout.write(`open     ${board.url}\n`)
      await new Promise<void>((done) => {
        if (signals.signal.aborted) done()
        else signals.signal.addEventListener('abort', () => done(), { once: true })
      })
      await board.close()
    } finally {
      signals.stop()
    }
  },
}

async function opened(folder: string, port: number) {
  try {
    return await openBoard(folder, port)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw new ReasonrecError(
      'RR_USAGE_SERVE',
      `cannot listen on 127.0.0.1:${port}`,
      { got: code ?? message, remedy: 'choose another --port (0: a free one)' },
      { cause: error },
    )
  }
}

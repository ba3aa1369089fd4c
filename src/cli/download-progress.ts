/** Bytes coming in, on stderr: a bar with rate and time left on a terminal, a line every few seconds elsewhere. */

import cliProgress from 'cli-progress'
import { terminalLine } from '../report/terminal-text.js'

export interface ByteProgress {
  start(label: string, total: number): void
  /** More bytes; fewer where a file begins anew. */
  received(bytes: number): void
  end(): void
}

const lineInterval = 5_000 // milliseconds

export function byteProgress(stream: NodeJS.WriteStream = process.stderr): ByteProgress {
  let bar: cliProgress.SingleBar | null = null
  let label = ''
  let done = 0
  const megabytes = (bytes: number): number => Math.round(bytes / 1e5) / 10
  return {
    start(text, total) {
      label = terminalLine(text)
      if (bar) return
      bar = new cliProgress.SingleBar(
        {
          stream,
          format: '{bar} {percentage} % of {total} MB · {eta_formatted} left · {file}',
          barsize: 20,
          etaBuffer: 200,
          noTTYOutput: true,
          notTTYSchedule: lineInterval,
          gracefulExit: false,
          linewrap: true,
        },
        cliProgress.Presets.rect,
      )
      bar.start(megabytes(total), 0, { file: label })
    },
    received(bytes) {
      done += bytes
      bar?.update(megabytes(done), { file: label })
    },
    end() {
      bar?.stop()
      bar = null
    },
  }
}

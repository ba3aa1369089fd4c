/**
 * Lines of a text file, packed or not, in constant memory: split at \n alone (titles may hold other line-breaking
 * characters), a \r before it and a byte-order mark removed. Each error names file and line. A line that is not UTF-8 is
 * refused, read as Latin-1 (`either`), or shown with replacement characters and counted (`lossy`).
 */

import { isUtf8 } from 'node:buffer'
import { createReadStream } from 'node:fs'
import { PassThrough, pipeline } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { ReasonrecError } from '../../engine/errors.js'

export type Encoding = 'utf-8' | 'latin-1' | 'either' | 'lossy'

export interface LineOptions {
  readonly encoding?: Encoding
  /** Told about bytes of the file as they are read, packed as they lie on the disk. */
  readonly onBytes?: ((bytes: number) => void) | undefined
}

export interface LinesRead {
  readonly lines: number
  /** Lines that held bytes which are no UTF-8 and were replaced (`lossy`) or read as Latin-1 (`either`). */
  readonly recoded: number
}

const newline = 0x0a
const longestLine = 256 * 1024 * 1024 // bytes

export function malformedLine(path: string, line: number, expected: string, got: string): ReasonrecError {
  return new ReasonrecError('RR_DATA_MALFORMED', `${path}:${line}: a row that cannot be read`, {
    expected,
    got: got.slice(0, 80) || 'nothing',
    remedy: 'correct or remove the row; download the file again if it should be sound',
    file: path,
    line,
  })
}

/** A row that cannot be read in a last line without its end: the file was cut there. */
export function cutShort(error: ReasonrecError): ReasonrecError {
  const { expected = 'a whole row', got = 'a part of one', file, line } = error.details
  return new ReasonrecError('RR_DATA_TRUNCATED', `${file}:${line}: the file ends in the middle of a row`, {
    expected,
    got,
    remedy: 'copy or download the file again',
    file,
    line,
  })
}

/** Unpacked bytes of a file; an error of gzip is named. */
export async function* bytesOf(path: string, onBytes?: (bytes: number) => void): AsyncGenerator<Buffer> {
  const file = createReadStream(path)
  const unpack = path.endsWith('.gz') ? createGunzip() : new PassThrough()
  let [bytes, told] = [0, 0]
  try {
    // Hands an error of either stream to this loop, and closes both when the loop is left.
    for await (const chunk of pipeline(file, unpack, () => {}) as AsyncIterable<Buffer>) {
      bytes += chunk.length
      onBytes?.(file.bytesRead - told)
      told = file.bytesRead
      yield chunk
    }
  } catch (error) {
    throw gzipError(path, error as NodeJS.ErrnoException, bytes)
  }
}

function gzipError(path: string, error: NodeJS.ErrnoException, bytes: number): unknown {
  const remedy = 'copy or download it again'
  if (error.code === 'Z_BUF_ERROR')
    return new ReasonrecError('RR_DATA_TRUNCATED', `${path}: this gzip file is cut short`, {
      expected: 'a whole gzip file',
      got: `an end after ${bytes} unpacked bytes`,
      remedy,
      file: path,
    })
  if (!error.code?.startsWith('Z_')) return error
  return new ReasonrecError('RR_DATA_MALFORMED', `${path}: this gzip file is damaged`, {
    expected: 'a sound gzip file',
    got: error.message,
    remedy,
    file: path,
  })
}

/** Calls `visit` for every line that is not empty; `false` ends the reading. */
export async function eachLine(
  path: string,
  { encoding = 'utf-8', onBytes }: LineOptions,
  visit: (text: string, line: number) => unknown,
): Promise<LinesRead> {
  let [line, recoded] = [0, 0]
  let rest: Buffer[] = []
  let waiting = 0
  const take = (block: Buffer): boolean => {
    const whole = encoding === 'latin-1' || isUtf8(block)
    const text = whole ? block.toString(encoding === 'latin-1' ? 'latin1' : 'utf8') : null
    for (let start = 0, end = 0; start < (text ?? block).length; start = end + 1) {
      end = text === null ? block.indexOf(newline, start) : text.indexOf('\n', start)
      if (end < 0) end = (text ?? block).length
      line++
      let own = text === null ? null : text.slice(start, end)
      if (own === null) {
        const bytes = block.subarray(start, end)
        if (!isUtf8(bytes)) {
          if (encoding === 'utf-8') throw notUtf8(path, line)
          recoded++
          own = bytes.toString(encoding === 'either' ? 'latin1' : 'utf8')
        } else own = bytes.toString('utf8')
      }
      if (line === 1) own = own.replace(/^\uFEFF/, '')
      if (own.endsWith('\r')) own = own.slice(0, -1)
      if (own !== '' && visit(own, line) === false) return false
    }
    return true
  }
  for await (const chunk of bytesOf(path, onBytes)) {
    const end = chunk.lastIndexOf(newline) + 1
    rest.push(end > 0 ? chunk.subarray(0, end) : chunk)
    waiting += chunk.length
    if (end > 0) {
      if (!take(rest.length === 1 ? (rest[0] as Buffer) : Buffer.concat(rest)))
        return { lines: line, recoded }
      rest = end < chunk.length ? [Buffer.from(chunk.subarray(end))] : []
      waiting = chunk.length - end
    }
    if (waiting > longestLine) throw malformedLine(path, line + 1, 'lines', `no line end in ${waiting} bytes`)
  }
  try {
    if (waiting > 0) take(Buffer.concat(rest))
  } catch (error) {
    throw error instanceof ReasonrecError && error.code === 'RR_DATA_MALFORMED' ? cutShort(error) : error
  }
  return { lines: line, recoded }
}

export function notUtf8(path: string, line: number): ReasonrecError {
  return new ReasonrecError('RR_DATA_ENCODING', `${path}:${line}: this line is not UTF-8`, {
    expected: 'text in UTF-8',
    got: 'bytes of another encoding, often Latin-1',
    remedy: 'give data import --encoding latin-1, or convert it: iconv -f latin1 -t utf-8 IN > OUT',
    file: path,
    line,
  })
}

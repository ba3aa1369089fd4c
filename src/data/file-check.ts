/**
 * Reads a text file once before it is parsed and names what is wrong with it as a whole: missing, empty,
 * a Git LFS pointer, a web page, a gzip cut short, binary, not UTF-8. A CSV reader would find rows in some
 * of these (a gzip cut in the middle of a row is read without complaint). Constant memory.
 */

import { isUtf8 } from 'node:buffer'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { PassThrough, pipeline } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { ReasonrecError } from '../engine/errors.js'

/** First bytes kept for the header line and for telling what the file is. */
const headBytes = 64 * 1024
const longestLine = 64 * 1024 * 1024
const newline = 0x0a

export interface TextFile {
  readonly path: string
  /** First line without byte-order mark and line end. */
  readonly firstLine: string
}

export async function checkTextFile(path: string): Promise<TextFile> {
  const entry = await stat(path).catch(() => null)
  if (!entry?.isFile())
    throw new ReasonrecError('RR_DATA_NOT_FOUND', `${path} is not there`, {
      expected: 'a file',
      got: entry ? 'something that is not a file' : 'nothing',
      remedy: 'check the path',
    })
  const head = await scan(path)
  refuseWrongKind(path, head)
  const [firstLine = ''] = head.toString('utf8').split('\n', 1)
  return { path, firstLine: firstLine.replace(/^\uFEFF/, '').replace(/\r$/, '') }
}

function malformed(
  path: string,
  line: number,
  what: string,
  expected: string,
  got: string,
  remedy: string,
): ReasonrecError {
  return new ReasonrecError('RR_DATA_MALFORMED', `${path}:${line}: ${what}`, {
    expected,
    got,
    remedy,
    file: path,
    line,
  })
}

function refuseWrongKind(path: string, head: Buffer): void {
  const start = head
    .toString('latin1', 0, 512)
    .replace(/^\xEF\xBB\xBF/, '')
    .trimStart()
  if (start === '')
    throw new ReasonrecError('RR_DATA_EMPTY', `${path} is empty`, {
      expected: 'a header line and rows',
      got: `${head.length} bytes without text`,
      remedy: 'copy or download the file again',
    })
  if (start.startsWith('version https://git-lfs.github.com/spec/'))
    throw malformed(
      path,
      1,
      'this is a Git LFS pointer',
      'the data itself',
      'a pointer of three lines',
      'run `git lfs pull` in its repository',
    )
  if (/^<(!doctype|html|\?xml)/i.test(start))
    throw malformed(
      path,
      1,
      'this is a web page',
      'the data itself',
      start.slice(0, 15),
      'download the file itself, not the page that offers it',
    )
  if (head.subarray(0, 4).toString('latin1') === 'PAR1' || head.includes(0))
    throw malformed(
      path,
      1,
      'this is a binary file',
      'CSV, TSV or JSON lines in UTF-8',
      'bytes that are no text',
      'convert it to CSV',
    )
}

/** Reads the whole file (unpacked where it ends in .gz) and returns its first bytes. */
async function scan(path: string): Promise<Buffer> {
  const head: Buffer[] = []
  let kept = 0
  let line = 1
  // Bytes after the last line end seen: a character may be cut by a chunk's end, a line end never is.
  let rest: Buffer = Buffer.alloc(0)
  const unpack = path.endsWith('.gz') ? createGunzip() : new PassThrough()
  // Hands an error of either stream to the loop below, and closes both when the loop throws.
  const chunks = pipeline(createReadStream(path), unpack, () => {}) as AsyncIterable<Buffer>
  try {
    for await (const chunk of chunks) {
      if (kept < headBytes) {
        const piece = chunk.subarray(0, headBytes - kept)
        head.push(piece)
        kept += piece.length
      }
      const end = chunk.lastIndexOf(newline) + 1
      const whole = Buffer.concat([rest, chunk.subarray(0, end)])
      if (!isUtf8(whole)) throw notUtf8(path, Buffer.concat(head), whole, line)
      for (let at = whole.indexOf(newline); at >= 0; at = whole.indexOf(newline, at + 1)) line++
      rest = end > 0 ? Buffer.from(chunk.subarray(end)) : Buffer.concat([rest, chunk])
      if (rest.length > longestLine)
        throw malformed(
          path,
          line,
          'a line of more than 64 MB',
          'lines',
          'no line end',
          'check that this is a table',
        )
    }
  } catch (error) {
    if (error instanceof ReasonrecError) throw error
    await refuseUnpackable(path, error as NodeJS.ErrnoException, line)
    throw error
  }
  if (!isUtf8(rest)) throw notUtf8(path, Buffer.concat(head), rest, line)
  return Buffer.concat(head)
}

/** Does nothing for an error that is not gzip's. */
async function refuseUnpackable(path: string, error: NodeJS.ErrnoException, line: number): Promise<void> {
  const remedy = 'copy or download it again'
  if (error.code === 'Z_BUF_ERROR')
    throw malformed(
      path,
      line,
      'this gzip file is cut short',
      'a whole gzip file',
      `an end in line ${line}`,
      remedy,
    )
  if (!error.code?.startsWith('Z_')) return
  const start: Buffer[] = []
  for await (const chunk of createReadStream(path, { end: 511 })) start.push(chunk as Buffer)
  const bytes = Buffer.concat(start)
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) refuseWrongKind(path, bytes)
  throw malformed(path, line, 'this gzip file is damaged', 'a sound gzip file', error.message, remedy)
}

/** A page or a binary file is named as such, whatever its encoding. */
function notUtf8(path: string, head: Buffer, bytes: Buffer, firstLine: number): ReasonrecError {
  refuseWrongKind(path, head)
  let line = firstLine
  let start = 0
  for (let end = bytes.indexOf(newline); end >= 0; end = bytes.indexOf(newline, start)) {
    if (!isUtf8(bytes.subarray(start, end))) break
    start = end + 1
    line++
  }
  return malformed(
    path,
    line,
    'this line is not UTF-8',
    'text in UTF-8',
    'bytes of another encoding, often Latin-1',
    'convert it: iconv -f latin1 -t utf-8 IN > OUT',
  )
}

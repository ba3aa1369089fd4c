/**
 * Names what is wrong with a file as a whole, before it is parsed: missing, empty, a Git LFS pointer, a web page, a
 * gzip cut short, a pickle, another binary file, not UTF-8. A CSV reader would find rows in some of these (a gzip cut in
 * the middle of a row is read without complaint). `readHead` looks at the first bytes, `checkTextFile` at all of them;
 * both in constant memory.
 */

import { isUtf8 } from 'node:buffer'
import { stat } from 'node:fs/promises'
import { ReasonrecError } from '../engine/errors.js'
import { bytesOf, malformedLine, notUtf8 } from './importers/lines.js'

/** First bytes kept for the header line and for telling what the file is. */
const headBytes = 64 * 1024
const longestLine = 64 * 1024 * 1024
const newline = 0x0a

export interface TextFile {
  readonly path: string
  /** First line without byte-order mark and line end. */
  readonly firstLine: string
  /** Bytes on the disk. */
  readonly size: number
  readonly lines: number
  /** False where the last line has no line end: a row that cannot be read there was cut. */
  readonly ended: boolean
}

export type FileKind = 'text' | 'parquet' | 'pickle'

/** The file's first unpacked bytes and what they are. @throws what refuses the file as a whole */
export async function readHead(path: string): Promise<{ readonly kind: FileKind; readonly bytes: Buffer }> {
  const entry = await stat(path).catch(() => null)
  if (!entry?.isFile())
    throw new ReasonrecError('RR_DATA_NOT_FOUND', `${path} is not there`, {
      expected: 'a file',
      got: entry ? 'something that is not a file' : 'nothing',
      remedy: 'check the path',
    })
  const bytes = await firstBytes(path)
  if (bytes.subarray(0, 4).toString('latin1') === 'PAR1') return { kind: 'parquet', bytes }
  if (bytes[0] === 0x80 && (bytes[1] ?? 9) <= 5) return { kind: 'pickle', bytes }
  refuseWrongKind(path, bytes)
  return { kind: 'text', bytes }
}

async function firstBytes(path: string): Promise<Buffer> {
  const head: Buffer[] = []
  let kept = 0
  try {
    for await (const chunk of bytesOf(path)) {
      head.push(chunk)
      kept += chunk.length
      if (kept >= headBytes) break
    }
  } catch (error) {
    if (kept === 0) await refusePage(path)
    throw error
  }
  return Buffer.concat(head).subarray(0, headBytes)
}

/** A page saved under the name of a packed file is named as a page. */
async function refusePage(path: string): Promise<void> {
  if (!path.endsWith('.gz')) return
  const { createReadStream } = await import('node:fs')
  const start: Buffer[] = []
  for await (const chunk of createReadStream(path, { end: 511 })) start.push(chunk as Buffer)
  const bytes = Buffer.concat(start)
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) refuseWrongKind(path, bytes)
}

function refused(code: string, path: string, what: string, expected: string, got: string, remedy: string) {
  return new ReasonrecError(code, `${path}:1: ${what}`, { expected, got, remedy, file: path, line: 1 })
}

/** First bytes, as Latin-1, of what people save data in and this program does not read. */
const binaries: readonly (readonly [string, string, string])[] = [
  ['PK\x03\x04', 'a zip archive', 'unpack it'],
  ['\x1f\x8b', 'a gzip file', 'name it .gz'],
  ['BZh', 'a bzip2 file', 'unpack it'],
  ['\xfd7zXZ', 'an xz file', 'unpack it'],
  ['\x28\xb5\x2f\xfd', 'a zstd file', 'unpack it'],
  ['\x89HDF', 'an HDF5 file', 'write it as Parquet or CSV'],
  ['\x93NUMPY', 'a NumPy array', 'write it as Parquet or CSV'],
  ['SQLite format 3', 'an SQLite file', 'write its tables as CSV'],
]

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
      file: path,
    })
  if (start.startsWith('version https://git-lfs.github.com/spec/'))
    throw refused(
      'RR_DATA_LFS_POINTER',
      path,
      'this is a Git LFS pointer',
      'the data itself',
      'a pointer of three lines',
      'run `git lfs pull` in its repository',
    )
  if (/^<(!doctype|html|\?xml)/i.test(start))
    throw refused(
      'RR_DATA_WEB_PAGE',
      path,
      'this is a web page',
      'the data itself',
      start.slice(0, 15),
      'download the file itself, not the page that offers it',
    )
  const known = binaries.find(([magic]) => start.startsWith(magic))
  const [, kind = 'bytes that are no text', remedy = 'convert it to CSV'] = known ?? []
  if (known || head.includes(0))
    throw refused(
      'RR_DATA_BINARY',
      path,
      'this is a binary file',
      'CSV, TSV or JSON lines in UTF-8, or Parquet',
      kind,
      remedy,
    )
}

/** Reads the whole text file (unpacked where it ends in .gz). `latin1` says that other bytes than UTF-8 are welcome. */
export async function checkTextFile(path: string, latin1 = false): Promise<TextFile> {
  const { kind, bytes: head } = await readHead(path)
  if (kind !== 'text')
    throw refused(
      'RR_DATA_BINARY',
      path,
      'this is a binary file',
      'CSV, TSV or JSON lines in UTF-8',
      `a ${kind} file`,
      'convert it to CSV',
    )
  let [lines, last] = [0, newline]
  // Bytes after the last line end seen: a character may be cut by a chunk's end, a line end never is.
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of bytesOf(path)) {
    last = chunk.at(-1) ?? last
    const end = chunk.lastIndexOf(newline) + 1
    const whole = rest.length > 0 ? Buffer.concat([rest, chunk.subarray(0, end)]) : chunk.subarray(0, end)
    if (!latin1 && !isUtf8(whole)) throw notUtf8(path, lines + faultyLine(whole))
    for (let at = whole.indexOf(newline); at >= 0; at = whole.indexOf(newline, at + 1)) lines++
    rest = end > 0 ? Buffer.from(chunk.subarray(end)) : Buffer.concat([rest, chunk])
    if (rest.length > longestLine) throw malformedLine(path, lines + 1, 'lines', 'a line of more than 64 MB')
  }
  if (!latin1 && !isUtf8(rest)) throw notUtf8(path, lines + faultyLine(rest))
  const [firstLine = ''] = head.toString(latin1 ? 'latin1' : 'utf8').split('\n', 1)
  return {
    path,
    firstLine: firstLine.replace(/^\uFEFF/, '').replace(/\r$/, ''),
    size: (await stat(path)).size,
    lines: lines + (last === newline ? 0 : 1),
    ended: last === newline,
  }
}

/** 1-based, of the first line that is not UTF-8. */
function faultyLine(bytes: Buffer): number {
  let [line, start] = [1, 0]
  for (let end = bytes.indexOf(newline); end >= 0; end = bytes.indexOf(newline, start)) {
    if (!isUtf8(bytes.subarray(start, end))) break
    start = end + 1
    line++
  }
  return line
}

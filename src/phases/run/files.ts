/**
 * File operations that survive a crash: durable writes (write, fsync, rename, fsync of the folder) and
 * append-only JSONL whose torn last line is cut when the file is opened.
 */

import { createHash } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  statfsSync,
  truncateSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { dirname, resolve } from 'node:path'
import { ReasonrecError } from '../../engine/errors.js'

export function fsyncPath(path: string): void {
  const handle = openSync(path, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}

/** Replaces `file` in one step: readers see the old content or the new, never a part. */
export function writeDurably(file: string, content: string): void {
  const temporary = `${file}.${process.pid}.tmp`
  try {
    const handle = openSync(temporary, 'w')
    try {
      writeAll(handle, Buffer.from(content, 'utf8'))
      fsyncSync(handle)
    } finally {
      closeSync(handle)
    }
    renameSync(temporary, file)
    fsyncPath(dirname(file))
  } catch (error) {
    if (existsSync(temporary)) unlinkSync(temporary)
    throw writeFailure(file, error)
  }
}

export function writeAll(handle: number, bytes: Buffer): void {
  let written = 0
  while (written < bytes.length) written += writeSync(handle, bytes, written)
}

/** Bytes that can be written to the file system of `path` (or of its nearest folder that is there); null: unknown. */
export function freeBytes(path: string): number | null {
  let folder = resolve(path)
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder)
  try {
    const { bavail, bsize } = statfsSync(folder)
    return bavail * bsize
  } catch {
    return null
  }
}

/** For messages. */
export function freeSpaceText(path: string): string {
  const bytes = freeBytes(path)
  return bytes === null ? 'free space unknown' : `${bytes} bytes free`
}

const refused: readonly string[] = ['ENOSPC', 'EDQUOT', 'EROFS', 'RR_WRITE_FAILED']
/** These have other meanings where a file is read. */
const refusedOnWriting: readonly string[] = ['EACCES', 'EPERM', 'EIO']
const writing: readonly string[] = ['mkdir', 'write', 'fsync', 'ftruncate', 'rename', 'unlink', 'copyfile']

/** The file system would not take what was written: no space, read-only, forbidden, a device that fails. */
export function isWriteProblem(error: unknown): boolean {
  const { code = '', syscall = '' } = (error ?? {}) as NodeJS.ErrnoException
  return refused.includes(code) || (refusedOnWriting.includes(code) && writing.includes(syscall))
}

/** What the system said, also from inside the engine. */
export function refusalText(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (!(error instanceof ReasonrecError)) return error.message
  if (error.code === 'RR_OUTPUT_WRITE') return refusalText(error.cause)
  return error.details.got ? `${error.message}: ${error.details.got}` : error.message
}

export function writeFailure(file: string, cause: unknown): ReasonrecError {
  return new ReasonrecError(
    'RR_OUTPUT_WRITE',
    `cannot write ${file}`,
    {
      got: `${refusalText(cause)}; ${freeSpaceText(file)}`,
      remedy: 'free space and go on with reasonrec resume, or choose another --out',
    },
    { cause },
  )
}

/** Lower-case hexadecimal sha256 of a file, read in pieces. */
export function sha256File(file: string): string {
  const hash = createHash('sha256')
  const handle = openSync(file, 'r')
  try {
    const piece = Buffer.allocUnsafe(1 << 20)
    for (let read = readSync(handle, piece); read > 0; read = readSync(handle, piece))
      hash.update(piece.subarray(0, read))
  } finally {
    closeSync(handle)
  }
  return hash.digest('hex')
}

/** Cuts a last line without newline, as a kill in mid-write leaves it. Returns the bytes that remain. */
export function cutTornTail(file: string): number {
  if (!existsSync(file)) return 0
  const content = readFileSync(file)
  const end = content.lastIndexOf(0x0a) + 1
  if (end < content.length) truncateSync(file, end)
  return end
}

/**
 * An append-only file of JSON lines. One writer (the run directory's lock sees to that). A line that could
 * not be written whole leaves nothing behind: the next one starts where the last whole one ended.
 */
export class JsonLines {
  readonly file: string
  private handle: number
  /** Where the last whole line ends, bytes. */
  private end: number
  /** There may be a part of a line behind `end`. */
  private torn = false

  constructor(file: string) {
    this.file = file
    this.end = cutTornTail(file)
    this.handle = openSync(file, 'a')
  }

  /** @throws RR_OUTPUT_WRITE; the file then holds what it held before */
  append(line: object): void {
    const bytes = Buffer.from(`${JSON.stringify(line)}\n`, 'utf8')
    try {
      if (this.torn) ftruncateSync(this.handle, this.end)
      this.torn = true
      writeAll(this.handle, bytes)
      this.torn = false
      this.end += bytes.length
    } catch (error) {
      // Now if it can be done, so that readers of the live file see whole lines; else before the next line.
      try {
        ftruncateSync(this.handle, this.end)
        this.torn = false
      } catch {}
      throw writeFailure(this.file, error)
    }
  }

  /** Bytes so far. */
  size(): number {
    return this.end
  }

  /** On the disk when this returns. */
  sync(): void {
    try {
      fsyncSync(this.handle)
    } catch (error) {
      throw writeFailure(this.file, error)
    }
  }

  /** Forgets everything after `bytes`: the lines of work that will be done again. */
  truncate(bytes: number): void {
    if (this.size() < bytes) {
      throw new ReasonrecError('RR_RUN_DAMAGED', `${this.file} is shorter than its checkpoint says`, {
        expected: `at least ${bytes} bytes`,
        got: `${this.size()} bytes`,
        remedy: 'the file was changed by hand; start a new run',
      })
    }
    const handle = openSync(this.file, 'r+')
    try {
      ftruncateSync(handle, bytes)
      fsyncSync(handle)
    } finally {
      closeSync(handle)
    }
    this.end = bytes
  }

  close(): void {
    closeSync(this.handle)
  }
}

/** Lines of a JSONL file; a missing file has none, a torn tail is left out. */
export function readJsonLines<T>(file: string): T[] {
  if (!existsSync(file)) return []
  const content = readFileSync(file, 'utf8')
  const complete = content.slice(0, content.lastIndexOf('\n') + 1)
  return complete
    .split('\n')
    .filter((line) => line !== '')
    .map((line, index) => {
      try {
        return JSON.parse(line) as T
      } catch {
        throw new ReasonrecError('RR_RUN_DAMAGED', `${file}:${index + 1} is not JSON`, {
          remedy: 'the file was changed by hand; start a new run',
        })
      }
    })
}

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
  statSync,
  truncateSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { ReasonrecError } from '../engine/errors.js'

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

export function writeFailure(file: string, cause: unknown): ReasonrecError {
  return new ReasonrecError(
    'RR_OUTPUT_WRITE',
    `cannot write ${file}`,
    {
      got: cause instanceof Error ? cause.message : String(cause),
      remedy: 'free space or choose another --out',
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

/** An append-only file of JSON lines. One writer (the run directory's lock sees to that). */
export class JsonLines {
  readonly file: string
  private handle: number

  constructor(file: string) {
    this.file = file
    cutTornTail(file)
    this.handle = openSync(file, 'a')
  }

  append(line: object): void {
    try {
      writeAll(this.handle, Buffer.from(`${JSON.stringify(line)}\n`, 'utf8'))
    } catch (error) {
      throw writeFailure(this.file, error)
    }
  }

  /** Bytes so far. */
  size(): number {
    return statSync(this.file).size
  }

  /** On the disk when this returns. */
  sync(): void {
    fsyncSync(this.handle)
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

/**
 * One file of a model into blobs/: streamed into blobs/<etag>.incomplete, taken up where an earlier attempt ended,
 * checked for size and checksum, and renamed only then. Never more bytes are written than the listing says.
 */

import { createHash, type Hash } from 'node:crypto'
import { createReadStream, existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import path from 'node:path'
import { ReasonrecError } from '../engine/index.js'
import { type HubOptions, hubFetch, pieces, strangeAnswer } from './hub-fetch.js'
import type { HubFile } from './listing.js'

export type Received = (bytes: number) => void

/** `received` counts up, and down where a file begins anew. @throws RR_HUB_*, RR_WRITE_FAILED */
export async function fetchBlob(
  url: string,
  file: HubFile,
  blob: string,
  options: HubOptions,
  received: Received,
): Promise<void> {
  if (existsSync(blob)) return received(file.bytes)
  mkdirSync(path.dirname(blob), { recursive: true })
  const incomplete = `${blob}.incomplete`
  for (let attempt = 1; ; attempt++) {
    const kept = statSync(incomplete, { throwIfNoEntry: false })?.size ?? 0
    let counted = 0
    const count: Received = (bytes) => {
      counted += bytes
      received(bytes)
    }
    try {
      const hash = await append(url, file, incomplete, options, count)
      if (hash.digest('hex') === file.etag) {
        renameSync(incomplete, blob)
        return
      }
      rmSync(incomplete, { force: true })
      received(-counted)
      // A part kept from an earlier run may be to blame: then a fresh start is due.
      if (kept === 0 || attempt >= options.attempts) throw wrongContent(file)
    } catch (error) {
      if (options.signal?.aborted) throw options.signal.reason
      const broken = !(error instanceof ReasonrecError) || /TRUNCATED|TIMEOUT/.test(error.code)
      if (!broken || isDisk(error) || attempt >= options.attempts) throw named(error, file, incomplete)
      received(-counted)
    }
  }
}

/** The rest of the file; the hash is that of the whole. */
async function append(
  url: string,
  file: HubFile,
  incomplete: string,
  options: HubOptions,
  received: Received,
): Promise<Hash> {
  let start = statSync(incomplete, { throwIfNoEntry: false })?.size ?? 0
  if (start > file.bytes) start = 0
  if (start === file.bytes && start > 0) {
    received(start)
    return hashOf(file, incomplete, start)
  }
  const headers: Record<string, string> = { 'accept-encoding': 'identity' }
  if (start > 0) headers.range = `bytes=${start}-`
  const response = await hubFetch(url, headers, options)
  if (start > 0 && !continues(response, start, file.bytes)) start = 0
  if (response.status === 416) throw strangeAnswer('a part that it does not have')
  const hash = await hashOf(file, incomplete, start)
  const handle = await open(incomplete, start > 0 ? 'r+' : 'w')
  try {
    received(start)
    let end = start
    for await (const piece of pieces(response, options)) {
      if (end + piece.length > file.bytes) {
        await handle.truncate(0)
        throw strangeAnswer(`more than the ${file.bytes} bytes of ${file.path}`)
      }
      await writeAll(handle, piece, end)
      hash.update(piece)
      end += piece.length
      received(piece.length)
    }
    if (end < file.bytes) throw truncated(file, end)
    await handle.sync()
  } finally {
    await handle.close()
  }
  return hash
}

/** Does the answer go on at `start`? Anything else is a whole file. */
function continues(response: Response, start: number, total: number): boolean {
  if (response.status !== 206) return false
  const range = response.headers.get('content-range') ?? ''
  if (range === `bytes ${start}-${total - 1}/${total}`) return true
  throw strangeAnswer(`a part that was not asked for (${range.slice(0, 60) || 'without content-range'})`)
}

async function hashOf(file: HubFile, incomplete: string, bytes: number): Promise<Hash> {
  const hash = createHash(file.kind === 'sha256' ? 'sha256' : 'sha1')
  if (file.kind === 'git') hash.update(`blob ${file.bytes}\0`)
  if (bytes > 0)
    for await (const piece of createReadStream(incomplete, { end: bytes - 1 })) hash.update(piece as Buffer)
  return hash
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, at, bytes.length - at, position + at)
    at += bytesWritten
  }
}

function isDisk(error: unknown): boolean {
  return /^(ENOSPC|EDQUOT|EIO|EROFS|EACCES|EPERM|EFBIG)$/.test((error as NodeJS.ErrnoException).code ?? '')
}

function named(error: unknown, file: HubFile, incomplete: string): unknown {
  if (error instanceof ReasonrecError) return error
  const code = isDisk(error) ? 'RR_WRITE_FAILED' : 'RR_HUB_INTERRUPTED'
  return new ReasonrecError(
    code,
    isDisk(error) ? `${incomplete} was not written` : `the connection broke while ${file.path} was loaded`,
    { got: (error as Error).message, remedy: 'run it again; what was loaded is kept' },
    { cause: error },
  )
}

function truncated(file: HubFile, got: number): ReasonrecError {
  return new ReasonrecError('RR_HUB_TRUNCATED', `${file.path} ended early`, {
    expected: `${file.bytes} bytes`,
    got: `${got} bytes`,
    remedy: 'run it again; what was loaded is kept',
  })
}

function wrongContent(file: HubFile): ReasonrecError {
  return new ReasonrecError('RR_HUB_CHECKSUM', `${file.path} is not the file the hub lists`, {
    expected: `${file.kind === 'git' ? 'git blob' : 'SHA-256'} ${file.etag}`,
    got: 'other content, which was removed',
    remedy: 'run it again; if it persists, do not trust this hub or proxy',
  })
}

/** Lines to a file, packed where its name ends in .gz; under another name until it is whole. */

import { createWriteStream } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'

export async function writeLines(path: string, lines: Iterable<string>): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`
  const source = Readable.from(chunks(lines))
  try {
    // A fixed level and no name or date inside: the same lines give the same bytes.
    if (path.endsWith('.gz')) await pipeline(source, createGzip({ level: 9 }), createWriteStream(temporary))
    else await pipeline(source, createWriteStream(temporary))
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

/** Pieces of about 64 KiB: a write for each line would be slow. */
function* chunks(lines: Iterable<string>): Generator<string> {
  let piece = ''
  for (const line of lines) {
    piece += `${line}\n`
    if (piece.length < 65536) continue
    yield piece
    piece = ''
  }
  if (piece !== '') yield piece
}

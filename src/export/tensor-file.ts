/**
 * safetensors for exports: tensors of checked files read one at a time, and a file written tensor by tensor, so
 * that a model never lies in memory whole. The engine's reader (native/core/safetensors.h) checks a file before
 * anything is read here; what is written is flushed and renamed, or not there.
 */

import { createHash } from 'node:crypto'
import { closeSync, fsyncSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs'
import { inspectSafetensors, ReasonrecError } from '../engine/index.js'

export interface TensorSpec {
  readonly name: string
  readonly dtype: string
  readonly shape: readonly number[]
}

export interface StoredTensor extends TensorSpec {
  readonly file: string
  /** Bytes from the start of the file. */
  readonly begin: number
  readonly end: number
}

export interface WrittenFile {
  readonly name: string
  readonly bytes: number
  readonly sha256: string
}

const elementBytes: Readonly<Record<string, number>> = {
  F64: 8,
  I64: 8,
  F32: 4,
  I32: 4,
  F16: 2,
  BF16: 2,
  U8: 1,
}

/** Every tensor of the files, in the order of their bytes. @throws RR_BAD_SAFETENSORS, RR_FILE_NOT_FOUND */
export function storedTensors(files: readonly string[]): StoredTensor[] {
  return files.flatMap((file) => {
    const checked = new Map(inspectSafetensors(file).map((tensor) => [tensor.name, tensor]))
    const descriptor = openSync(file, 'r')
    try {
      const headerBytes = Number(readAt(descriptor, 0, 8).readBigUInt64LE(0))
      const header = JSON.parse(readAt(descriptor, 8, headerBytes).toString('utf8')) as Record<
        string,
        { readonly data_offsets: readonly [number, number] }
      >
      return [...checked.values()]
        .map((tensor) => {
          const [begin, end] = header[tensor.name]!.data_offsets
          return { ...tensor, file, begin: 8 + headerBytes + begin, end: 8 + headerBytes + end }
        })
        .sort((a, b) => a.begin - b.begin)
    } finally {
      closeSync(descriptor)
    }
  })
}

export function readTensor({ file, begin, end }: StoredTensor): Buffer {
  const descriptor = openSync(file, 'r')
  try {
    return readAt(descriptor, begin, end - begin)
  } finally {
    closeSync(descriptor)
  }
}

/** `bytesOf` is asked for every tensor once, in order. @throws RR_WRITE_FAILED */
export async function writeTensors(
  file: string,
  tensors: readonly TensorSpec[],
  bytesOf: (tensor: TensorSpec, index: number) => Uint8Array,
): Promise<WrittenFile> {
  return writeReplacing(file, async (write) => {
    write(header(tensors))
    for (const [index, tensor] of tensors.entries()) {
      write(bytesOf(tensor, index))
      await new Promise(setImmediate) // signals and progress get their turn
    }
  })
}

/** A file that appears under its name when all of it is on the disk. @throws RR_WRITE_FAILED */
export async function writeReplacing(
  file: string,
  fill: (write: (bytes: Uint8Array) => void) => Promise<void>,
): Promise<WrittenFile> {
  const temporary = `${file}.tmp-${process.pid}`
  const hash = createHash('sha256')
  let total = 0
  try {
    const descriptor = openSync(temporary, 'wx')
    try {
      await fill((bytes) => {
        for (let at = 0; at < bytes.length; )
          at += writeSync(descriptor, bytes, at, Math.min(1 << 26, bytes.length - at))
        hash.update(bytes)
        total += bytes.length
      })
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
    renameSync(temporary, file)
  } catch (error) {
    rmSync(temporary, { force: true })
    if (error instanceof ReasonrecError) throw error
    throw new ReasonrecError(
      'RR_WRITE_FAILED',
      `${file} was not written`,
      { got: (error as Error).message, remedy: 'check free space and permissions' },
      { cause: error },
    )
  }
  return { name: file, bytes: total, sha256: hash.digest('hex') }
}

function header(tensors: readonly TensorSpec[]): Buffer {
  const entries: Record<string, unknown> = { __metadata__: { format: 'pt' } }
  let end = 0
  for (const { name, dtype, shape } of tensors) {
    const begin = end
    end += sizeOf(dtype, shape)
    entries[name] = { dtype, shape, data_offsets: [begin, end] }
  }
  const text = JSON.stringify(entries)
  const padded = Buffer.from(text + ' '.repeat((8 - (Buffer.byteLength(text) % 8)) % 8))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(padded.length))
  return Buffer.concat([length, padded])
}

/** Bytes of a tensor. */
export function sizeOf(dtype: string, shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, elementBytes[dtype] ?? Number.NaN)
}

function readAt(descriptor: number, position: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length)
  for (let at = 0; at < length; ) {
    const count = readSync(descriptor, bytes, at, Math.min(1 << 30, length - at), position + at)
    if (count === 0)
      throw new ReasonrecError('RR_BAD_SAFETENSORS', 'a weight file became shorter while it was read')
    at += count
  }
  return bytes
}

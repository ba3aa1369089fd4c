/**
 * Is a model folder whole? Every tensor that config.json asks for is there in its shape, no other ones are, every
 * value is finite, and files that lie in the cache under their SHA-256 have it. Weights are read once, in pieces;
 * nothing is loaded into the engine. All problems are listed, not only the first.
 */

import { createHash, type Hash } from 'node:crypto'
import { closeSync, openSync, readSync, realpathSync, statSync } from 'node:fs'
import path from 'node:path'
import {
  expectedTensors,
  inspectSafetensors,
  isHarmless,
  type NativeModelConfig,
  ReasonrecError,
  readModelConfig,
  requireNoGguf,
  weightFiles,
} from '../engine/index.js'

export interface CheckedFile {
  readonly name: string
  readonly bytes: number
  readonly sha256: string
  /** unknown: nothing says what it should be. */
  readonly checksum: 'matches' | 'differs' | 'unknown'
}

export interface ModelCheck {
  readonly ok: boolean
  readonly dir: string
  readonly family: string | null
  readonly tensors: number
  readonly parameters: number
  readonly dtypes: Readonly<Record<string, number>>
  readonly files: readonly CheckedFile[]
  readonly problems: readonly string[]
}

interface Found {
  readonly dtype: string
  readonly shape: readonly number[]
}

const pieceBytes = 1 << 24
/** All exponent bits: infinity or NaN. The word is the upper one of the element. */
const exponents: Readonly<Record<string, { readonly bytes: number; readonly mask: number }>> = {
  F64: { bytes: 8, mask: 0x7ff0 },
  F32: { bytes: 4, mask: 0x7f80 },
  BF16: { bytes: 2, mask: 0x7f80 },
  F16: { bytes: 2, mask: 0x7c00 },
}

/** `received` counts bytes. Problems of the folder are in the result; only what stops the reading is thrown. */
export async function checkModel(dir: string, received: (bytes: number) => void): Promise<ModelCheck> {
  requireNoGguf(dir, 'model check')
  const problems: string[] = []
  const attempt = <T>(run: () => T): T | null => {
    try {
      return run()
    } catch (error) {
      if (!(error instanceof ReasonrecError)) throw error
      problems.push(error.toLine())
      return null
    }
  }
  const config = attempt(() => readModelConfig(dir))
  const paths = attempt(() => weightFiles(dir)) ?? []
  const found = new Map<string, Found>()
  const files: CheckedFile[] = []
  for (const file of paths) {
    const tensors = attempt(() => inspectSafetensors(file)) ?? []
    for (const { name, dtype, shape } of tensors) {
      if (found.has(name)) problems.push(`${name} is stored in more than one file`)
      found.set(name, { dtype, shape })
    }
    files.push(await readThrough(file, problems, received))
  }
  if (config && paths.length > 0) compare(config, found, problems)
  const dtypes: Record<string, number> = {}
  for (const { dtype } of found.values()) dtypes[dtype] = (dtypes[dtype] ?? 0) + 1
  const parameters = [...found.values()].reduce((sum, { shape }) => sum + shape.reduce((n, d) => n * d, 1), 0)
  const facts = {
    dir: path.resolve(dir),
    family: config?.family ?? null,
    tensors: found.size,
    parameters,
    dtypes,
  }
  return { ok: problems.length === 0, ...facts, files, problems }
}

/** Bytes that checkModel will read. */
export function bytesToCheck(dir: string): number {
  try {
    return weightFiles(dir).reduce((sum, file) => sum + statSync(file).size, 0)
  } catch {
    return 0
  }
}

function compare(config: NativeModelConfig, found: ReadonlyMap<string, Found>, problems: string[]): void {
  const expected = new Set<string>()
  for (const { name, shape } of expectedTensors(config)) {
    expected.add(name)
    const got = found.get(name)
    if (!got) problems.push(`${name} [${shape}] is missing`)
    else if (got.shape.join() !== shape.join())
      problems.push(`${name} is [${got.shape}], expected [${shape}]`)
    else if (!(got.dtype in exponents))
      problems.push(`${name} is stored as ${got.dtype}, which are no weights`)
  }
  for (const name of found.keys())
    if (!expected.has(name) && !isHarmless(name, config))
      problems.push(`${name.slice(0, 200)} is no tensor of a ${config.family} decoder`)
}

/** SHA-256 and finite values in one reading. */
async function readThrough(
  file: string,
  problems: string[],
  received: (bytes: number) => void,
): Promise<CheckedFile> {
  const hash = createHash('sha256')
  const descriptor = openSync(file, 'r')
  const { size } = statSync(file)
  try {
    const sections = weightSections(file, descriptor)
    let at = 0
    for (const { name, dtype, begin, end } of sections) {
      await digest(descriptor, hash, at, begin, received)
      let bad = 0
      await digest(descriptor, hash, begin, end, received, (piece) => {
        bad += notFinite(piece, dtype)
      })
      if (bad > 0) problems.push(`${name.slice(0, 200)} holds ${bad} values that are not finite`)
      at = end
    }
    await digest(descriptor, hash, at, size, received)
  } finally {
    closeSync(descriptor)
  }
  const sha256 = hash.digest('hex')
  const stored = path.basename(realpathSync(file))
  const known = /^[0-9a-f]{64}$/.test(stored)
  if (known && stored !== sha256)
    problems.push(`${path.basename(file)} has another SHA-256 than its name in the cache`)
  const checksum = known ? (stored === sha256 ? 'matches' : 'differs') : 'unknown'
  return { name: path.basename(file), bytes: size, sha256, checksum }
}

/** In the order of their bytes; none where the file is not readable as safetensors (which is a problem already). */
function weightSections(file: string, descriptor: number) {
  let checked: { name: string; dtype: string }[]
  try {
    checked = inspectSafetensors(file)
  } catch {
    return []
  }
  const length = Buffer.alloc(8)
  readSync(descriptor, length, 0, 8, 0)
  const headerBytes = Number(length.readBigUInt64LE(0))
  const text = Buffer.alloc(headerBytes)
  readSync(descriptor, text, 0, headerBytes, 8)
  const header = JSON.parse(text.toString('utf8')) as Record<string, { data_offsets: [number, number] }>
  return checked
    .map(({ name, dtype }) => {
      const [begin, end] = header[name]!.data_offsets
      return { name, dtype, begin: 8 + headerBytes + begin, end: 8 + headerBytes + end }
    })
    .sort((a, b) => a.begin - b.begin)
}

async function digest(
  descriptor: number,
  hash: Hash,
  from: number,
  to: number,
  received: (bytes: number) => void,
  look?: (piece: Buffer) => void,
): Promise<void> {
  for (let at = from; at < to; ) {
    const piece = Buffer.allocUnsafe(Math.min(pieceBytes, to - at))
    const count = readSync(descriptor, piece, 0, piece.length, at)
    if (count === 0) return
    const read = piece.subarray(0, count)
    hash.update(read)
    look?.(read)
    received(count)
    at += count
    await new Promise(setImmediate)
  }
}

/** Pieces are whole elements: their size is a multiple of eight until a tensor's last one. */
function notFinite(piece: Buffer, dtype: string): number {
  const format = exponents[dtype]
  if (!format) return 0
  let bad = 0
  const { bytes, mask } = format
  for (let at = bytes - 2; at + 1 < piece.length; at += bytes)
    if (((piece[at]! | (piece[at + 1]! << 8)) & mask) === mask) bad++
  return bad
}

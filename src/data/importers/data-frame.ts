/** Columns of a pandas data frame out of its pickle (pickle.ts): blocks of columns, laid out by row or by column. */

import { readFile } from 'node:fs/promises'
import { ReasonrecError } from '../../engine/errors.js'
import { type Built, isBuilt, readPickle } from './pickle.js'

/** Values by column name, in the order of the frame. */
export async function dataFrame(path: string): Promise<Map<string, readonly unknown[]>> {
  const frame = readPickle(path, await readFile(path))
  const state = isBuilt(frame) ? frame.state : null
  const manager = state instanceof Map ? state.get('_mgr') : null
  const [blocks, axes] = isBuilt(manager) ? manager.args : []
  if (!Array.isArray(blocks) || !Array.isArray(axes))
    throw refused(path, 'a data frame of pandas 1.3 or later')
  const names = labels(axes[0], path)
  const columns = new Map<string, readonly unknown[]>()
  for (const block of blocks) {
    const [values, placement] = isBuilt(block) ? block.args : []
    const { shape, flat, byColumn } = arrayOf(values, path)
    const places = placesOf(placement, path)
    const [width = 0, rows = 0] = shape
    if (width !== places.length) throw refused(path, `${places.length} columns in a block`)
    places.forEach((place, column) => {
      const name = names[place]
      if (name === undefined) throw refused(path, 'a name for each column')
      const at = (row: number): unknown => flat[byColumn ? row * width + column : column * rows + row]
      columns.set(
        String(name),
        Array.from({ length: rows }, (_, row) => at(row)),
      )
    })
  }
  return new Map(names.map((name) => [String(name), columns.get(String(name)) ?? []]))
}

function labels(index: unknown, path: string): unknown[] {
  const [, state] = isBuilt(index) ? index.args : []
  const data = state instanceof Map ? state.get('data') : null
  return [...arrayOf(data, path).flat]
}

/** A slice, or an array of places. */
function placesOf(placement: unknown, path: string): number[] {
  if (isBuilt(placement) && placement.made === 'builtins.slice') {
    const [start, stop, step] = placement.args.map(Number) as [number, number, number]
    const count = Math.ceil((stop - start) / (step || 1))
    if (!(count >= 0 && count < 1e5)) throw refused(path, 'a slice of columns')
    return Array.from({ length: count }, (_, at) => start + at * (step || 1))
  }
  return arrayOf(placement, path).flat.map(Number)
}

interface FlatArray {
  readonly shape: readonly number[]
  readonly flat: readonly unknown[]
  /** Fortran order: the first axis runs fastest. */
  readonly byColumn: boolean
}

/** An array of numpy: _reconstruct with a state, or _frombuffer. */
function arrayOf(value: unknown, path: string): FlatArray {
  if (!isBuilt(value)) throw refused(path, 'an array of numpy')
  if (value.made.endsWith('._frombuffer')) {
    const [bytes, dtype, shape, order] = value.args
    const flat = numbers(bytes, dtype, path)
    return { shape: shape as number[], flat, byColumn: order === 'F' }
  }
  const [, shape, dtype, fortran, data] = Array.isArray(value.state) ? value.state : []
  if (!Array.isArray(shape)) throw refused(path, 'the shape of an array')
  const flat = Array.isArray(data) ? data : numbers(data, dtype, path)
  return { shape: shape as number[], flat, byColumn: fortran === true }
}

function numbers(bytes: unknown, dtype: unknown, path: string): number[] {
  const code = String((dtype as Built | undefined)?.args?.[0] ?? '')
  const width = Number(/^[iuf](\d)$/.exec(code)?.[1] ?? 0)
  if (!Buffer.isBuffer(bytes) || width === 0 || bytes.length % width !== 0)
    throw refused(path, 'numbers of a known width')
  const read: Readonly<Record<string, (at: number) => number>> = {
    i1: (at) => bytes.readInt8(at),
    i2: (at) => bytes.readInt16LE(at),
    i4: (at) => bytes.readInt32LE(at),
    i8: (at) => Number(bytes.readBigInt64LE(at)),
    u1: (at) => bytes.readUInt8(at),
    u4: (at) => bytes.readUInt32LE(at),
    u8: (at) => Number(bytes.readBigUInt64LE(at)),
    f4: (at) => bytes.readFloatLE(at),
    f8: (at) => bytes.readDoubleLE(at),
  }
  const one = read[code]
  if (!one) throw refused(path, 'numbers of a known width')
  return Array.from({ length: bytes.length / width }, (_, at) => one(at * width))
}

function refused(path: string, expected: string): ReasonrecError {
  return new ReasonrecError(
    'RR_DATA_PICKLE',
    `${path}: this pickle is not the data frame that was expected`,
    {
      expected,
      got: 'something else',
      remedy: 'write it as Parquet where you trust it: pandas.read_pickle(IN).to_parquet(OUT)',
      file: path,
    },
  )
}

/**
 * Reference values made outside this project (torch, transformers, peft, trl in float64): where they
 * lie, how they are read, and how a comparison is counted. Cases are discovered from the folders'
 * manifests and never named in a test.
 *
 * Two folders have one layout: test/fixtures/parity (a small committed subset) and REASONREC_PARITY
 * (everything; absent: a printed skip; named but empty: a failure).
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'

export interface Folder {
  readonly name: string
  readonly path: string
}

const committed = fileURLToPath(new URL('../fixtures/parity', import.meta.url))

export function folders(): Folder[] {
  const found: Folder[] = [{ name: 'fixtures', path: committed }]
  const full = process.env.REASONREC_PARITY
  if (!full) {
    console.log('parity: REASONREC_PARITY is not set, only the committed fixtures are compared')
    return found
  }
  if (!existsSync(join(full, 'models')) || readdirSync(full).length === 0)
    throw new Error(`REASONREC_PARITY names ${full}, which holds no reference values`)
  return [...found, { name: 'REASONREC_PARITY', path: full }]
}

/**
 * One suite for every folder that holds the file or subfolder `part`; where none does, one skipped test
 * that says so.
 */
export function describeReference(part: string, suite: (folder: Folder) => void): void {
  const found = folders().filter(({ path }) => existsSync(join(path, part)))
  for (const folder of found) describe(`${part}, ${folder.name}`, () => suite(folder))
  if (found.length === 0)
    describe(part, () =>
      it.skip(`no reference values here: set REASONREC_PARITY to the folder that has ${part}`),
    )
}

/** Names of the entries of a subfolder that satisfy `accept`, sorted; empty where it does not exist. */
export function entries(folder: Folder, subfolder: string, accept: (name: string) => boolean): string[] {
  const path = join(folder.path, subfolder)
  return existsSync(path) ? readdirSync(path).filter(accept).sort() : []
}

export function readJson<T>(...parts: string[]): T {
  return JSON.parse(readFileSync(join(...parts), 'utf8')) as T
}

export interface Tensor {
  readonly shape: readonly number[]
  readonly data: Float64Array
}

const readers = {
  F64: (view: DataView, i: number) => view.getFloat64(8 * i, true),
  F32: (view: DataView, i: number) => view.getFloat32(4 * i, true),
  I64: (view: DataView, i: number) => Number(view.getBigInt64(8 * i, true)),
} as const

/** All tensors of a safetensors file, widened to float64. A reader of its own: a second witness. */
export function readTensors(...parts: string[]): Map<string, Tensor> {
  const bytes = readFileSync(join(...parts))
  const headerLength = Number(bytes.readBigUInt64LE(0))
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerLength)) as Record<
    string,
    { dtype: keyof typeof readers; shape: number[]; data_offsets: [number, number] }
  >
  const tensors = new Map<string, Tensor>()
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue
    const [begin, end] = entry.data_offsets
    const view = new DataView(bytes.buffer, bytes.byteOffset + 8 + headerLength + begin, end - begin)
    const read = readers[entry.dtype]
    const count = entry.shape.reduce((product, n) => product * n, 1)
    tensors.set(name, {
      shape: entry.shape,
      data: Float64Array.from({ length: count }, (_, i) => read(view, i)),
    })
  }
  return tensors
}

export function tensor(tensors: Map<string, Tensor>, name: string): Float64Array {
  const found = tensors.get(name)
  if (!found) throw new Error(`the reference file has no tensor ${name}`)
  return found.data
}

/** Counts what was compared and prints it when the file's tests are done. */
export class Tally {
  private cases = 0
  private values = 0

  constructor(readonly subject: string) {
    afterAll(() => console.log(`parity: ${this.cases} cases, ${this.values} values compared (${subject})`))
  }

  case(): void {
    this.cases++
  }

  /** Every |actual - expected| at most `atol`; the worst one is named. NaN never passes. */
  compare(label: string, actual: ArrayLike<number>, expected: ArrayLike<number>, atol: number): void {
    expect(actual.length, `${label}: length`).toBe(expected.length)
    let worst = -1
    let largest = 0
    for (let i = 0; i < expected.length; i++) {
      const difference = Math.abs((actual[i] as number) - (expected[i] as number))
      if (!(difference <= largest)) {
        largest = difference
        worst = i
      }
    }
    this.values += expected.length
    if (!(largest <= atol))
      expect.fail(
        `${label}[${worst}]: got ${actual[worst]}, expected ${expected[worst]}, differs by ${largest}, allowed ${atol}`,
      )
  }

  /** At least `share` of the elements within `atol`. */
  compareShare(
    label: string,
    actual: ArrayLike<number>,
    expected: ArrayLike<number>,
    atol: number,
    share: number,
  ): void {
    let within = 0
    for (let i = 0; i < expected.length; i++)
      if (Math.abs((actual[i] as number) - (expected[i] as number)) <= atol) within++
    this.values += expected.length
    expect(within / expected.length, `${label}: share within ${atol}`).toBeGreaterThanOrEqual(share)
  }
}

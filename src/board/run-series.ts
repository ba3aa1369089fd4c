/**
 * The curves of a run from metrics.jsonl, read on as the file grows. A line that is not whole yet is left for the next
 * time. A resumed run cuts lines of work it does again: where the bytes before are no longer those that were read, the
 * file is read from its beginning.
 */

import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { StringDecoder } from 'node:string_decoder'
import { decimated, type Points } from './decimate.js'

export interface RunCurves {
  /** Bytes read: another number means other curves. */
  readonly version: number
  /** By "<phase>.<metric>", metrics in records as "<phase>.<record>.<metric>". */
  readonly series: Readonly<Record<string, Points>>
}

const pieceBytes = 1 << 22
/** Of what was read, kept to see whether it still stands there. */
const rememberedBytes = 256

export class RunSeries {
  private readonly file: string
  private offset = 0
  private before = Buffer.alloc(0)
  private rest = ''
  private decoder = new StringDecoder('utf8')
  private curves = new Map<string, { x: number[]; y: number[] }>()

  constructor(run: string) {
    this.file = join(run, 'metrics.jsonl')
  }

  /** Everything written so far, each curve in at most `most` points. */
  read(most: number): RunCurves {
    this.readOn()
    const series = Object.fromEntries([...this.curves].map(([name, curve]) => [name, decimated(curve, most)]))
    return { version: this.offset, series }
  }

  private readOn(): void {
    if (!existsSync(this.file)) return
    const file = openSync(this.file, 'r')
    try {
      const { size } = fstatSync(file)
      if (!this.stands(file)) this.restart()
      const piece = Buffer.alloc(Math.min(pieceBytes, Math.max(1, size - this.offset)))
      while (this.offset < size) {
        const bytes = readSync(file, piece, 0, Math.min(piece.length, size - this.offset), this.offset)
        if (bytes === 0) break
        this.offset += bytes
        const read = piece.subarray(0, bytes)
        this.before = Buffer.concat([this.before, read]).subarray(-rememberedBytes)
        this.take(this.decoder.write(read))
      }
    } finally {
      closeSync(file)
    }
  }

  private stands(file: number): boolean {
    const { length } = this.before
    const now = Buffer.alloc(length)
    const bytes = readSync(file, now, 0, length, this.offset - length)
    return bytes === length && now.equals(this.before)
  }

  private restart(): void {
    this.offset = 0
    this.before = Buffer.alloc(0)
    this.rest = ''
    this.decoder = new StringDecoder('utf8')
    this.curves = new Map()
  }

  private take(text: string): void {
    const lines = (this.rest + text).split('\n')
    this.rest = lines.pop() ?? ''
    for (const line of lines) {
      const record = parsed(line)
      if (record) this.add(record)
    }
  }

  /** x is the training step; in collection, the instances done. Validations are points at the step they follow. */
  private add(record: Readonly<Record<string, unknown>>): void {
    const { phase, after, step, done, ...metrics } = record
    const x = typeof step === 'number' ? step : done
    if (typeof phase !== 'string' || typeof x !== 'number') return
    if (phase === 'evaluate' && !String(record.model).includes('@')) return // the final table's, not a curve's
    const name = phase === 'evaluate' ? `${String(after)}.valid` : phase
    for (const [metric, y] of flat(metrics)) {
      if (constant.has(metric)) continue
      const key = `${name}.${metric}`
      const curve = this.curves.get(key) ?? { x: [], y: [] }
      curve.x.push(x)
      curve.y.push(y)
      this.curves.set(key, curve)
    }
  }
}

/** The same on every line of a phase. */
const constant: ReadonlySet<string> = new Set(['steps', 'instances', 'n'])

function parsed(line: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null
  } catch {
    return null
  }
}

function flat(record: Readonly<Record<string, unknown>>, before = ''): [string, number][] {
  return Object.entries(record).flatMap(([name, value]): [string, number][] => {
    if (typeof value === 'number') return [[before + name, value]]
    const inner = typeof value === 'object' && value !== null && !Array.isArray(value)
    return inner ? flat(value as Record<string, unknown>, `${before}${name}.`) : []
  })
}

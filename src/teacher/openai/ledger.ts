/**
 * The ledger of a teacher: what was asked, what it was paid for, and every answer. JSONL in a folder of its own:
 *   {"sum": <16 hex digits of the sha256 of the rest>, "entry": "intent" | "done" | "fail" | "without", ...}   (tally.ts)
 * An intent is written before its request is sent (it outlives the process), and an answer is on the disk before it is
 * used (it outlives the machine); lines that come together share one write, and one fsync (group commit). At opening, a
 * tail that a kill has torn is cut. `done` is final: whoever asks the same again gets that answer. Answers stay on the
 * disk; what is held for each is where its line stands. One writer.
 */

import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readSync, truncateSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { ReasonrecError } from '../../engine/errors.js'
import { writeFailure } from '../../phases/run/files.js'
import { lockDirectory, type RunLock } from '../../phases/run/lock.js'
import { type DoneEntry, type LedgerEntry, type LedgerTotals, Tally } from './tally.js'

const fileName = 'ledger.jsonl'

/** Bytes. */
interface Place {
  readonly at: number
  readonly length: number
}

interface Waiting {
  readonly entry: LedgerEntry
  readonly line: Buffer
  readonly durable: boolean
  readonly resolve: (place: Place) => void
  readonly reject: (error: unknown) => void
}

export class Ledger {
  private readonly answers = new Map<string, Place>()
  private readonly givenUp = new Set<string>()
  private readonly refused = new Set<string>()
  private readonly tally = new Tally()
  private waiting: Waiting[] = []
  private unsynced: (Waiting & { readonly place: Place })[] = []
  private writing: Promise<void> | null = null
  private syncing: Promise<void> | null = null
  /** Where the last whole line ends. */
  private end: number

  private constructor(
    readonly file: string,
    private readonly handle: FileHandle,
    private readonly lock: RunLock,
    content: LedgerContent,
  ) {
    this.end = content.end
    for (const { entry, place } of content.lines) this.count(entry, place)
    this.tally.loseAll()
  }

  /** A folder of its own; made where it is not there. @throws RR_OUTPUT_IN_USE */
  static async open(folder: string): Promise<Ledger> {
    mkdirSync(folder, { recursive: true })
    const lock = lockDirectory(folder)
    try {
      const file = join(folder, fileName)
      const content = readContent(file)
      if (existsSync(file)) truncateSync(file, content.end)
      return new Ledger(file, await open(file, 'a+'), lock, content)
    } catch (error) {
      lock.release()
      throw error
    }
  }

  /** The answer to a request, once and for all; null where there is none. */
  answerTo(key: string): DoneEntry | null {
    const place = this.answers.get(key)
    if (!place) return null
    const bytes = Buffer.alloc(place.length)
    readSync(this.handle.fd, bytes, 0, place.length, place.at)
    const entry = parseLedgerLine(bytes)
    if (entry?.entry === 'done' && entry.key === key) return entry
    throw new ReasonrecError('RR_TEACHER_LEDGER', `${this.file} changed while it was in use`, {
      expected: `the answer to ${key} at byte ${place.at}`,
      remedy: 'see what else writes there',
    })
  }

  /** Was it asked, and never answered? */
  isUnanswered(key: string): boolean {
    return this.givenUp.has(key)
  }

  /** Did the server refuse this parameter before? */
  isWithout(feature: string): boolean {
    return this.refused.has(feature)
  }

  totals(): LedgerTotals {
    return this.tally.totals()
  }

  /** On the disk when this resolves. @throws RR_OUTPUT_WRITE; the file then holds what it held before */
  append(entry: LedgerEntry): Promise<void> {
    return this.add(entry, true)
  }

  /** With the system when this resolves: a kill of the process does not lose it. @throws RR_OUTPUT_WRITE */
  note(entry: LedgerEntry): Promise<void> {
    return this.add(entry, false)
  }

  async close(): Promise<void> {
    while (this.writing || this.syncing) await (this.writing ?? this.syncing)
    await this.handle.close()
    this.lock.release()
  }

  private add(entry: LedgerEntry, durable: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const counted = (place: Place): void => {
        this.count(entry, place)
        resolve()
      }
      this.waiting.push({ entry, line: ledgerLine(entry), durable, resolve: counted, reject })
      this.writing ??= this.write()
    })
  }

  /** All that waits goes out with one write; what comes meanwhile goes with the next. */
  private async write(): Promise<void> {
    while (this.waiting.length > 0) {
      const batch = this.waiting
      this.waiting = []
      try {
        await this.handle.appendFile(Buffer.concat(batch.map(({ line }) => line)))
      } catch (error) {
        await this.handle.truncate(this.end).catch(() => {})
        for (const { reject } of batch) reject(writeFailure(this.file, error))
        continue
      }
      for (const one of batch) {
        const place = { at: this.end, length: one.line.length }
        this.end += one.line.length
        if (one.durable) this.unsynced.push({ ...one, place })
        else one.resolve(place)
      }
      if (this.unsynced.length > 0) this.syncing ??= this.sync()
    }
    // In the same breath as the look at what waits: whoever comes later starts it again.
    this.writing = null
  }

  /** One fsync for all that was written since the last one began. */
  private async sync(): Promise<void> {
    while (this.unsynced.length > 0) {
      const batch = this.unsynced
      this.unsynced = []
      try {
        await this.handle.datasync()
        for (const { place, resolve } of batch) resolve(place)
      } catch (error) {
        for (const { reject } of batch) reject(writeFailure(this.file, error))
      }
    }
    this.syncing = null
  }

  private count(entry: LedgerEntry, place: Place): void {
    this.tally.add(entry)
    if (entry.entry === 'fail') this.givenUp.add(entry.key)
    if (entry.entry === 'done') {
      this.answers.set(entry.key, place)
      this.givenUp.delete(entry.key)
    }
    if (entry.entry === 'without') this.refused.add(entry.feature)
  }
}

/** Of a ledger that somebody else may be writing; null where there is none. */
export function readLedgerTotals(folder: string): LedgerTotals | null {
  const file = join(folder, fileName)
  if (!existsSync(file)) return null
  const tally = new Tally()
  for (const { entry } of readContent(file).lines) tally.add(entry)
  tally.loseAll()
  return tally.totals()
}

export function ledgerLine(entry: LedgerEntry): Buffer {
  const body = JSON.stringify(entry)
  return Buffer.from(`{"sum":"${checksum(body)}",${body.slice(1)}\n`, 'utf8')
}

/** Null where it is not what was written. */
export function parseLedgerLine(line: Buffer): LedgerEntry | null {
  const match = /^\{"sum":"([0-9a-f]{16})",(.*)\n$/s.exec(line.toString('utf8'))
  const body = `{${match?.[2]}`
  return match && checksum(body) === match[1] ? (JSON.parse(body) as LedgerEntry) : null
}

interface LedgerContent {
  readonly lines: readonly { readonly entry: LedgerEntry; readonly place: Place }[]
  /** Where the last true line ends; what stands behind it is torn. */
  readonly end: number
}

/** Every line that is whole and true. A false one between them (a damaged disk) is passed over: it is asked again. */
function readContent(file: string): LedgerContent {
  const content = existsSync(file) ? readFileSync(file) : Buffer.alloc(0)
  const lines: { entry: LedgerEntry; place: Place }[] = []
  let end = 0
  for (let at = 0; at < content.length; ) {
    const next = content.indexOf(0x0a, at) + 1 || content.length
    const entry = parseLedgerLine(content.subarray(at, next))
    if (entry) {
      lines.push({ entry, place: { at, length: next - at } })
      end = next
    }
    at = next
  }
  return { lines, end }
}

function checksum(body: string): string {
  return createHash('sha256').update(body).digest('hex').slice(0, 16)
}

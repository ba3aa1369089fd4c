import { appendFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  Ledger,
  ledgerLine,
  parseLedgerLine,
  readLedgerTotals,
} from '../../../../src/teacher/openai/ledger.js'
import type { DoneEntry, LedgerEntry } from '../../../../src/teacher/openai/tally.js'
import { smallDisk } from '../../../fixtures/small-disk.js'

let folder = ''
let file = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'reasonrec-ledger-'))
  file = join(folder, 'ledger.jsonl')
})
afterEach(() => rmSync(folder, { recursive: true }))

const intent = (key: string, worst = 1): LedgerEntry => ({ entry: 'intent', key, worst })
const done = (key: string, text = 'yes ✓'): DoneEntry => ({
  entry: 'done',
  key,
  choices: [{ text, reasoning: null, finish: 'stop' }],
  usage: { prompt: 10, completion: 5, reasoning: 2 },
  cost: 0.25,
})
const fail = (key: string, cost = 0): LedgerEntry => ({
  entry: 'fail',
  key,
  cause: 'idle',
  text: '',
  usage: null,
  cost,
})

async function written(entries: readonly LedgerEntry[]): Promise<void> {
  const ledger = await Ledger.open(folder)
  for (const entry of entries) await ledger.append(entry)
  await ledger.close()
}

describe('the ledger', () => {
  it('answers again what was answered once, after it was closed and opened', async () => {
    await written([intent('a'), done('a', 'first'), intent('b'), fail('b')])
    const ledger = await Ledger.open(folder)
    expect(ledger.answerTo('a')?.choices[0]?.text).toBe('first')
    expect(ledger.answerTo('b')).toBeNull()
    expect(ledger.isUnanswered('b')).toBe(true)
    await Promise.all([
      ledger.note(intent('b')),
      ledger.append(done('b', 'second')),
      ledger.note(intent('c')),
    ])
    expect(ledger.answerTo('b')?.choices[0]?.text).toBe('second')
    expect(ledger.isUnanswered('b')).toBe(false)
    await ledger.close()
    expect(readFileSync(file, 'utf8').split('\n')).toHaveLength(8)
  })

  it('adds up, and takes what was in flight at its worst', async () => {
    await written([
      intent('a'),
      done('a'),
      intent('b', 3),
      fail('b', 3),
      intent('b', 3),
      done('b'),
      intent('c', 7),
    ])
    expect(readLedgerTotals(folder)).toEqual({
      answered: 2,
      attempts: 4,
      failures: { idle: 1, lost: 1 },
      prompt_tokens: 20,
      completion_tokens: 10,
      reasoning_tokens: 4,
      cost: 0.25 + 3 + 0.25 + 7,
      uncertain_cost: 10,
    })
    expect(readLedgerTotals(join(folder, 'none'))).toBeNull()
  })

  it('cuts a torn tail wherever it was torn, and loses nothing before it', async () => {
    const lines = [intent('a'), done('a'), intent('b'), done('b')].map(ledgerLine)
    const whole = Buffer.concat(lines)
    const before = whole.length - (lines.at(-1) as Buffer).length
    for (let length = before; length < whole.length; length += 7) {
      writeFileSync(file, whole.subarray(0, length))
      const ledger = await Ledger.open(folder)
      expect(ledger.answerTo('a')).toMatchObject({ key: 'a' })
      expect(ledger.answerTo('b')).toBeNull()
      await ledger.append(done('b', 'again'))
      await ledger.close()
      const again = await Ledger.open(folder)
      expect(again.answerTo('b')?.choices[0]?.text).toBe('again')
      await again.close()
    }
  })

  it('passes over a damaged line, keeps those around it, and cuts what follows the last good one', async () => {
    await written([done('a'), done('b'), done('c')])
    const text = readFileSync(file, 'utf8')
    writeFileSync(file, text.replace('"key":"b"', '"key":"x"'))
    appendFileSync(file, '\0\0\0\0\n{"sum":"0000000000000000","entry":"done"}\n')
    const ledger = await Ledger.open(folder)
    expect(ledger.answerTo('a')).not.toBeNull()
    expect(ledger.answerTo('b')).toBeNull()
    expect(ledger.answerTo('x')).toBeNull()
    expect(ledger.answerTo('c')).not.toBeNull()
    await ledger.close()
    expect(readFileSync(file).length).toBe(Buffer.byteLength(text))
  })

  it('says when the disk is full, keeps what it held, and goes on when there is room again', async () => {
    const disk = smallDisk(1)
    if (!disk) return
    try {
      const place = join(disk.path, 'teacher')
      const ledger = await Ledger.open(place)
      await ledger.append(done('a'))
      disk.fill()
      // More than the last page of the file could take.
      const long = 'x'.repeat(10_000)
      const full = await Promise.allSettled([ledger.append(done('b', long)), ledger.note(intent('c'))])
      expect(full[0]).toMatchObject({ status: 'rejected', reason: { code: 'RR_OUTPUT_WRITE' } })
      expect(ledger.answerTo('b')).toBeNull()
      disk.free()
      await ledger.append(done('b', long))
      await ledger.close()
      const again = await Ledger.open(place)
      expect([again.answerTo('a')?.key, again.answerTo('b')?.choices[0]?.text]).toEqual(['a', long])
      await again.close()
    } finally {
      disk.remove()
    }
  })

  it.each([0, 1, 2, 3])(
    'loses no answer when a write or an fsync fails (the one after %i)',
    async (count) => {
      const ledger = await Ledger.open(folder)
      const handle = (ledger as unknown as { handle: FileHandle }).handle
      for (const method of ['appendFile', 'datasync'] as const) {
        const real = handle[method].bind(handle) as () => Promise<void>
        let left = count
        const failing = vi.spyOn(handle, method).mockImplementation((async (...given: []) => {
          if (left-- === 0)
            throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO', syscall: 'write' })
          return real(...given)
        }) as never)
        const keys = Array.from({ length: 6 }, (_, k) => `${method}${k}`)
        const held: string[] = []
        for (const key of keys) {
          const kept = await ledger.append(done(key)).then(
            () => true,
            (error: { code: string }) => {
              expect(error.code).toBe('RR_OUTPUT_WRITE')
              return false
            },
          )
          if (kept) held.push(key)
        }
        failing.mockRestore()
        expect(held.length).toBe(5)
        for (const key of held) expect(ledger.answerTo(key)?.key).toBe(key)
      }
      await ledger.close()
      const again = await Ledger.open(folder)
      expect(again.totals().answered).toBeGreaterThanOrEqual(10)
      await again.close()
    },
  )

  it('has one writer', async () => {
    const ledger = await Ledger.open(folder)
    await expect(Ledger.open(folder)).rejects.toMatchObject({ code: 'RR_OUTPUT_IN_USE' })
    await ledger.close()
    await (await Ledger.open(folder)).close()
  })

  it('notices that somebody else changed the file', async () => {
    const ledger = await Ledger.open(folder)
    await ledger.append(done('a'))
    truncateSync(file, 3)
    expect(() => ledger.answerTo('a')).toThrow(expect.objectContaining({ code: 'RR_TEACHER_LEDGER' }))
    await ledger.close()
  })

  it('keeps every line of many that come together, in few writes', async () => {
    const ledger = await Ledger.open(folder)
    const keys = Array.from({ length: 500 }, (_, k) => `k${k}`)
    await Promise.all(
      keys.flatMap((key) => [ledger.note(intent(key)), ledger.append(done(key, `to ${key}`))]),
    )
    expect(keys.every((key) => ledger.answerTo(key)?.choices[0]?.text === `to ${key}`)).toBe(true)
    await ledger.close()
  })

  it('reads any bytes as a line or as none, and what it wrote as what it was', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(parseLedgerLine(Buffer.from(bytes))).toBeNull()
      }),
      { numRuns: 50 },
    )
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.nat(), (text, at) => {
        const line = ledgerLine(done('a', text))
        expect(parseLedgerLine(line)).toEqual(JSON.parse(JSON.stringify(done('a', text))))
        const bent = Buffer.from(line)
        const place = at % (bent.length - 1)
        bent[place] = (bent[place] as number) ^ 1
        expect(parseLedgerLine(bent)).toBeNull()
      }),
      { numRuns: 50 },
    )
  })
})

/** Objects of a file: one JSON object or Python dict a line, or one JSON document of a bounded size. */

import { isUtf8 } from 'node:buffer'
import { stat } from 'node:fs/promises'
import { ReasonrecError } from '../../engine/errors.js'
import { bytesOf, eachLine, type LineOptions, malformedLine, notUtf8 } from './lines.js'
import { parsePython } from './python-literal.js'

export type DataObject = Readonly<Record<string, unknown>>

/** An object in JSON, else as a Python dict; null where the text is neither. */
export function parseObject(text: string): DataObject | null {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    if (!/^\s*\{\s*[uU]?['"}]/.test(text)) return null
    try {
      value = parsePython(text)
    } catch {
      return null
    }
  }
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as DataObject) : null
}

export async function eachObject(
  path: string,
  options: LineOptions,
  visit: (value: DataObject, line: number) => void,
): Promise<void> {
  await eachLine(path, options, (text, line) => {
    if (text.trim() === '') return
    const value = parseObject(text)
    if (!value) throw malformedLine(path, line, 'one JSON object (or Python dict) a line', text)
    visit(value, line)
  })
}

const largestDocument = 1024 ** 3 // bytes

/** A file that is one JSON value. */
export async function readJson(path: string): Promise<unknown> {
  const { size } = await stat(path)
  if (size > largestDocument)
    throw new ReasonrecError('RR_DATA_MALFORMED', `${path}: too large for one JSON document`, {
      expected: `at most ${largestDocument} bytes`,
      got: `${size} bytes`,
      remedy: 'write it as JSON lines',
      file: path,
    })
  const chunks: Buffer[] = []
  for await (const chunk of bytesOf(path)) chunks.push(chunk)
  const bytes = Buffer.concat(chunks)
  if (!isUtf8(bytes)) throw notUtf8(path, 1)
  const text = bytes.toString('utf8').replace(/^\uFEFF/, '')
  try {
    return JSON.parse(text)
  } catch (error) {
    // The engine names the place by position or, at an early end, not at all.
    const place = Number(/position (\d+)/.exec((error as Error).message)?.[1] ?? text.length)
    const line = text.slice(0, place).split('\n').length
    if (place >= text.trimEnd().length)
      throw new ReasonrecError(
        'RR_DATA_TRUNCATED',
        `${path}:${line}: the file ends in the middle of its JSON`,
        {
          expected: 'a whole JSON document',
          got: text.slice(-40),
          remedy: 'copy or download the file again',
          file: path,
          line,
        },
      )
    throw malformedLine(path, line, 'one JSON document', text.slice(place, place + 40))
  }
}

/** A field as text: '' for what is absent; lists joined by a bar. */
export function textOf(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (Array.isArray(value)) return value.map(textOf).filter(Boolean).join('|')
  return typeof value === 'object' ? '' : String(value)
}

/** A field as a number: NaN for what is none. */
export function numberOf(value: unknown): number {
  if (typeof value === 'number') return value
  return typeof value === 'string' && value.trim() !== '' ? Number(value) : Number.NaN
}

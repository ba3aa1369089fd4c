/** The first bytes of a file as a format looks at them. */

import { isUtf8 } from 'node:buffer'
import { readHead } from '../file-check.js'
import { delimiterOf, headerOf, openTable } from '../table.js'
import type { Head } from './format.js'
import { type DataObject, parseObject } from './objects.js'

const mostLines = 100

/** @throws what refuses the file as a whole (file-check.ts) */
export async function headOf(path: string): Promise<Head> {
  const { kind, bytes } = await readHead(path)
  const name = (path.split(/[\\/]/).at(-1) ?? '').toLowerCase()
  if (kind !== 'text')
    return {
      path,
      name,
      kind,
      text: '',
      lines: [],
      columns: kind === 'parquet' ? (await openTable(path)).columns : [],
    }
  const end = bytes.lastIndexOf(0x0a) + 1
  const whole = end > 0 ? bytes.subarray(0, end) : bytes
  const text = (isUtf8(whole) ? whole.toString('utf8') : whole.toString('latin1')).replace(/^\uFEFF/, '')
  const lines = text
    .split('\n')
    .map((line) => line.replace(/\r$/, ''))
    .filter((line) => line !== '')
    .slice(0, mostLines)
  return { path, name, kind, text, lines, columns: [] }
}

const objects = new WeakMap<Head, DataObject | null>()

/** The object in the first line, JSON or Python; null where it is none. */
export function firstObject(head: Head): DataObject | null {
  const known = objects.get(head)
  if (known !== undefined) return known
  const [first = ''] = head.lines
  const found = first.startsWith('{') ? parseObject(first) : null
  objects.set(head, found)
  return found
}

/** Column names of the first line, in lower case; of a Parquet file its columns. */
export function headerCells(head: Head, delimiter?: string): readonly string[] {
  if (head.kind === 'parquet') return head.columns
  const [first = ''] = head.lines
  return headerOf(first, delimiter ?? delimiterOf(head.name, first))
}

/** Cells of the first lines between a delimiter that is never quoted. */
export const splitLines = ({ lines }: Pick<Head, 'lines'>, by: string | RegExp): string[][] =>
  lines.map((line) => line.split(by))

/** Every one of the first lines has this form, and there is one. */
export const everyLine = ({ lines }: Pick<Head, 'lines'>, form: RegExp): boolean =>
  lines.length > 0 && lines.every((line) => form.test(line))

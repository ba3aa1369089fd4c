/**
 * Lists of candidates on disk, so that every method, here or elsewhere, answers the same ones. JSON lines: a head
 *
 *   {"schema":1,"kind":"candidates","dataset":"...","protocol":"C20","seed":0,"parts":{"valid":610,"test":610}}
 *
 * and a line for each instance: {"id":"test/u/12","target":"i7","candidates":["i3","i7",...]}, ids as in the
 * files, in the order shown. A file is used whole: a list that is missing, names another target or holds an
 * unknown item is an error, because a table would mix two protocols.
 */

import { createReadStream, existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { createGunzip } from 'node:zlib'
import { ReasonrecError } from '../engine/errors.js'
import type { Draft } from './drafts.js'
import type { Dataset, Instance, Item, ItemIndex, Part } from './types.js'

interface Head {
  readonly schema: 1
  readonly kind: 'candidates'
  readonly dataset: string
  readonly protocol: string
  readonly seed: number
  readonly parts: Partial<Readonly<Record<Part, number>>>
}

export interface StoredLists {
  readonly path: string
  readonly head: Head
  /** By instance id. */
  readonly lists: ReadonlyMap<string, { readonly target: string; readonly candidates: readonly string[] }>
}

/** The text of a candidate file: a line each, without the last line's end. */
export function* candidateLines(
  dataset: Dataset,
  parts: Partial<Readonly<Record<Part, readonly Instance[]>>>,
  protocol: string,
  seed: number,
): Generator<string> {
  const given = Object.entries(parts) as [Part, readonly Instance[]][]
  const head: Head = {
    schema: 1,
    kind: 'candidates',
    dataset: dataset.name,
    protocol,
    seed,
    parts: Object.fromEntries(given.map(([part, instances]) => [part, instances.length])),
  }
  yield JSON.stringify(head)
  const id = (item: ItemIndex): string => (dataset.items[item] as Item).id
  for (const [, instances] of given)
    for (const { id: name, target, candidates } of instances)
      yield JSON.stringify({ id: name, target: id(target), candidates: candidates.map(id) })
}

/** @throws RR_DATA_NOT_FOUND, RR_DATA_MALFORMED */
export async function readCandidateFile(path: string): Promise<StoredLists> {
  if (!existsSync(path))
    throw new ReasonrecError('RR_DATA_NOT_FOUND', `there is no candidate file ${path}`, {
      expected: 'a file that `data candidates` wrote',
      got: 'nothing',
      remedy: 'correct data.cand_file',
    })
  const bytes = createReadStream(path)
  const lines = createInterface({ input: path.endsWith('.gz') ? bytes.pipe(createGunzip()) : bytes })
  const lists = new Map<string, { target: string; candidates: readonly string[] }>()
  let head: Head | null = null
  let line = 0
  for await (const text of lines) {
    line++
    const value = parsed(path, line, text)
    if (line === 1) head = headOf(path, text, value)
    else {
      const { id, target, candidates } = value
      const whole = typeof id === 'string' && typeof target === 'string' && isTexts(candidates)
      if (!whole) throw malformed(path, line, '{"id": ..., "target": ..., "candidates": [...]}', text)
      if (lists.has(id)) throw malformed(path, line, 'each instance once', `${id} again`)
      lists.set(id, { target, candidates })
    }
  }
  if (!head) throw malformed(path, 1, 'a head line', 'an empty file')
  const told = Object.values(head.parts).reduce((sum, count) => sum + (count ?? 0), 0)
  if (told !== lists.size)
    throw malformed(path, line, `${told} lists, as the head says`, `${lists.size}; the file is cut short`)
  return { path, head, lists }
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.length > 1 && value.every((one) => typeof one === 'string')
}

function headOf(path: string, text: string, { kind, schema, parts }: Record<string, unknown>): Head {
  if (kind === 'candidates' && schema === 1 && typeof parts === 'object' && parts !== null)
    return JSON.parse(text) as Head
  throw malformed(path, 1, '{"schema":1,"kind":"candidates",...}', text)
}

function parsed(path: string, line: number, text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>
  } catch {
    // Said below.
  }
  throw malformed(path, line, 'a JSON object', text)
}

function malformed(path: string, line: number, expected: string, got: string): ReasonrecError {
  return new ReasonrecError('RR_DATA_MALFORMED', `${path}:${line}: not a line of a candidate file`, {
    expected,
    got: got.slice(0, 120),
    remedy: 'write the file again with `reasonrec data candidates`',
    file: path,
    line,
  })
}

/** The stored list of a draft, as item indices in the stored order. */
export function storedList(
  stored: StoredLists,
  draft: Draft,
  items: readonly Item[],
  indexOf: ReadonlyMap<string, ItemIndex>,
): ItemIndex[] {
  const refuse = (expected: string, got: string): ReasonrecError =>
    new ReasonrecError('RR_DATA_CANDIDATES', `${stored.path} does not fit the data at ${draft.id}`, {
      expected,
      got,
      remedy: 'use the file with the data, split and histories it was written for, or write it again',
      file: stored.path,
    })
  const list = stored.lists.get(draft.id)
  if (!list) throw refuse('a list for each instance of its parts', 'none')
  const target = (items[draft.target] as Item).id
  if (indexOf.get(list.target) !== draft.target) throw refuse(`target ${target}`, `target ${list.target}`)
  const candidates = list.candidates.map((id) => {
    const index = indexOf.get(id)
    if (index === undefined) throw refuse('items of the data', `item ${id.slice(0, 80)}`)
    return index
  })
  if (new Set(candidates).size !== candidates.length || !candidates.includes(draft.target))
    throw refuse('different items with the target among them', `${candidates.length} items`)
  return candidates
}

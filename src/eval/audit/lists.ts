/**
 * The lists that the audit reads, as codes: an item's code is its place in the items file. Published lists are
 * taken as printed, ids and order included, for that is what other programs train on; lists drawn here are
 * taken as shown.
 */

import type { Dataset, Item, ItemIndex, Part, PrintedRows } from '../../data/types.js'
import { trainCounts } from '../baselines/baseline.js'

export interface AuditedList {
  readonly user: string
  /** Codes, oldest first. */
  readonly history: readonly number[]
  readonly target: number
  /** Codes in printed order, the target among them. */
  readonly candidates: readonly number[]
}

export interface AuditedPart {
  readonly part: Part
  readonly source: 'published' | 'drawn'
  /** False where the file keeps the target in a column of its own. */
  readonly slotted: boolean
  readonly lists: readonly AuditedList[]
}

export interface Codes {
  /** Id by code. */
  readonly ids: readonly string[]
  /** The ids as numbers where every one is a whole number from 0, else null. */
  readonly numbers: Float64Array | null
  /** Place in the catalogue by code; -1 for an item without a title. */
  readonly index: Int32Array
  /** Interactions of the training part by code. */
  readonly counts: Float64Array
  readonly codeOf: ReadonlyMap<string, number>
}

export function codesOf(dataset: Dataset): Codes {
  const ids = dataset.printed?.itemIds ?? dataset.items.map(({ id }) => id)
  const codeOf = new Map(ids.map((id, code) => [id, code]))
  const numeric = ids.every((id) => /^\d{1,15}$/.test(id))
  const own = new Map(dataset.items.map(({ id }, index) => [id, index]))
  const indexOf = dataset.printed?.indexOf ?? own
  const index = Int32Array.from(ids, (id) => indexOf.get(id) ?? -1)
  const perItem = trainCounts(dataset)
  return {
    ids,
    numbers: numeric ? Float64Array.from(ids, Number) : null,
    index,
    counts: Float64Array.from(index, (item) => (item < 0 ? 0 : (perItem[item] as number))),
    codeOf,
  }
}

export function auditedPart(dataset: Dataset, part: Part, codes: Codes): AuditedPart | null {
  const printed = dataset.printed?.parts[part]
  const fromFile = printed ? printedLists(printed, codes) : []
  if (printed && fromFile.length > 0)
    return { part, source: 'published', slotted: printed.targetApart !== true, lists: fromFile }
  if (dataset.fullRanking || part === 'train') return null
  const code = (item: ItemIndex): number => codes.codeOf.get((dataset.items[item] as Item).id) as number
  const lists = dataset[part].map(({ user, history, target, candidates }) => ({
    user,
    history: history.map(code),
    target: code(target),
    candidates: candidates.map(code),
  }))
  return lists.length > 0 ? { part, source: 'drawn', slotted: true, lists } : null
}

function printedLists({ rows }: PrintedRows, { codeOf }: Codes): AuditedList[] {
  return rows.flatMap(({ user, history, target, candidates }) => {
    if (!candidates) return []
    const code = (id: string): number => codeOf.get(id) as number
    return [{ user, history: history.map(code), target: code(target), candidates: candidates.map(code) }]
  })
}

/** Training targets behind their histories: where a generator that draws lists from the target would have drawn. */
export function trainingWindows(
  dataset: Dataset,
  codes: Codes,
): readonly Pick<AuditedList, 'history' | 'target'>[] {
  const printed = dataset.printed?.parts.train
  if (printed)
    return printed.rows.map(({ history, target }) => ({
      history: history.map((id) => codes.codeOf.get(id) as number),
      target: codes.codeOf.get(target) as number,
    }))
  const code = (item: ItemIndex): number => codes.codeOf.get((dataset.items[item] as Item).id) as number
  return dataset.train.map(({ history, target }) => ({ history: history.map(code), target: code(target) }))
}

/**
 * data import: everything under a path into folders of our own form. One set goes to the output folder itself, several
 * to a subfolder each. A file that cannot be read is refused by name and holds up nobody but the sets it belongs to.
 */

import { mkdirSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { ReasonrecError } from '../../engine/errors.js'
import { intoFolder, requireFree } from '../../export/staging.js'
import { note } from '../catalogue.js'
import { checkTextFile } from '../file-check.js'
import type { Imported, TiePolicy } from '../raw.js'
import { normaliseTitle } from '../title.js'
import { type TableForm, writeSet } from '../write.js'
import { type Arranged, arrange } from './arrange.js'
import { discover, type Found } from './discover.js'
import type { ReadOptions, Refusal } from './format.js'
import { readSet } from './read.js'

export interface ImportOptions extends ReadOptions {
  readonly format?: string | undefined
  /** A table with further titles. */
  readonly items?: string | undefined
  readonly ties?: TiePolicy | undefined
  readonly seed?: number | undefined
  readonly form?: TableForm | undefined
  readonly progress?: ImportProgress | undefined
}

export interface ImportProgress {
  /** `bytes` as on the disk; what is read of a packed file counts unpacked. */
  start(set: string, bytes: number): void
  read(bytes: number): void
  writing(rows: number): void
  wrote(rows: number): void
  end(): void
}

export interface ImportedSet {
  readonly name: string
  readonly format: string
  readonly out: string
  readonly users: number
  readonly items: number
  readonly interactions: number
  readonly titled: number
  /** Unit of the times in the source; null where there are positions only. */
  readonly time_unit: string | null
  readonly ties: { readonly policy: TiePolicy; readonly share: number }
  readonly duplicates: number
  /** Rows of given lists. */
  readonly lists: Readonly<Record<string, number>>
  readonly notes: readonly string[]
}

export interface ImportReport {
  readonly sets: readonly ImportedSet[]
  readonly refused: readonly Refusal[]
  readonly ignored: readonly string[]
}

export async function importPath(
  path: string,
  out: string,
  options: ImportOptions = {},
): Promise<ImportReport> {
  // Named columns are of tables of no format in particular.
  const forced = options.columns?.user !== undefined || options.columns?.item !== undefined
  const format = options.format ?? (forced ? 'generic' : null)
  const { found, refused, ignored } = await discover(path, format, forced)
  const refusals = [...refused]
  const sets: ImportedSet[] = []
  const alone = found.length + refused.length <= 1
  const taken = new Set<string>()
  for (const one of found) {
    const folder = alone ? resolve(out) : join(resolve(out), freeName(one.set.name, taken))
    try {
      sets.push(await importSet(one, folder, options))
    } catch (error) {
      options.progress?.end()
      if (!(error instanceof ReasonrecError) || !error.code.startsWith('RR_DATA')) throw error
      if (alone) throw error
      const file = error.details.file
      refusals.push({ path: typeof file === 'string' ? file : (one.set.files[0]?.path ?? path), error })
      refusals.push(...(await otherFaults(one, file)))
    }
  }
  if (alone && sets.length === 0) throw refusals[0]?.error ?? nothing(path, ignored)
  const known = new Set<string>()
  return {
    sets,
    ignored,
    refused: refusals.filter(({ path: file, error }) => {
      const key = `${file} ${error.code}`
      return !known.has(key) && known.add(key)
    }),
  }
}

function nothing(path: string, ignored: readonly string[]): ReasonrecError {
  return new ReasonrecError('RR_DATA_NOT_FOUND', `${path} holds no data of a known format`, {
    expected: 'files of a known format (reasonrec data import --help lists them)',
    got: ignored.length > 0 ? `${ignored.length} files of none` : 'no files',
    remedy: 'look at it with reasonrec data inspect; name columns with --user-column and --item-column',
  })
}

/** What else is wrong in a set that failed: its other tables are not read any more. */
async function otherFaults({ format, set }: Found, told: unknown): Promise<Refusal[]> {
  if (format.name !== 'generic') return []
  const faults: Refusal[] = []
  for (const { path, kind } of set.files)
    if (path !== told && kind === 'text')
      await checkTextFile(path).catch((error: unknown) => {
        if (!(error instanceof ReasonrecError)) throw error
        faults.push({ path, error })
      })
  return faults
}

function freeName(wanted: string, taken: Set<string>): string {
  const base = wanted.replace(/[^\w.-]+/g, '_').replace(/^[._]+/, '') || 'set'
  let name = base
  for (let number = 2; taken.has(name); number++) name = `${base}-${number}`
  taken.add(name)
  return name
}

async function importSet(found: Found, out: string, options: ImportOptions): Promise<ImportedSet> {
  const { ties = 'file', seed = 0, progress } = options
  requireFree(out)
  const bytes = found.set.files.reduce(
    (sum, { path }) => sum + (statSync(path, { throwIfNoEntry: false })?.size ?? 0),
    0,
  )
  progress?.start(found.set.name, bytes)
  const onBytes = progress && ((_: string, read: number) => progress.read(read))
  const imported = await readSet(found, { ...options, onBytes }, options.items ?? null)
  const arranged = arrange(imported, ties, seed)
  progress?.writing(arranged.order.length)
  const summary = summaryOf(imported, arranged, ties, out)
  const origin = imported.origin ?? originOf(imported, summary, seed)
  mkdirSync(join(out, '..'), { recursive: true })
  await intoFolder(out, (folder) =>
    writeSet(folder, imported, arranged.order, origin, options.form, (rows) => progress?.wrote(rows)),
  )
  progress?.end()
  return summary
}

function originOf(
  { format, unit }: Imported,
  { ties, duplicates, notes }: ImportedSet,
  seed: number,
): object {
  return {
    format,
    time_unit: unit,
    ties: ties.policy === 'shuffle' ? { ...ties, seed } : ties,
    duplicate_rows_dropped: duplicates,
    notes,
  }
}

function summaryOf(
  imported: Imported,
  { order, tied, neighbours, duplicates }: Arranged,
  policy: TiePolicy,
  out: string,
): ImportedSet {
  const { columns, items } = imported
  const lists = {
    train_windows: imported.windows,
    valid: imported.valid,
    test: imported.test,
    candidates: imported.lastItem,
  }
  const titles = items.flatMap(({ title }) => (title === '' ? [] : [normaliseTitle(title)]))
  const share = neighbours === 0 ? 0 : tied / neighbours
  return {
    name: imported.name,
    format: imported.format,
    out,
    users: columns.userIds.length,
    items: columns.itemIds.length,
    interactions: order.length,
    titled: titles.length,
    time_unit: imported.unit,
    ties: { policy, share },
    duplicates,
    lists: Object.fromEntries(
      Object.entries(lists).flatMap(([name, given]) => (given ? [[name, given.rows.length] as const] : [])),
    ),
    notes: [
      ...imported.notes,
      ...note(duplicates, 'duplicate interactions (same user, item and time) were dropped'),
      ...note(
        titles.length - new Set(titles).size,
        'titles are shared by several ids: those that year and authors do not tell apart become one item when the set is loaded',
      ),
      ...note(items.length - titles.length, 'items have no title'),
      ...(share > 0
        ? [
            `${(100 * share).toFixed(1)} % of neighbouring interactions of a user share their time: ${policy === 'shuffle' ? 'in an order drawn from the seed' : 'in the order of the file'}`,
          ]
        : []),
    ],
  }
}

/**
 * The one way in: a path in any known format becomes an `Imported`, for `data import`, and `RawData`, for a run. A run
 * takes one data set: of several forms of one set the preferred one, else it says which there are.
 */

import { resolve } from 'node:path'
import { ReasonrecError } from '../../engine/errors.js'
import type { Imported, RawData, RawInteraction, TiePolicy } from '../raw.js'
import { arrange } from './arrange.js'
import { canonical, canonicalSet } from './canonical.js'
import { type CoreOptions, keptRows } from './core.js'
import { discover, type Found } from './discover.js'
import type { ReadOptions } from './format.js'
import { readTitles } from './formats/generic.js'
import { headOf } from './head.js'
import { Intake } from './intake.js'

/** `items`: a table with further titles, for sets that have none. */
export async function readSet(
  { format, set }: Found,
  options: ReadOptions = {},
  items: string | null = null,
): Promise<Imported> {
  const intake = new Intake(options, format.verbatim)
  const about = await format.read(set, intake)
  if (items !== null) await readTitles({ ...(await headOf(items)), role: 'items' }, intake)
  return intake.finish(format, set, about)
}

/** How a run reads: what is cut away, and what becomes of equal times. */
export interface RawOptions extends CoreOptions {
  readonly ties: TiePolicy
  /** Of an order that is drawn. */
  readonly tieSeed: number
}

export async function readRaw(path: string, options: RawOptions): Promise<RawData> {
  const imported = await readSet(await theOne(path))
  if (imported.items.length > 0 && !imported.items.some(({ title }) => title !== '')) throw untitled(imported)
  return rawOf(imported, options)
}

/** Every set under a path, with titles or without. */
export async function* readAll(path: string): AsyncGenerator<RawData> {
  const { found, refused } = await discover(path)
  const [first] = refused
  if (found.length === 0 && first) throw first.error
  if (found.length === 0) await canonicalSet(resolve(path))
  for (const one of found) yield rawOf(await readSet(one), asItIs)
}

const asItIs: RawOptions = { core: null, maxUsers: null, seed: 0, ties: 'file', tieSeed: 0 }

async function theOne(path: string): Promise<Found> {
  const { found, refused } = await discover(path).catch(async (error: unknown) => {
    // A path that is nothing is told as a missing data folder.
    if (error instanceof ReasonrecError && error.code === 'RR_DATA_NOT_FOUND') await canonicalSet(path)
    throw error
  })
  // A run does not go on without a table that is there and cannot be read.
  const [first] = refused
  if (first) throw first.error
  const best = Math.min(...found.map(({ set }) => set.preference))
  const [one, other] = found.filter(({ set }) => set.preference === best)
  // Says what a folder of ours would need.
  if (!one) return { format: canonical, set: await canonicalSet(resolve(path)) }
  if (!other) return one
  throw new ReasonrecError('RR_DATA_SEVERAL', `${path} holds ${found.length} data sets`, {
    expected: 'one',
    got: found.map(({ format, set }) => `${set.name} (${format.name})`).join(', '),
    remedy: 'name one of their files, or import them with reasonrec data import',
  })
}

function rawOf(imported: Imported, options: RawOptions): RawData {
  const { columns, wholeCatalogue, interactionsPath } = imported
  const { ties, tieSeed, ...core } = options
  const given = imported.windows ?? imported.valid ?? imported.test ?? imported.lastItem
  // Published lists name users and items that a cut would take away.
  if (given && (core.core !== null || core.maxUsers !== null))
    throw new ReasonrecError(
      'RR_DATA_CORE',
      `${interactionsPath} comes with published lists and is not cut`,
      {
        expected: 'data.core and data.max_users left alone',
        got: `core ${core.core}, max_users ${core.maxUsers}`,
        remedy: 'set both to null, or move the lists away',
      },
    )
  const kept = keptRows(columns, core)
  // In the order of the file all is left to buildSequences, whose sort is stable.
  const arranged = ties === 'file' ? null : arrange(imported, ties, tieSeed)
  const interactions: RawInteraction[] = []
  for (const row of arranged?.order ?? columns.users.keys()) {
    if (kept[row] === 0) continue
    const rating = columns.ratings[row] as number
    interactions.push({
      user: columns.userIds[columns.users[row] as number] as string,
      item: columns.itemIds[columns.items[row] as number] as string,
      rating: Number.isNaN(rating) ? null : rating,
      timestamp: columns.times[row] as number,
      line: columns.lines[row] as number,
    })
  }
  const {
    format: _format,
    columns: _columns,
    unit: _unit,
    notes: _notes,
    origin: _origin,
    ...rest
  } = imported
  return {
    ...rest,
    interactions,
    ties,
    doubled: arranged ? kept.reduce((sum, one) => sum + one, 0) - interactions.length : 0,
    items: wholeCatalogue || given ? imported.items : itemsOf(imported, interactions),
  }
}

/** The items that occur, in the order in which they do. */
function itemsOf({ items }: Imported, interactions: readonly RawInteraction[]): RawData['items'] {
  const byId = new Map(items.map((item) => [item.id, item]))
  return [...new Set(interactions.map(({ item }) => item))].flatMap((id) => byId.get(id) ?? [])
}

function untitled({ itemsPath, items }: Imported): ReasonrecError {
  return new ReasonrecError('RR_DATA_NO_TITLES', `${itemsPath}: no item has a title`, {
    expected: 'titles: a language model reads nothing else of an item',
    got: `${items.length} items with ids only`,
    remedy: 'import it with reasonrec data import PATH --items FILE, a table with item and title',
    file: itemsPath,
  })
}

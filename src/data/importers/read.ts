/** A folder in any form that is understood: our own, MovieLens-1M, or Amazon reviews with their metadata. */

import { resolve } from 'node:path'
import { ReasonrecError } from '../../engine/errors.js'
import { amazonFiles, readAmazon } from './amazon.js'
import { hasCanonical, type RawData, readCanonical } from './canonical.js'
import { type CoreOptions, keptRows, Numbering } from './core.js'
import { isMovielens1m, readMovielens1m } from './movielens-1m.js'

export async function readRaw(directory: string, options: CoreOptions): Promise<RawData> {
  const folder = resolve(directory)
  if (!hasCanonical(folder)) {
    if (isMovielens1m(folder)) return cut(await readMovielens1m(folder), options)
    const files = amazonFiles(folder)
    if (files) return readAmazon(files, options)
  }
  return cut(await readCanonical(directory), options)
}

/** Published lists name users and items that a cut would take away. */
function cut(raw: RawData, options: CoreOptions): RawData {
  if (options.core === null && options.maxUsers === null) return raw
  if (raw.windows ?? raw.valid ?? raw.test ?? raw.lastItem)
    throw new ReasonrecError(
      'RR_DATA_CORE',
      `${raw.interactionsPath} comes with published lists and is not cut`,
      {
        expected: 'data.core and data.max_users left alone',
        got: `core ${options.core}, max_users ${options.maxUsers}`,
        remedy: 'set both to null, or move the lists away',
      },
    )
  const [userIds, itemIds] = [new Numbering(), new Numbering()]
  const users = Int32Array.from(raw.interactions, ({ user }) => userIds.of(user))
  const items = Int32Array.from(raw.interactions, ({ item }) => itemIds.of(item))
  const kept = keptRows({ users, items, userIds: userIds.ids, itemIds: itemIds.ids }, options)
  return { ...raw, interactions: raw.interactions.filter((_, row) => kept[row] === 1) }
}

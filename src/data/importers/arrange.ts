/**
 * The order of an import's rows: users as they first come, each oldest first, rows that repeat user, item and time of an
 * earlier one dropped. Rows of a user with equal times keep the order of the file (`file`), are put into an order drawn
 * from seed, user and time (`shuffle`: a file that lists ties by id would give ids away), or refuse the import (`refuse`).
 * Sorting is by user with counts, then within a user: no list of all rows is ever compared.
 */

import { ReasonrecError } from '../../engine/errors.js'
import { seeded } from '../random.js'
import type { Columns, Imported, TiePolicy } from '../raw.js'

export interface Arranged {
  /** Rows kept, in their order. */
  readonly order: Int32Array
  /** Neighbours of a user with equal times, of all neighbours. */
  readonly tied: number
  readonly neighbours: number
  readonly duplicates: number
}

export function arrange(
  { columns, interactionsPath }: Pick<Imported, 'columns' | 'interactionsPath'>,
  policy: TiePolicy,
  seed: number,
): Arranged {
  const { times, items } = columns
  const { rows, starts } = rowsByUser(columns)
  const order = new Int32Array(rows.length)
  let [kept, tied, neighbours] = [0, 0, 0]
  for (let user = 0; user + 1 < starts.length; user++) {
    const own = rows.subarray(starts[user], starts[user + 1])
    if (own.some((row, place) => place > 0 && timeAt(times, row) < timeAt(times, own[place - 1] as number)))
      own.sort((a, b) => timeAt(times, a) - timeAt(times, b) || a - b)
    const first = kept
    for (let place = 0; place < own.length; ) {
      let end = place + 1
      while (end < own.length && timeAt(times, own[end] as number) === timeAt(times, own[place] as number))
        end++
      const run = end - place === 1 ? [own[place] as number] : withoutDoubles(own.subarray(place, end), items)
      if (run.length > 1 && policy === 'refuse') throw refused(columns, interactionsPath, run)
      const drawn = run.length > 1 && policy === 'shuffle' ? shuffled(run, columns, seed) : run
      for (const row of drawn) order[kept++] = row
      tied += run.length - 1
      place = end
    }
    neighbours += kept - first - 1
  }
  return { order: order.subarray(0, kept), tied, neighbours, duplicates: rows.length - kept }
}

const timeAt = (times: Float64Array, row: number): number => times[row] as number

/** Row numbers of user 0, then of user 1, ...; user u's stand from starts[u] to starts[u + 1]. */
function rowsByUser({ users, userIds }: Columns): { readonly rows: Int32Array; readonly starts: Int32Array } {
  const starts = new Int32Array(userIds.length + 1)
  for (const user of users) starts[user + 1]!++
  for (let user = 0; user < userIds.length; user++) starts[user + 1]! += starts[user] as number
  const next = starts.slice()
  const rows = new Int32Array(users.length)
  for (let row = 0; row < users.length; row++) rows[next[users[row] as number]!++] = row
  return { rows, starts }
}

function withoutDoubles(run: Int32Array, items: Int32Array): number[] {
  const seen = new Set<number>()
  return [...run].filter((row) => {
    const item = items[row] as number
    if (seen.has(item)) return false
    seen.add(item)
    return true
  })
}

/** Drawn from what the rows say, not from where they stand: the same rows in another order come out alike. */
function shuffled(
  run: readonly number[],
  { users, items, times, userIds, itemIds }: Columns,
  seed: number,
): number[] {
  const idOf = (row: number): string => itemIds[items[row] as number] as string
  const [first = 0] = run
  const sorted = [...run].sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1))
  return seeded(seed, 'ties', userIds[users[first] as number] as string, timeAt(times, first)).shuffled(
    sorted,
  )
}

function refused(
  { lines, users, userIds, times }: Columns,
  path: string,
  run: readonly number[],
): ReasonrecError {
  const [first = 0, second = 0] = run
  const [line, user] = [lines[second] as number, userIds[users[first] as number] as string]
  return new ReasonrecError('RR_DATA_TIES', `${path}:${line}: rows of one user share their time`, {
    expected: 'different times for all rows of a user (--ties refuse)',
    got: `user ${user.slice(0, 40)}, time ${timeAt(times, first)}, lines ${lines[first]} and ${line}`,
    remedy: 'give --ties file to keep the order of the file, or --ties shuffle to draw one from a seed',
    file: path,
    line,
  })
}

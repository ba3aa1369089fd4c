/**
 * Probes: ways to answer that read no history (or nothing of it but ids). A probe scores the candidates of each
 * list; metrics are means over random orders of equal scores, so a probe that knows nothing has the value of
 * guessing exactly. What a probe must not use, it does not get: memory of places and of negatives is taken from
 * the lists of other users only.
 */

import { normaliseTitle } from '../../data/title.js'
import type { Dataset, Item, Part } from '../../data/types.js'
import { metricsOfStanding, standing } from '../metrics.js'
import type { AuditedList, AuditedPart, Codes } from './lists.js'

export type ProbeId =
  | 'target_place'
  | 'nearest_id'
  | 'smallest_id'
  | 'list_memory'
  | 'place_memory'
  | 'redrawn_list_memory'
  | 'redrawn_place_memory'
  | 'popularity'
  | 'rarity'
  | 'seldom_negative'
  | 'title_in_history'

export interface Probe {
  readonly id: ProbeId
  readonly part: Part
  readonly n: number
  readonly hr1: number
  readonly hr5: number
  readonly ndcg5: number
  readonly mrr: number
  /** Standard error of hr1 over the lists. */
  readonly se: number
  /** hr1 of guessing on the same lists. */
  readonly chance: number
}

/** One score for each candidate, in their order. */
export type ListScore = (list: AuditedList, place: number) => readonly number[]

export function probe(id: ProbeId, { part, lists }: AuditedPart, score: ListScore): Probe {
  const sums = { hr1: 0, hr5: 0, ndcg5: 0, mrr: 0, squares: 0, chance: 0 }
  lists.forEach((list, place) => {
    const target = list.candidates.indexOf(list.target)
    const { hr1, hr5, ndcg5, mrr } = metricsOfStanding(standing(score(list, place), target), 'expected')
    sums.hr1 += hr1
    sums.hr5 += hr5
    sums.ndcg5 += ndcg5
    sums.mrr += mrr
    sums.squares += hr1 * hr1
    sums.chance += 1 / list.candidates.length
  })
  const n = lists.length
  const mean = sums.hr1 / n
  const variance = n > 1 ? Math.max(0, sums.squares - n * mean * mean) / (n - 1) : 0
  return {
    id,
    part,
    n,
    hr1: mean,
    hr5: sums.hr5 / n,
    ndcg5: sums.ndcg5 / n,
    mrr: sums.mrr / n,
    se: Math.sqrt(variance / n),
    chance: sums.chance / n,
  }
}

/** Better than guessing by more than noise (four standard errors) and by enough to matter (half as much again). */
export function tells({ hr1, se, chance, n }: Probe): boolean {
  const noise = Math.max(se, Math.sqrt((chance * (1 - chance)) / n))
  return hr1 > chance + 4 * noise && hr1 > 1.5 * chance
}

/** How often the target stood at each place in the lists of users of the other half (by turns). */
export function targetPlace(part: AuditedPart): Probe {
  const longest = Math.max(...part.lists.map(({ candidates }) => candidates.length))
  const users = [...new Set(part.lists.map(({ user }) => user))]
  const halfOf = new Map(users.map((user, turn) => [user, turn % 2]))
  const counts = [new Float64Array(longest), new Float64Array(longest)]
  for (const { user, candidates, target } of part.lists) {
    const half = counts[1 - (halfOf.get(user) as number)] as Float64Array
    const place = candidates.indexOf(target)
    half[place] = (half[place] as number) + 1
  }
  return probe('target_place', part, ({ user, candidates }) => {
    const seen = counts[halfOf.get(user) as number] as Float64Array
    return candidates.map((_, place) => seen[place] as number)
  })
}

export function idProbes(part: AuditedPart, { numbers }: Codes): Probe[] {
  if (!numbers) return []
  const id = (code: number): number => numbers[code] as number
  return [
    probe('nearest_id', part, ({ history, candidates }) => {
      const last = history.at(-1)
      return candidates.map((code) => (last === undefined ? 0 : -Math.abs(id(code) - id(last))))
    }),
    probe('smallest_id', part, ({ candidates }) => candidates.map((code) => -id(code))),
  ]
}

export function popularityProbes(part: AuditedPart, { counts }: Codes): Probe[] {
  return [
    probe('popularity', part, ({ candidates }) => candidates.map((code) => counts[code] as number)),
    probe('rarity', part, ({ candidates }) => candidates.map((code) => -(counts[code] as number))),
  ]
}

/** Items that other users' lists seldom offer as a wrong answer. */
export function seldomNegative(part: AuditedPart): Probe {
  const all = new Map<number, number>()
  const own = new Map<string, Map<number, number>>()
  const add = (counts: Map<number, number>, code: number): void => {
    counts.set(code, (counts.get(code) ?? 0) + 1)
  }
  for (const { user, candidates, target } of part.lists) {
    let mine = own.get(user)
    if (!mine) {
      mine = new Map()
      own.set(user, mine)
    }
    for (const code of candidates)
      if (code !== target) {
        add(all, code)
        add(mine, code)
      }
  }
  return probe('seldom_negative', part, ({ user, candidates }) =>
    candidates.map((code) => (own.get(user)?.get(code) ?? 0) - (all.get(code) ?? 0)),
  )
}

/** Candidates whose title stands, as whole words, in a title of the history: longest first. */
export function titleInHistory(part: AuditedPart, dataset: Dataset, codes: Codes): Probe {
  const padded = paddedTitles(dataset, codes)
  return probe('title_in_history', part, ({ history, candidates }) => {
    const read = history.map((code) => padded[code] as string)
    return candidates.map((code) => {
      const title = padded[code] as string
      return title !== '' && read.some((text) => text.includes(title)) ? title.length : 0
    })
  })
}

/** Lists in which one candidate's title stands inside another's: text alone cannot tell which was meant. */
export function containedTitles(part: AuditedPart, dataset: Dataset, codes: Codes): number {
  const titles = codes.ids.map((_, code) => foldedTitle(dataset, codes, code))
  return part.lists.filter(({ candidates }) =>
    candidates.some((a) =>
      candidates.some(
        (b) => a !== b && titles[a] !== '' && (titles[b] as string).includes(titles[a] as string),
      ),
    ),
  ).length
}

/** Lists that hold two items with one title. */
export function doubledTitles(part: AuditedPart, { index }: Codes): number {
  return part.lists.filter(
    ({ candidates }) => new Set(candidates.map((code) => index[code])).size < candidates.length,
  ).length
}

function foldedTitle(dataset: Dataset, { index }: Codes, code: number): string {
  const item = index[code] as number
  return item < 0 ? '' : normaliseTitle((dataset.items[item] as Item).title.text)
}

/** Blanks around and for punctuation, so that a match is one of whole words. */
function paddedTitles(dataset: Dataset, codes: Codes): string[] {
  return codes.ids.map((_, code) => {
    const words = foldedTitle(dataset, codes, code)
      .replace(/[^\p{L}\p{M}\p{N}+#&]+/gu, ' ')
      .trim()
    return words === '' ? '' : ` ${words} `
  })
}

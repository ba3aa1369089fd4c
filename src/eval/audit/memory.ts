/**
 * Are the negatives a function of the target? Then whoever has seen lists drawn the same way needs no history:
 * the company an item keeps as a target gives it away.
 *
 *   overlap   mean share of negatives that two lists of different users have in common, for pairs with one target
 *             and for pairs with two; drawn independently, the two agree
 *   places    share of pairs with one target whose target stands at the same place; drawn independently, 1 / length
 *   memory    the candidate that shared most of this list's items as a target of other lists
 *   recipe    a generator, seeded with the target's id, that reproduces the lists to the item and the place
 *
 * The first three need no guess about the generator; the last says what to write to whoever made the lists, and
 * draws the training lists that would come with them.
 */

import type { AuditedList, AuditedPart, Codes } from './lists.js'
import { type Probe, probe } from './probes.js'
import { PythonRandom } from './python-random.js'

export interface TargetDependence {
  /** Pairs of lists of different users with one target. */
  readonly pairs: number
  readonly overlapSameTarget: number
  readonly overlapOtherTarget: number
  /** Of the difference, over targets. */
  readonly se: number
  /** Null where the files keep the target apart. */
  readonly samePlace: number | null
  readonly chancePlace: number
}

/** At most so many lists of a target are compared: pairs grow with the square. */
const listsOfOneTarget = 12

export function targetDependence(parts: readonly AuditedPart[]): TargetDependence | null {
  const lists = parts.flatMap(({ lists: own }) => own)
  const groups = [...byTarget(lists).values()].map((group) => oneOfEachUser(group).slice(0, listsOfOneTarget))
  const per: { same: number; other: number; places: number; pairs: number }[] = []
  let chancePlace = 0
  groups.forEach((group, at) => {
    if (group.length < 2) return
    const sums = { same: 0, other: 0, places: 0, pairs: 0 }
    for (let a = 0; a < group.length; a++)
      for (let b = a + 1; b < group.length; b++) {
        const [one, two] = [group[a] as AuditedList, group[b] as AuditedList]
        sums.pairs++
        sums.same += overlap(one, two)
        sums.other += overlap(one, otherTarget(groups, at, a + b))
        sums.places += one.candidates.indexOf(one.target) === two.candidates.indexOf(two.target) ? 1 : 0
        chancePlace += 1 / Math.max(one.candidates.length, two.candidates.length)
      }
    per.push(sums)
  })
  const pairs = per.reduce((sum, one) => sum + one.pairs, 0)
  if (pairs === 0) return null
  const total = (of: (one: (typeof per)[number]) => number): number =>
    per.reduce((sum, one) => sum + of(one), 0) / pairs
  const difference = total(({ same, other }) => same - other)
  const spread = per.reduce(
    (sum, { same, other, pairs: own }) => sum + (same - other - own * difference) ** 2,
    0,
  )
  return {
    pairs,
    overlapSameTarget: total(({ same }) => same),
    overlapOtherTarget: total(({ other }) => other),
    se: Math.sqrt(spread) / pairs,
    samePlace: parts.every(({ slotted }) => slotted) ? total(({ places }) => places) : null,
    chancePlace: chancePlace / pairs,
  }
}

function byTarget(lists: readonly AuditedList[]): Map<number, AuditedList[]> {
  const groups = new Map<number, AuditedList[]>()
  for (const list of lists) {
    const group = groups.get(list.target)
    if (group) group.push(list)
    else groups.set(list.target, [list])
  }
  return groups
}

function oneOfEachUser(lists: readonly AuditedList[]): AuditedList[] {
  return [...new Map(lists.map((list) => [list.user, list])).values()]
}

/** A list of a target some way on, so that each pair has its own partner. */
function otherTarget(groups: readonly (readonly AuditedList[])[], at: number, turn: number): AuditedList {
  const group = groups[(at + 1 + turn * 7) % groups.length] as readonly AuditedList[]
  const own = groups[at] === group ? (groups[(at + 1) % groups.length] as readonly AuditedList[]) : group
  return own[turn % own.length] as AuditedList
}

/** Negatives in common over the negatives of the shorter list. */
function overlap(a: AuditedList, b: AuditedList): number {
  const other = new Set(b.candidates.filter((code) => code !== b.target))
  const own = a.candidates.filter((code) => code !== a.target)
  return own.filter((code) => other.has(code)).length / Math.max(1, Math.min(own.length, other.size))
}

/** The company of each target in lists of other users of the same parts. */
export function listMemory(part: AuditedPart, all: readonly AuditedPart[]): Probe[] {
  const groups = byTarget(all.flatMap(({ lists }) => lists))
  const others = (list: AuditedList, code: number): AuditedList[] =>
    (groups.get(code) ?? []).filter(({ user }) => user !== list.user)
  const memory = probe('list_memory', part, (list) =>
    list.candidates.map((code) => {
      const known = others(list, code)
      return known.length === 0 ? -1 : inCompany(list, new Set(known.flatMap(({ candidates }) => candidates)))
    }),
  )
  if (!part.slotted) return [memory]
  const place = probe('place_memory', part, (list) =>
    list.candidates.map((code, at) => {
      const known = others(list, code)
      return known.length > 0 && known.at(-1)?.candidates.indexOf(code) === at ? 1 : 0
    }),
  )
  return [memory, place]
}

function inCompany({ candidates }: AuditedList, company: ReadonlySet<number>): number {
  return candidates.reduce((sum, code) => sum + (company.has(code) ? 1 : 0), 0)
}

interface Recipe {
  readonly name: string
  readonly reseeded: boolean
  readonly targetFirst: boolean
}

const recipes: readonly Recipe[] = [true, false].flatMap((reseeded) =>
  [false, true].map((targetFirst) => ({
    name: `Python's random, seeded with the target's id before the negatives are sampled${reseeded ? ' and again before the list is shuffled' : ''}`,
    reseeded,
    targetFirst,
  })),
)

export interface Reproduction {
  readonly recipe: string
  /** Lists reproduced to the item and the place. */
  readonly exact: number
  readonly lists: number
  readonly probes: readonly Probe[]
}

/** Longer lists need more words than the generator makes here. */
const longestList = 40
const tried = 40

export function reproduce(
  part: AuditedPart,
  codes: Codes,
  windows: readonly Pick<AuditedList, 'history' | 'target'>[],
): Reproduction | null {
  const { numbers } = codes
  if (!numbers?.every((id) => id < 2 ** 32)) return null
  const short = part.lists.every(({ candidates }) => candidates.length <= longestList)
  if (part.source !== 'published' || !part.slotted || !short) return null
  const draw = drawer(numbers)
  const matches = (list: AuditedList, recipe: Recipe): boolean => {
    const drawn = draw(list, list.candidates.length, recipe)
    return drawn?.every((code, place) => code === list.candidates[place]) ?? false
  }
  const sampled = part.lists.slice(0, tried)
  const recipe = recipes.find(
    (one) => sampled.filter((list) => matches(list, one)).length > sampled.length / 2,
  )
  if (!recipe) return null
  const length = part.lists[0]?.candidates.length ?? 0
  const company = new Map<number, Set<number>>()
  const places = new Map<number, number>()
  for (const window of windows) {
    const drawn = draw(window, length, recipe)
    if (!drawn) continue
    const known = company.get(window.target)
    if (known) for (const code of drawn) known.add(code)
    else company.set(window.target, new Set(drawn))
    places.set(window.target, drawn.indexOf(window.target))
  }
  return {
    recipe: recipe.name,
    exact: part.lists.filter((list) => matches(list, recipe)).length,
    lists: part.lists.length,
    probes: [
      probe('redrawn_list_memory', part, (list) =>
        list.candidates.map((code) => {
          const known = company.get(code)
          return known ? inCompany(list, known) : -1
        }),
      ),
      probe('redrawn_place_memory', part, ({ candidates }) =>
        candidates.map((code, at) => (places.get(code) === at ? 1 : 0)),
      ),
    ],
  }
}

type Draw = (
  window: Pick<AuditedList, 'history' | 'target'>,
  length: number,
  recipe: Recipe,
) => number[] | null

/** Draws from all items but the history and the target, in the order of the items file. */
function drawer(numbers: Float64Array): Draw {
  const generators = new Map<number, PythonRandom>()
  return ({ history, target }, length, { reseeded, targetFirst }) => {
    const left = [...new Set([...history, target])].sort((a, b) => a - b)
    const open = numbers.length - left.length
    if (open < length) return null
    let random = generators.get(target)
    if (!random) {
      random = new PythonRandom(numbers[target] as number)
      generators.set(target, random)
    }
    random.restart()
    const negatives = random.sample(open, length - 1).map((place) => skipping(left, place))
    if (reseeded) random.restart()
    return random.shuffle(targetFirst ? [target, ...negatives] : [...negatives, target])
  }
}

/** The item at `place` among those that are not left out (ascending). */
function skipping(left: readonly number[], place: number): number {
  let code = place
  for (const out of left) {
    if (out > code) break
    code++
  }
  return code
}

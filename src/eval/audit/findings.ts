/**
 * From probes and counts to findings in words: what is wrong, by which numbers, what it means for results made
 * here, and how to mend it.
 *
 *   leak   the answer can be had without reading the history, from what a model is shown
 *   warn   it could be had from something that is not shown here but is easily shown elsewhere, or a part of the
 *          tests is not what it looks like
 *   note   a property that a reader of the table should know
 */

import type { Part } from '../../data/types.js'
import type { AuditedPart } from './lists.js'
import type { Reproduction, TargetDependence } from './memory.js'
import { type Probe, type ProbeId, tells } from './probes.js'

export type Level = 'note' | 'warn' | 'leak'

export interface Finding {
  readonly id: string
  readonly level: Level
  /** Null where it concerns the data as a whole. */
  readonly part: Part | null
  readonly what: string
  /** For results made by this program. */
  readonly here: string
  readonly mend: string
}

const three = (value: number): string => value.toFixed(3)
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`

const freshNegatives =
  'draw training negatives with a generator that does not depend on the target, anew each epoch, and shuffle each list at test time; or draw other lists for the same tests (data.published=redraw)'
const trainedHere =
  'training here draws its own negatives, keyed by seed, instance and epoch, and shows lists in an order of its own: this memory cannot form. Published numbers of models trained on such lists may contain it'

/** Same-target lists that agree by so much more than others are made from the target. */
const dependent = 0.25
const somewhatDependent = 0.02

export function dependenceFinding(found: TargetDependence | null, parts: readonly AuditedPart[]): Finding[] {
  if (!found) return []
  const { overlapSameTarget: same, overlapOtherTarget: other, se, pairs, samePlace, chancePlace } = found
  const difference = same - other
  if (difference <= Math.max(4 * se, somewhatDependent)) return []
  const strong = difference >= dependent
  const places =
    samePlace !== null && samePlace > 2 * chancePlace
      ? `, and at the same place in ${percent(samePlace)} of them`
      : ''
  const published = parts.some(({ source }) => source === 'published')
  return [
    {
      id: 'list_is_function_of_target',
      level: strong ? 'leak' : 'warn',
      part: null,
      what: `two lists with one target share ${percent(same)} of their negatives, lists with two targets ${percent(other)} (${pairs} pairs of different users)${places}: ${strong ? 'the list is made from the target, so a model that has seen lists drawn this way can answer from the list alone' : 'negatives depend on the target'}`,
      here: published
        ? trainedHere
        : 'lists drawn here are keyed by seed and instance; look for items that too few others can replace',
      mend: freshNegatives,
    },
  ]
}

export function reproductionFinding(found: Reproduction | null, part: Part): Finding[] {
  if (!found) return []
  const memory = (id: ProbeId): string => three(found.probes.find((one) => one.id === id)?.hr1 ?? Number.NaN)
  return [
    {
      id: 'list_is_reproduced_from_target',
      level: 'leak',
      part,
      what: `${found.exact} of ${found.lists} lists are reproduced to the item and the place from the target's id (${found.recipe}); after lists drawn so for the training windows, remembering the company of a target scores HR@1 ${memory('redrawn_list_memory')} and remembering its place ${memory('redrawn_place_memory')}, without the history`,
      here: trainedHere,
      mend: freshNegatives,
    },
  ]
}

type Judge = (probe: Probe, part: AuditedPart) => Omit<Finding, 'id' | 'part'> | null

const shown = ({ hr1, chance }: Probe): string => `HR@1 ${three(hr1)} where guessing scores ${three(chance)}`
const idsStayHere = 'ids never reach a model here and break no tie'

/** What a probe that tells is worth saying; those missing here are judged by the dependence they stand on. */
const judges: Partial<Readonly<Record<ProbeId, Judge>>> = {
  target_place: (probe, { source }) => ({
    level: 'leak',
    what: `the target's place in the list gives it away: ${shown(probe)}`,
    here:
      source === 'published'
        ? 'lists are shown in an order drawn from the seed'
        : 'the order is drawn from the seed; this should not happen',
    mend: 'shuffle each list by a generator that knows neither target nor row',
  }),
  nearest_id: (probe) => ({
    level: 'warn',
    what: `the candidate whose id is nearest to the last item's: ${shown(probe)}; ids follow the order in which items were chosen`,
    here: idsStayHere,
    mend: 'show titles, never ids; renumber the items at random before sharing the set',
  }),
  smallest_id: (probe) => ({
    level: 'warn',
    what: `the smallest id: ${shown(probe)}; ids follow popularity or first appearance`,
    here: idsStayHere,
    mend: 'show titles, never ids; renumber the items at random before sharing the set',
  }),
  popularity: (probe) => ({
    level: 'note',
    what: `the most popular candidate: ${shown(probe)}; negatives are rarer than targets, as uniform negatives are`,
    here: 'the popularity row stands in every table: read others beside it',
    mend: 'for claims about popularity use data.candidates=C20pop or full',
  }),
  rarity: (probe) => ({
    level: 'warn',
    what: `the rarest candidate: ${shown(probe)}; negatives are more popular than targets`,
    here: 'the lists are scored as they are',
    mend: 'draw negatives from the distribution of targets, or uniformly',
  }),
  seldom_negative: (probe) => ({
    level: 'leak',
    what: `the candidate that other users' lists seldom hold as a wrong answer: ${shown(probe)}; targets and negatives come from different sets of items`,
    here: 'lists of training are drawn from all items, so the set of negatives cannot be learned from them',
    mend: 'draw negatives from all items that can be targets',
  }),
  title_in_history: (probe) => ({
    level: 'note',
    what: `the candidate whose title stands inside a title of the history: ${shown(probe)}; series and editions can be matched by words`,
    here: 'the history is read for this, though without understanding it',
    mend: 'report beside a baseline that matches words, or leave such tests out',
  }),
}

export function probeFindings(probes: readonly Probe[], part: AuditedPart): Finding[] {
  return probes.flatMap((one) => {
    const said = tells(one) ? judges[one.id]?.(one, part) : null
    return said ? [{ id: one.id, part: part.part, ...said }] : []
  })
}

export interface ListCounts {
  readonly lists: number
  readonly ownNegatives: number
  readonly targetShown: number
  readonly untrained: number
  readonly doubledTitles: number
  readonly containedTitles: number
}

export function countFindings(counts: ListCounts, part: Part): Finding[] {
  const { lists } = counts
  const one = (
    count: number,
    id: string,
    level: Level,
    what: string,
    here: string,
    mend: string,
  ): Finding[] => (count > 0 ? [{ id, level, part, what: `${count} of ${lists} ${what}`, here, mend }] : [])
  return [
    ...one(
      counts.targetShown,
      'target_in_history',
      'warn',
      'tests show the target in the history',
      'such tests are dropped unless data.repeat_targets says otherwise',
      'drop them, or say that repeats are asked',
    ),
    ...one(
      counts.doubledTitles,
      'doubled_titles',
      'warn',
      'lists hold two items with one title: an answer cannot tell them apart',
      'ids with one title are one item here, and the list is that much shorter',
      'draw the second one again',
    ),
    ...one(
      counts.containedTitles,
      'contained_titles',
      'note',
      "lists hold a title that stands inside another candidate's",
      'answers are matched whole here',
      'match whole titles, not parts of the text',
    ),
    ...one(
      counts.ownNegatives,
      'own_negatives',
      'note',
      'lists hold a negative that the user chose at another time',
      'published lists are kept as they are; lists drawn here leave out everything of the user (data.exclude)',
      'leave out all items of the user when drawing',
    ),
    ...one(
      counts.untrained,
      'untrained_targets',
      'note',
      'targets never occur in the training part: counting cannot find them',
      'scored like all others',
      'report them apart where they are many',
    ),
  ]
}

export interface TimeCounts {
  /** Neighbouring interactions of a user, and those that share their time. */
  readonly neighbours: number
  readonly tied: number
  /** Tied neighbours whose ids rise; null where ids are no numbers. */
  readonly rising: number | null
  /** Tests whose target shares its time with the item before it. */
  readonly tiedTargets: number
  readonly tests: number
}

const mostlyRising = 0.75

export function timeFindings({ neighbours, tied, rising, tiedTargets, tests }: TimeCounts): Finding[] {
  if (tied === 0) return []
  const byId = rising !== null && tied >= 20 && rising / tied >= mostlyRising
  const order = byId
    ? `; ${percent(rising / tied)} of the ties stand in the order of their ids, which is no order of choice and favours ids near the last item's`
    : ''
  return [
    {
      id: 'tied_times',
      level: byId ? 'warn' : 'note',
      part: null,
      what: `${percent(tied / neighbours)} of neighbouring interactions share their time, and ${tiedTargets} of ${tests} test targets share it with the item before: which came next is not known there${order}`,
      here: 'the order as it was read decides (data.ties)',
      mend: byId
        ? 'draw their order from a seed (--ties shuffle, here or when importing), and say so'
        : 'report how many targets are tied',
    },
  ]
}

const rank: Readonly<Record<Level, number>> = { note: 0, warn: 1, leak: 2 }

export function worstFirst(findings: readonly Finding[]): Finding[] {
  return [...findings].sort((a, b) => rank[b.level] - rank[a.level])
}

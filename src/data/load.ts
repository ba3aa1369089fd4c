/**
 * loadDataset: a folder in, the canonical Dataset out. Read (importers) -> catalogue (titles told apart or
 * merged) -> sequences by user -> split -> drafts of instances -> audit -> lists of candidates.
 * The same folder and options give the same dataset, whatever the machine or the order of calls.
 */

import { ReasonrecError } from '../engine/errors.js'
import {
  type Draft,
  type Drafts,
  partNames,
  refuseEmptyPart,
  refuseLeaks,
  refuseTooFewItems,
} from './audit.js'
import { drawCandidates, shufflePublished } from './candidates.js'
import { buildCatalogue, type Catalogue, note } from './catalogue.js'
import { buildSequences, historyBefore, unknownItem } from './history.js'
import type { RawData, RawList, RawLists } from './importers/canonical.js'
import { readRaw } from './importers/read.js'
import { chosen } from './random.js'
import { type Split, type SplitRule, splitInteractions } from './split.js'
import type { Dataset, Instance, Interaction, ItemIndex, NegativeSource, Part } from './types.js'

export interface LoadOptions {
  /** Fewest items before a target; 3 unless told. */
  readonly minHistory?: number
  /** Most items shown of a history; 10 unless told. */
  readonly maxHistory?: number
  /** How negatives are drawn: uniformly, or in proportion to training counts; C20 unless told. */
  readonly protocol?: 'C20' | 'C20pop'
  /** Length of a list, the target included; 20 unless told. Published lists keep theirs. */
  readonly candidates?: number
  /** Of drawn lists, of orders and of what a cap or limit keeps; 0 unless told. */
  readonly candidateSeed?: number
  /** Shown in reports; else the folder's dataset.json, else the folder's name. */
  readonly name?: string
  /** What a title names in a prompt; else the folder's dataset.json, else "item". */
  readonly noun?: string
  readonly split?: 'auto' | SplitRule
  /** Users and items with fewer interactions are dropped, again and again; null keeps all. */
  readonly core?: number | null
  /** Most users, chosen by hash before the core is taken again; null keeps all. */
  readonly maxUsers?: number | null
  /** Training instances per user, chosen by hash; null = all. */
  readonly maxTrainPerUser?: number | null
  /** Instances kept per part, chosen by hash; a larger limit keeps all that a smaller one kept. */
  readonly limit?: Partial<Readonly<Record<Part, number | null>>>
}

interface Settings {
  readonly folder: string
  readonly minHistory: number
  readonly maxHistory: number
  readonly seed: number
}

interface Source {
  readonly raw: RawData
  readonly catalogue: Catalogue
  readonly byUser: ReadonlyMap<string, readonly Interaction[]>
  readonly split: Split
}

export async function loadDataset(folder: string, options: LoadOptions = {}): Promise<Dataset> {
  const { minHistory = 3, maxHistory = 10, candidates = 20, candidateSeed: seed = 0 } = options
  const settings: Settings = { folder, minHistory, maxHistory, seed }
  const { core = null, maxUsers = null } = options
  const raw = await readRaw(folder, { core, maxUsers, seed })
  if (raw.interactions.length === 0) throw emptyFile(raw.interactionsPath)
  if (raw.items.length === 0) throw emptyFile(raw.itemsPath)
  const catalogue = buildCatalogue(raw.items)
  const sequences = buildSequences(raw, catalogue)
  const { byUser } = sequences
  const split = splitInteractions(raw, byUser, options.split ?? 'auto', minHistory, seed)
  const userItems = new Map([...byUser].map(([user, sequence]) => [user, sequence.map(({ item }) => item)]))
  const universe = [...new Set([...userItems.values()].flat())].sort((a, b) => a - b)
  refuseTooFewItems(universe.length, candidates, folder)
  const trainInteractions = [...byUser].flatMap(([user, sequence]) =>
    sequence.filter((_, place) => split.partOf(user, place) === 'train'),
  )
  const negatives: NegativeSource = {
    seed,
    count: candidates,
    universe,
    ...(options.protocol === 'C20pop' && { runningCounts: runningCounts(universe, trainInteractions) }),
  }

  const drafted = draftAll({ raw, catalogue, byUser, split }, settings)
  refuseLeaks(drafted.drafts, split)
  const kept = cutDown(drafted.drafts, options, seed)
  const listed = listAll(kept.drafts, negatives, userItems)
  for (const part of partNames)
    if (part !== 'valid') refuseEmptyPart(part, listed[part].length, folder, minHistory)
  const dropped = partNames.reduce((sum, part) => sum + kept.drafts[part].length - listed[part].length, 0)
  return {
    name: options.name ?? raw.name,
    noun: options.noun ?? raw.noun ?? 'item',
    items: catalogue.items,
    trainInteractions,
    ...listed,
    userItems,
    userInteractions: byUser,
    clock: raw.clock,
    negatives,
    notes: [
      `split: ${split.rule}; lists of ${candidates} (${options.protocol ?? 'C20'}), seed ${seed}; histories of ${minHistory} to ${maxHistory}`,
      ...catalogue.notes,
      ...sequences.notes,
      ...drafted.notes,
      ...kept.notes,
      ...note(
        dropped,
        `instances were dropped: fewer than ${candidates - 1} items are left that their user did not choose`,
      ),
    ],
  }
}

function runningCounts(universe: readonly ItemIndex[], interactions: readonly Interaction[]): Float64Array {
  const counts = new Map<ItemIndex, number>()
  for (const { item } of interactions) counts.set(item, (counts.get(item) ?? 0) + 1)
  let sum = 0
  return Float64Array.from(universe, (item) => {
    sum += counts.get(item) ?? 0
    return sum
  })
}

function emptyFile(path: string): ReasonrecError {
  return new ReasonrecError('RR_DATA_EMPTY', `${path} has no rows`, {
    expected: 'at least one row below the header',
    got: 'a header only',
    remedy: 'check how the file was made',
  })
}

/** Published rows where there are some, else every place of the part. */
function draftAll(source: Source, settings: Settings): { drafts: Drafts; notes: string[] } {
  const { raw } = source
  const published: Readonly<Record<Part, RawLists | null>> = {
    train: raw.windows,
    valid: raw.valid,
    test: raw.test ?? raw.lastItem,
  }
  const notes: string[] = []
  const drafts = { train: [] as Draft[], valid: [] as Draft[], test: [] as Draft[] }
  const places = draftPlaces(source, settings)
  let repeats = 0
  for (const part of partNames) {
    const lists = published[part]
    const all = lists ? draftPublished(lists, part, source, settings) : places[part]
    const long = all.filter(({ history }) => history.length >= settings.minHistory)
    drafts[part] = long.filter(({ history, target }) => !history.includes(target))
    repeats += long.length - drafts[part].length
    if (lists) notes.push(...publishedNotes(lists, part, all, long))
  }
  return {
    drafts,
    notes: [...notes, ...note(repeats, 'instances were dropped: their target stands in the history shown')],
  }
}

function publishedNotes(
  lists: RawLists,
  part: Part,
  all: readonly Draft[],
  long: readonly Draft[],
): string[] {
  const shown = lists.rows.some(({ candidates }) => candidates !== null)
  return [
    `${part}: ${lists.rows.length} published ${shown ? 'lists, their sets kept, their order drawn anew' : 'windows'}`,
    ...note(all.length - long.length, `published ${part} rows were dropped: their history is too short`),
    ...note(
      all.filter(({ position }) => position === null).length,
      `published ${part} rows are not found in their user's interactions`,
    ),
  ]
}

function draftPlaces({ byUser, split }: Source, { minHistory, maxHistory }: Settings): Record<Part, Draft[]> {
  const drafts: Record<Part, Draft[]> = { train: [], valid: [], test: [] }
  for (const [user, sequence] of byUser)
    for (let position = minHistory; position < sequence.length; position++) {
      const part = split.partOf(user, position)
      if (split.asks && !split.asks(user, position)) continue
      const { item: target } = sequence[position] as Interaction
      const history = historyBefore(sequence, position, maxHistory)
      drafts[part].push({
        id: `${part}/${user}/${position}`,
        user,
        history,
        target,
        position,
        published: null,
      })
    }
  return drafts
}

function draftPublished(lists: RawLists, part: Part, source: Source, { maxHistory }: Settings): Draft[] {
  const { catalogue, raw, byUser } = source
  const times = new Map<string, number>()
  return lists.rows.map((row) => {
    const indexOf = (id: string): ItemIndex => {
      const index = catalogue.indexOf.get(id)
      if (index !== undefined) return index
      const why = catalogue.untitled.has(id) ? 'has no title' : 'has no row'
      throw unknownItem(lists.path, row.line, id, raw.itemsPath, why)
    }
    const history = row.history.map(indexOf).slice(-maxHistory)
    const target = indexOf(row.target)
    const position = placeOf(byUser.get(row.user) ?? [], history, target)
    const name = `${part}/${row.user}/${position ?? `row${row.line}`}`
    const time = (times.get(name) ?? 0) + 1
    times.set(name, time)
    const published = row.candidates
      ? publishedSet(lists.path, row, row.candidates.map(indexOf), target)
      : null
    return { id: time > 1 ? `${name}#${time}` : name, user: row.user, history, target, position, published }
  })
}

/** Where in the sequence the target stands right after the last history item. */
function placeOf(
  sequence: readonly Interaction[],
  history: readonly ItemIndex[],
  target: ItemIndex,
): number | null {
  const last = history.at(-1)
  const place = sequence.findIndex(
    ({ item }, at) => item === target && (last === undefined || sequence[at - 1]?.item === last),
  )
  return place >= 0 ? place : null
}

function publishedSet(
  path: string,
  { line }: RawList,
  list: readonly ItemIndex[],
  target: ItemIndex,
): ItemIndex[] {
  const set = [...new Set(list)]
  if (set.includes(target) && set.length > 1) return set
  throw new ReasonrecError('RR_DATA_MALFORMED', `${path}:${line}: a list of candidates without a choice`, {
    expected: 'the target and at least one other item',
    got: set.includes(target) ? 'the target only' : `${set.length} items without the target`,
    remedy: 'correct or remove the row',
    file: path,
    line,
  })
}

/** Caps and limits before lists are drawn: what is not kept costs nothing. */
function cutDown(drafts: Drafts, options: LoadOptions, seed: number): { drafts: Drafts; notes: string[] } {
  const { maxTrainPerUser = null, limit = {} } = options
  const notes: string[] = []
  const cut = (part: Part): readonly Draft[] => {
    const all = drafts[part]
    const capped = part === 'train' && maxTrainPerUser !== null ? capPerUser(all, maxTrainPerUser, seed) : all
    const most = limit[part] ?? null
    const kept = most === null ? capped : chosen(capped, most, ({ id }) => id, seed, 'limit')
    if (kept.length < all.length) notes.push(`${part}: ${kept.length} of ${all.length} instances kept`)
    return kept
  }
  return { drafts: { train: cut('train'), valid: cut('valid'), test: cut('test') }, notes }
}

function capPerUser(drafts: readonly Draft[], most: number, seed: number): Draft[] {
  const byUser = new Map<string, Draft[]>()
  for (const draft of drafts) {
    const own = byUser.get(draft.user)
    if (own) own.push(draft)
    else byUser.set(draft.user, [draft])
  }
  return [...byUser.values()].flatMap((own) => chosen(own, most, ({ id }) => id, seed, 'cap'))
}

function listAll(
  drafts: Drafts,
  negatives: NegativeSource,
  userItems: ReadonlyMap<string, readonly ItemIndex[]>,
): Record<Part, Instance[]> {
  const list = (draft: Draft): Instance[] => {
    const { id, user, history, target, position, published } = draft
    const candidates = published
      ? shufflePublished(published, negatives.seed, id)
      : drawCandidates(negatives, userItems, draft, 0)
    return candidates ? [{ id, user, history, target, candidates, position }] : []
  }
  return {
    train: drafts.train.flatMap(list),
    valid: drafts.valid.flatMap(list),
    test: drafts.test.flatMap(list),
  }
}

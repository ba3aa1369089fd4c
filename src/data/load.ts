/**
 * loadDataset: a folder in, the canonical Dataset out. Read (importers) -> catalogue (titles told apart or
 * merged) -> sequences by user -> split -> drafts of instances -> refusals -> lists of candidates.
 * The same folder and options give the same dataset, whatever the machine or the order of calls.
 */

import { ReasonrecError } from '../engine/errors.js'
import { readCandidateFile, type StoredLists, storedList } from './candidate-file.js'
import { drawCandidates, shufflePublished } from './candidates.js'
import { buildCatalogue, type Catalogue, note } from './catalogue.js'
import { cutDown, type Draft, type Drafts, draftAll, type Limits, type RepeatRule } from './drafts.js'
import { buildSequences } from './history.js'
import { readRaw } from './importers/read.js'
import { candidateProtocol } from './protocol.js'
import type { RawData, TiePolicy } from './raw.js'
import { refuseEmptyPart, refuseLeaks, refuseTooFewItems } from './refusals.js'
import { type SplitRule, splitInteractions } from './split.js'
import {
  type Dataset,
  type Instance,
  type Interaction,
  type ItemIndex,
  type NegativeSource,
  type Part,
  type Printed,
  partNames,
} from './types.js'

export interface LoadOptions extends Limits {
  /** Fewest items before a target; 3 unless told. */
  readonly minHistory?: number
  /** Most items shown of a history; 10 unless told. */
  readonly maxHistory?: number
  /** What tests rank their target among (protocol.ts); C20 unless told. */
  readonly protocol?: string
  /** Length of a drawn list, the target included, where it is not the protocol's. Published lists keep theirs. */
  readonly candidates?: number
  /** Of drawn lists, of orders and of what a cap or limit keeps; 0 unless told. */
  readonly candidateSeed?: number
  /** Lists of validation and test from a file of `data candidates` instead of a draw. */
  readonly candidateFile?: string | null
  /** What of the user's can be no negative: everything of his unless told, or only the history shown. */
  readonly exclude?: 'user' | 'window'
  /** Lists that come with the data; kept unless told. */
  readonly published?: 'keep' | 'redraw'
  /** Targets that their user chose before; those in the history shown are dropped unless told. */
  readonly repeats?: RepeatRule
  /** Shown in reports; else the folder's dataset.json, else the folder's name. */
  readonly name?: string
  /** What a title names in a prompt; else the folder's dataset.json, else "item". */
  readonly noun?: string
  readonly split?: 'auto' | SplitRule
  /** Users and items with fewer interactions are dropped, again and again; null keeps all. */
  readonly core?: number | null
  /** Most users, chosen by hash before the core is taken again; null keeps all. */
  readonly maxUsers?: number | null
  /** Rows of a user with equal times; in the order of the file unless told. */
  readonly ties?: TiePolicy
  /** Of an order of ties that is drawn; 0 unless told. */
  readonly tieSeed?: number
}

export async function loadDataset(folder: string, options: LoadOptions = {}): Promise<Dataset> {
  const { minHistory = 3, maxHistory = 10, candidateSeed: seed = 0 } = options
  const protocol = candidateProtocol(options.protocol ?? 'C20')
  const size = options.candidates ?? protocol.size
  const stored = options.candidateFile ? await readCandidateFile(options.candidateFile) : null
  const { core = null, maxUsers = null, ties = 'file', tieSeed = 0 } = options
  const raw = await readRaw(folder, { core, maxUsers, seed, ties, tieSeed })
  if (raw.interactions.length === 0) throw emptyFile(raw.interactionsPath)
  if (raw.items.length === 0) throw emptyFile(raw.itemsPath)
  const catalogue = buildCatalogue(raw.items)
  const sequences = buildSequences(raw, catalogue)
  const { byUser } = sequences
  const split = splitInteractions(raw, byUser, options.split ?? 'auto', minHistory, seed)
  const userItems = new Map([...byUser].map(([user, sequence]) => [user, sequence.map(({ item }) => item)]))
  const universe = [...new Set([...userItems.values()].flat())].sort((a, b) => a - b)
  refuseTooFewItems(universe.length, size, folder)
  const trainInteractions = [...byUser].flatMap(([user, sequence]) =>
    sequence.filter((_, place) => split.partOf(user, place) === 'train'),
  )
  const negatives: NegativeSource = {
    seed,
    count: size,
    universe,
    ...(protocol.popular && { runningCounts: runningCounts(universe, trainInteractions) }),
    ...(options.exclude === 'window' && { exclude: 'window' as const }),
  }

  const settings = {
    minHistory,
    maxHistory,
    repeats: options.repeats ?? 'drop_shown',
    // The whole catalogue is ranked instead of any list.
    published: protocol.full ? 'redraw' : (options.published ?? 'keep'),
  } as const
  const drafted = draftAll({ raw, catalogue, byUser, split }, settings)
  refuseLeaks(drafted.drafts, split)
  const kept = cutDown(drafted.drafts, options, seed)
  const sources = { negatives, userItems, stored, catalogue, full: protocol.full }
  const listed = listAll(kept.drafts, sources)
  for (const part of partNames)
    if (part !== 'valid') refuseEmptyPart(part, listed[part].length, folder, minHistory)
  const dropped = partNames.reduce((sum, part) => sum + kept.drafts[part].length - listed[part].length, 0)
  const fixed = partNames.filter(
    (part) => drafted.publishedParts.includes(part) || (stored && isStored(stored, part)),
  )
  const lists = protocol.full
    ? `the whole catalogue of ${universe.length} items ranked (full)`
    : `lists of ${size} (${options.protocol ?? 'C20'}), seed ${seed}`
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
    printed: printedOf(
      raw,
      catalogue,
      (part) => settings.published === 'keep' && !(stored && isStored(stored, part)),
    ),
    ...(fixed.length > 0 && { fixedLists: fixed }),
    ...(protocol.full && { fullRanking: true }),
    notes: [
      `split: ${split.rule}; ${lists}; histories of ${minHistory} to ${maxHistory}`,
      ...(stored ? [`lists of ${Object.keys(stored.head.parts).join(' and ')} from a stored file`] : []),
      ...catalogue.notes,
      ...sequences.notes,
      ...drafted.notes,
      ...kept.notes,
      ...note(
        dropped,
        `instances were dropped: fewer than ${size - 1} items are left that their user did not choose`,
      ),
    ],
  }
}

/** `used`: whether a part's published lists are what is ranked; others are of no concern. */
function printedOf(raw: RawData, { indexOf }: Catalogue, used: (part: Part) => boolean): Printed {
  const { windows, valid } = raw
  const test = raw.test ?? raw.lastItem
  return {
    parts: {
      ...(windows && { train: windows }),
      ...(valid && used('valid') && { valid }),
      ...(test && used('test') && { test }),
    },
    itemIds: [...new Set(raw.items.map(({ id }) => id))],
    indexOf,
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

interface ListSources {
  readonly negatives: NegativeSource
  readonly userItems: ReadonlyMap<string, readonly ItemIndex[]>
  readonly stored: StoredLists | null
  readonly catalogue: Catalogue
  readonly full: boolean
}

const isStored = ({ head }: StoredLists, part: Part): boolean => head.parts[part] !== undefined

function listAll(drafts: Drafts, sources: ListSources): Record<Part, Instance[]> {
  const list = (draft: Draft, part: Part): Instance[] => {
    const { id, user, history, target, position } = draft
    const candidates = listOf(draft, part, sources)
    return candidates ? [{ id, user, history, target, candidates, position }] : []
  }
  return {
    train: drafts.train.flatMap((draft) => list(draft, 'train')),
    valid: drafts.valid.flatMap((draft) => list(draft, 'valid')),
    test: drafts.test.flatMap((draft) => list(draft, 'test')),
  }
}

function listOf(
  draft: Draft,
  part: Part,
  { negatives, userItems, stored, catalogue, full }: ListSources,
): readonly ItemIndex[] | null {
  // One array for all: lists of the whole catalogue would not fit.
  if (full && part !== 'train') return negatives.universe
  if (stored && isStored(stored, part)) return storedList(stored, draft, catalogue.items, catalogue.indexOf)
  return draft.published
    ? shufflePublished(draft.published, negatives.seed, draft.id)
    : drawCandidates(negatives, userItems, draft, 0)
}

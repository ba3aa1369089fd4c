/**
 * Drafts of instances: who is asked about what after which history, before any list is drawn. Published rows
 * where the folder has some, else every place of a part. Repeats, caps and limits are settled here, so what is
 * not kept costs nothing.
 */

import { ReasonrecError } from '../engine/errors.js'
import { type Catalogue, note } from './catalogue.js'
import { historyBefore, unknownItem } from './history.js'
import { chosen } from './random.js'
import type { RawData, RawList, RawLists } from './raw.js'
import type { Split } from './split.js'
import { type Interaction, type ItemIndex, type Part, partNames } from './types.js'

/** An instance before its list is drawn. */
export interface Draft {
  readonly id: string
  readonly user: string
  readonly history: readonly ItemIndex[]
  readonly target: ItemIndex
  /** Place of the target in the user's sequence; null where a published row is not found there. */
  readonly position: number | null
  /** The published set, or null where one is drawn. */
  readonly published: readonly ItemIndex[] | null
}

export type Drafts = Readonly<Record<Part, readonly Draft[]>>

/**
 * Targets that the user chose before. `drop_shown` leaves out those in the history shown, which a list without
 * own items would give away; `drop_all` those chosen at any earlier time; `keep` asks all.
 */
export type RepeatRule = 'drop_shown' | 'drop_all' | 'keep'

export interface DraftSettings {
  readonly minHistory: number
  readonly maxHistory: number
  readonly repeats: RepeatRule
  /** `redraw` forgets published lists and keeps their rows. */
  readonly published: 'keep' | 'redraw'
}

export interface DraftSource {
  readonly raw: RawData
  readonly catalogue: Catalogue
  readonly byUser: ReadonlyMap<string, readonly Interaction[]>
  readonly split: Split
}

export function draftAll(
  source: DraftSource,
  settings: DraftSettings,
): { drafts: Drafts; notes: string[]; publishedParts: Part[] } {
  const { raw } = source
  const published: Readonly<Record<Part, RawLists | null>> = {
    train: raw.windows,
    valid: raw.valid,
    test: raw.test ?? raw.lastItem,
  }
  const notes: string[] = []
  const drafts = { train: [] as Draft[], valid: [] as Draft[], test: [] as Draft[] }
  const places = draftPlaces(source, settings)
  const counts = { all: 0, shown: 0, dropped: 0, repeated: 0 }
  for (const part of partNames) {
    const lists = published[part]
    const all = lists ? draftPublished(lists, part, source, settings) : places[part]
    const long = all.filter(({ history }) => history.length >= settings.minHistory)
    drafts[part] = long.filter((draft) => {
      const shown = draft.history.includes(draft.target)
      const repeated = shown || (settings.repeats !== 'drop_shown' && isRepeat(source, draft))
      counts.all++
      if (shown) counts.shown++
      if (repeated) counts.repeated++
      const kept = settings.repeats === 'keep' || !(settings.repeats === 'drop_all' ? repeated : shown)
      if (!kept) counts.dropped++
      return kept
    })
    if (lists) notes.push(...publishedNotes(lists, part, all, long, settings))
  }
  const publishedParts = partNames.filter((part) => drafts[part].some((draft) => draft.published !== null))
  return { drafts, publishedParts, notes: [...notes, ...repeatNotes(counts, settings.repeats)] }
}

function isRepeat({ byUser }: DraftSource, { user, target, position }: Draft): boolean {
  if (position === null) return false
  const own = byUser.get(user) ?? []
  for (let place = 0; place < position; place++) if (own[place]?.item === target) return true
  return false
}

function repeatNotes(
  counts: { all: number; shown: number; dropped: number; repeated: number },
  rule: RepeatRule,
): string[] {
  const { dropped, repeated, shown, all } = counts
  if (rule === 'drop_shown')
    return note(dropped, 'instances were dropped: their target stands in the history shown')
  if (rule === 'drop_all') return note(dropped, 'instances were dropped: their user chose the target before')
  return repeated > 0
    ? [
        `${repeated} of ${all} targets are repeats (their user chose them before), ${shown} of them stand in the history shown`,
      ]
    : []
}

function publishedNotes(
  lists: RawLists,
  part: Part,
  all: readonly Draft[],
  long: readonly Draft[],
  settings: DraftSettings,
): string[] {
  const shown = lists.rows.some(({ candidates }) => candidates !== null)
  const fate = settings.published === 'redraw' ? 'drawn anew' : 'their sets kept, their order drawn anew'
  return [
    `${part}: ${lists.rows.length} published ${shown ? `lists, ${fate}` : 'windows'}`,
    ...note(all.length - long.length, `published ${part} rows were dropped: their history is too short`),
    ...note(
      all.filter(({ position }) => position === null).length,
      `published ${part} rows are not found in their user's interactions`,
    ),
  ]
}

function draftPlaces({ byUser, split }: DraftSource, settings: DraftSettings): Record<Part, Draft[]> {
  const { minHistory, maxHistory } = settings
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

function draftPublished(
  lists: RawLists,
  part: Part,
  source: DraftSource,
  { maxHistory, published }: DraftSettings,
): Draft[] {
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
    const list = row.candidates ? publishedSet(lists.path, row, row.candidates.map(indexOf), target) : null
    return {
      id: time > 1 ? `${name}#${time}` : name,
      user: row.user,
      history,
      target,
      position,
      published: published === 'redraw' ? null : list,
    }
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

export interface Limits {
  /** Training instances per user, chosen by hash; null = all. */
  readonly maxTrainPerUser?: number | null
  /** Instances kept per part, chosen by hash; a larger limit keeps all that a smaller one kept. */
  readonly limit?: Partial<Readonly<Record<Part, number | null>>>
}

/** Caps and limits before lists are drawn: what is not kept costs nothing. */
export function cutDown(drafts: Drafts, limits: Limits, seed: number): { drafts: Drafts; notes: string[] } {
  const { maxTrainPerUser = null, limit = {} } = limits
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

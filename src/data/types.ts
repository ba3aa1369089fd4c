/** The one canonical form: a catalogue, interactions in order, and instances to learn and test on. */

import type { UntrustedText } from '../prompts/untrusted-text.js'

/** Position of an item in its catalogue; never shown to a model, never breaks a tie. */
export type ItemIndex = number

export interface Item {
  /** Id in the user's files. */
  readonly id: string
  /** Cleaned title; comes from outside, so a type of its own. */
  readonly title: UntrustedText
}

export interface Interaction {
  readonly user: string
  readonly item: ItemIndex
  /** Null where the data has none. */
  readonly rating: number | null
  /** Unix seconds or the position in the user's sequence; only order counts. */
  readonly timestamp: number
}

/** Which part a user or an interaction belongs to. */
export type Part = 'train' | 'valid' | 'test'

export const partNames = ['train', 'valid', 'test'] as const satisfies readonly Part[]

/** (u, H, y, C, t) of spec section 2. */
export interface Instance {
  /** Unique within a dataset and stable over runs, e.g. "train/1234/17". */
  readonly id: string
  readonly user: string
  /** Oldest first, at most data.max_hist. */
  readonly history: readonly ItemIndex[]
  readonly target: ItemIndex
  /** Holds the target; order shuffled from the seed. */
  readonly candidates: readonly ItemIndex[]
  /** Place of the target in its user's interactions; null where a published row is not found there, absent in one made by hand. */
  readonly position?: number | null
  /** What a method shows beside the lists (R2Rec: ratings and chains). Plain JSON that only the method reads. */
  readonly evidence?: unknown
}

/**
 * Whose times may be compared: `shared` everybody's (real times), `own` only those of one user (the time is a
 * mere position in that user's sequence or in the file).
 */
export type Clock = 'shared' | 'own'

/** What negatives are drawn from, so that training can draw new ones each epoch. */
export interface NegativeSource {
  readonly seed: number
  /** Length of a list, the target included. */
  readonly count: number
  /** Items that occur in any interaction, ascending. */
  readonly universe: readonly ItemIndex[]
  /** C20pop: running sums of the universe's training counts; absent where every item is as likely. */
  readonly runningCounts?: Float64Array
  /** What of the user's is no negative: everything of his where it is not said, or only the history shown. */
  readonly exclude?: 'user' | 'window'
}

/** Published rows as they stand in the files, by id. */
export interface PrintedRows {
  readonly rows: readonly {
    readonly user: string
    readonly history: readonly string[]
    readonly target: string
    /** In printed order; null in a window without a list. */
    readonly candidates: readonly string[] | null
  }[]
  /** The target stands in a column of its own, so its place among the candidates says nothing. */
  readonly targetApart?: boolean
}

export interface Printed {
  readonly parts: Partial<Readonly<Record<Part, PrintedRows>>>
  /** Ids of the items file, in its order. */
  readonly itemIds: readonly string[]
  /** By id; ids with one title share an index. */
  readonly indexOf: ReadonlyMap<string, ItemIndex>
}

export interface Dataset {
  readonly name: string
  /** "artist", "book", "film", "item": what a title names in a prompt. */
  readonly noun: string
  readonly items: readonly Item[]
  /** Interactions of the training part only, by user, oldest first: what statistics may be taken from. */
  readonly trainInteractions: readonly Interaction[]
  readonly train: readonly Instance[]
  readonly valid: readonly Instance[]
  readonly test: readonly Instance[]
  /** Every user's items of all parts, oldest first: to look up a history and to keep them out of negatives; never for statistics. */
  readonly userItems?: ReadonlyMap<string, readonly ItemIndex[]>
  /** The same places with their ratings and times (ratings.ts reads them); never for statistics. */
  readonly userInteractions?: ReadonlyMap<string, readonly Interaction[]>
  /** `own` where it is not said. */
  readonly clock?: Clock
  /** Absent in a dataset built by hand. */
  readonly negatives?: NegativeSource
  /** Parts whose lists came with the data or from a stored file; other lists are drawn from `negatives`. */
  readonly fixedLists?: readonly Part[]
  /** What the files print, before anything is redrawn: what the leak audit reads. Absent in a dataset built by hand. */
  readonly printed?: Printed
  /** Validation and test rank the whole catalogue: their `candidates` are all of `negatives.universe`. */
  readonly fullRanking?: boolean
  /** Only where the data was generated: the generator's own probability of each candidate, in their order. */
  readonly oracle?: (instance: Instance) => readonly number[]
  /** What was dropped, merged, shuffled or assumed, for the report. */
  readonly notes: readonly string[]
}

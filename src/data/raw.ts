/** A data set as it was read, before titles are told apart, sequences built and parts made. Ids as in the files. */

import type { Clock, Part } from './types.js'

export interface RawItem {
  readonly id: string
  /** Empty where the data has none. */
  readonly title: string
  readonly year: string
  readonly authors: string
  /** Further columns by name; kept by import and export, not read by a method. */
  readonly extras?: Readonly<Record<string, string>>
}

export interface RawInteraction {
  readonly user: string
  readonly item: string
  readonly rating: number | null
  /** Unix seconds, or a position. */
  readonly timestamp: number
  readonly line: number
}

/** A published test, or a training window where `candidates` is null; ids as in the files. */
export interface RawList {
  readonly user: string
  /** Oldest first. */
  readonly history: readonly string[]
  readonly target: string
  readonly candidates: readonly string[] | null
  readonly line: number
}

export interface RawLists {
  readonly path: string
  readonly rows: readonly RawList[]
  /** The target stands in a column of its own, so its place in `candidates` says nothing about the file. */
  readonly targetApart?: boolean
}

/** What a data set gives beside its interactions. */
export interface GivenLists {
  readonly userSplit: ReadonlyMap<string, Part> | null
  readonly windows: RawLists | null
  /** Lists for held-out users (test20, valid20). */
  readonly valid: RawLists | null
  readonly test: RawLists | null
  /** Lists for the last item of users who also train (candidates). */
  readonly lastItem: RawLists | null
}

/** Rows of a user with equal times: in the order of the file, in one drawn from a seed, or no such rows. */
export const tiePolicies = ['file', 'shuffle', 'refuse'] as const
export type TiePolicy = (typeof tiePolicies)[number]

export interface RawData extends GivenLists {
  readonly name: string
  readonly noun: string | null
  readonly itemsPath: string
  readonly items: readonly RawItem[]
  readonly interactionsPath: string
  readonly interactions: readonly RawInteraction[]
  /** False where the file has no times and its order is taken. */
  readonly timed: boolean
  readonly clock: Clock
  /** How rows with equal times were put into order. */
  readonly ties: TiePolicy
  /** Rows that repeated user, item and time and were dropped already. */
  readonly doubled: number
}

/** Interactions as columns, so that tens of millions fit: users and items are numbers into their ids. */
export interface Columns {
  readonly users: Int32Array
  readonly items: Int32Array
  /** NaN where there is none. */
  readonly ratings: Float64Array
  /** Unix seconds, or positions. */
  readonly times: Float64Array
  readonly lines: Int32Array
  readonly userIds: readonly string[]
  readonly itemIds: readonly string[]
}

/** The same with its interactions as columns: what an importer hands on. */
export interface Imported extends Omit<RawData, 'interactions' | 'ties' | 'doubled'> {
  readonly format: string
  readonly columns: Columns
  /** True where every item of the file belongs to the catalogue; false where only those that occur do. */
  readonly wholeCatalogue: boolean
  /** Unit the times had; null where they are positions. */
  readonly unit: string | null
  /** What an earlier import wrote about itself; null where this is the first. */
  readonly origin: object | null
  readonly notes: readonly string[]
}

/**
 * What a format is: how its files are recognised by their content, and how they are read into one intake. A format is one
 * small file under formats/ and one line in registry.ts.
 */

import type { ReasonrecError } from '../../engine/errors.js'
import type { FileKind } from '../file-check.js'
import type { Clock, Part } from '../types.js'
import type { Intake } from './intake.js'
import type { Encoding } from './lines.js'
import type { TimeUnit } from './times.js'

/** The first bytes of a file. */
export interface Head {
  readonly path: string
  /** Base name in lower case. */
  readonly name: string
  readonly kind: FileKind
  /** As UTF-8, else Latin-1; at most 64 KB. */
  readonly text: string
  /** The first lines that are whole, at most 100, without their ends. */
  readonly lines: readonly string[]
  /** Columns of a Parquet file, in lower case. */
  readonly columns: readonly string[]
}

/**
 * `interactions`: rows of who chose what; `windows`: histories with their targets; `items`: titles; `map`: needed to read
 * the others; `side`: belongs to the format and is not read.
 */
export type Role = 'interactions' | 'windows' | 'items' | 'map' | 'side'

export interface SourceFile extends Head {
  readonly role: Role
}

/** Files that make one data set. */
export interface FileSet {
  readonly name: string
  readonly files: readonly SourceFile[]
  /** Where a folder holds one set in several forms, the lowest is taken by a run. */
  readonly preference: number
}

export interface About {
  readonly name?: string
  readonly noun?: string
  /** Every item of the file belongs to the catalogue; else only those that occur. */
  readonly wholeCatalogue?: boolean
  /** Where the files say it; else told from the times. */
  readonly clock?: Clock
  readonly userSplit?: ReadonlyMap<string, Part> | null
  /** What an earlier import wrote about itself. */
  readonly origin?: object | null
}

export interface Format {
  /** Of --format. */
  readonly name: string
  readonly about: string
  /** Ids and titles are ours already. */
  readonly verbatim?: boolean
  /** Null: not of this format. `all` are the files it came with. */
  recognise(head: Head, all: readonly Head[]): Role | null
  /** One set per file of interactions or windows, with all other files, unless told. */
  sets?(files: readonly SourceFile[]): readonly FileSet[]
  read(set: FileSet, intake: Intake): Promise<About>
}

export interface ReadOptions {
  readonly encoding?: Encoding | undefined
  readonly timeUnit?: TimeUnit | undefined
  readonly delimiter?: string | undefined
  readonly header?: boolean | undefined
  /** Names of columns, or their numbers from 1. */
  readonly columns?:
    | Partial<Readonly<Record<'user' | 'item' | 'rating' | 'time' | 'title', string>>>
    | undefined
  /** Read pickles of data frames with the reader that builds plain data only. */
  readonly trustPickle?: boolean | undefined
  readonly onBytes?: ((path: string, bytes: number) => void) | undefined
}

/** A file that is not read, and why. */
export interface Refusal {
  readonly path: string
  readonly error: ReasonrecError
}

export const filesOf = ({ files }: FileSet, ...roles: readonly Role[]): SourceFile[] =>
  files.filter(({ role }) => roles.includes(role))

/** Base name without its endings. */
export const stemOf = ({ name }: Pick<Head, 'name'>): string =>
  name.replace(/(\.[a-z0-9_]{1,8}){1,3}$/, '') || name

/** Part that a file's path names, if any. */
export function partNamed(path: string): 'train' | 'valid' | 'test' | null {
  const names = path.toLowerCase().split(/[\\/]/).slice(-2).reverse()
  for (const name of names) {
    const [, part] = /(?:^|[^a-z])(train|valid|validation|val|dev|test)(?:[^a-z]|$)/.exec(name) ?? []
    if (part) return part === 'train' ? 'train' : part === 'test' ? 'test' : 'valid'
  }
  return null
}

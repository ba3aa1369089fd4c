/**
 * Where a format puts what it reads: rows, items, windows and lists, notes. It names file and line of what is missing in
 * a row, cleans titles, makes ids that may stand in a list separated by spaces, and at the end brings times to seconds
 * and windows to rows. Rows are kept as columns, so that ten million need a few hundred megabytes.
 */

import { ReasonrecError } from '../../engine/errors.js'
import type { Columns, Imported, RawItem, RawList, RawLists } from '../raw.js'
import { malformedCell, openTable, type Table, type TableOptions } from '../table.js'
import type { Part } from '../types.js'
import { cleanTitle } from './clean-title.js'
import { RowStore } from './columns.js'
import { type About, type FileSet, type Format, filesOf, type Head, type ReadOptions } from './format.js'
import { type Encoding, eachLine, malformedLine } from './lines.js'
import { type DataObject, eachObject } from './objects.js'
import { areTimes, type TimeUnit, toSeconds } from './times.js'
import { sequenceOf, withUsers } from './windows.js'

type ListKind = Part | 'lastItem'

/** What may be said about an item beside its id; empty values are left out. */
export type ItemFields = Readonly<Record<string, string>>

export class Intake {
  private readonly store = new RowStore()
  private readonly catalogue: RawItem[] = []
  private readonly seenItems = new Set<string>()
  private readonly listedItems = new Set<string>()
  private readonly given: Record<ListKind, RawList[]> = { train: [], valid: [], test: [], lastItem: [] }
  private readonly listPaths: Partial<Record<ListKind, string>> = {}
  private readonly apart = new Set<ListKind>()
  private readonly notes: string[] = []
  private readonly counted = new Map<string, number>()
  private path = ''
  private rowsPath = ''
  private itemsPath = ''
  private timed = false

  /** `verbatim`: ids and titles are ours already, and every row of the items counts. */
  constructor(
    readonly options: ReadOptions,
    private readonly verbatim = false,
  ) {}

  /** Lines of a file; see lines.ts. */
  async lines(
    { path }: Pick<Head, 'path'>,
    encoding: Encoding,
    visit: (text: string, line: number) => unknown,
  ): Promise<void> {
    this.path = path
    const { recoded } = await eachLine(
      path,
      { encoding: this.options.encoding ?? encoding, onBytes: this.reporter(path) },
      visit,
    )
    if (recoded > 0 && encoding === 'lossy')
      this.notes.push(
        `${recoded} lines of ${base(path)} hold bytes that are not UTF-8; they are shown as U+FFFD`,
      )
  }

  /** Rows between a delimiter that is never quoted; all have `width` cells, or at least so many where `more`. */
  cells(
    file: Pick<Head, 'path'>,
    {
      by,
      width,
      encoding = 'utf-8',
      more = false,
    }: { by: string | RegExp; width: number; encoding?: Encoding; more?: boolean },
    visit: (cells: readonly string[], line: number) => void,
  ): Promise<void> {
    const what = `${width} cells separated by ${by === '\t' ? 'tabs' : String(by)}`
    return this.lines(file, encoding, (text, line) => {
      const cells = text.split(by)
      if (cells.length !== width && !(more && cells.length > width))
        throw malformedLine(file.path, line, what, text)
      visit(cells, line)
    })
  }

  async objects(
    { path }: Pick<Head, 'path'>,
    visit: (value: DataObject, line: number) => void,
  ): Promise<void> {
    this.path = path
    await eachObject(
      path,
      { encoding: this.options.encoding ?? 'utf-8', onBytes: this.reporter(path) },
      visit,
    )
  }

  async table({ path }: Pick<Head, 'path'>, options: TableOptions = {}): Promise<Table> {
    this.path = path
    const encoding = this.options.encoding === 'latin-1' ? 'latin-1' : undefined
    return openTable(path, { onBytes: this.reporter(path), encoding, ...options })
  }

  /** What follows is of this file. */
  file({ path }: Pick<Head, 'path'>): void {
    this.path = path
  }

  /** `time` in any unit; null where the format has none, NaN is refused. A NaN rating is none. */
  row(user: string, item: string, rating: number | null, time: number | null, line: number): void {
    const [by, what] = [this.id(user), this.id(item)]
    if (by === '') throw malformedCell(this.path, line, 'an empty user', 'a user', '')
    if (what === '') throw malformedCell(this.path, line, 'an empty item', 'an item', '')
    if (Number.isNaN(time))
      throw malformedCell(this.path, line, 'a timestamp that is no time', 'a number or a date', '')
    this.rowsPath ||= this.path
    if (time !== null) this.timed = true
    this.store.push(by, what, rating ?? Number.NaN, time ?? this.store.rows + 1, line)
  }

  /** The first row of an id counts. */
  item(id: string, title: string, fields: ItemFields = {}, line = 0): void {
    const own = this.id(id)
    if (own === '') throw malformedCell(this.path, line, 'an empty item id', 'an item id', title)
    this.itemsPath ||= this.path
    if (!this.verbatim && this.seenItems.has(own)) return
    this.seenItems.add(own)
    const clean = this.verbatim ? (text: string): string => text : cleanTitle
    const { year = '', authors = '', ...rest } = fields
    const extras = Object.entries(rest).flatMap(([name, value]) => {
      const text = clean(value)
      return text === '' ? [] : [[name, text] as const]
    })
    this.catalogue.push({
      id: own,
      title: clean(title),
      year: year.trim(),
      authors: clean(authors).trim(),
      ...(extras.length > 0 && { extras: Object.fromEntries(extras) }),
    })
  }

  /** Whether a row or a list named this item; ask it before texts are kept that nobody needs. */
  occurs(id: string): boolean {
    const own = this.id(id)
    return this.store.itemIds.has(own) || this.listedItems.has(own)
  }

  /** A file of such lists is there, and may be empty; whether it names the target apart from the others. */
  openLists(kind: ListKind, targetApart = false): void {
    this.listPaths[kind] ??= this.path
    if (targetApart) this.apart.add(kind)
  }

  /** An empty user is found from the windows before (windows.ts). */
  list(kind: ListKind, { user, history, target, candidates, line }: RawList): void {
    this.openLists(kind)
    const list: RawList = {
      user: this.id(user),
      history: history.map((id) => this.id(id)),
      target: this.id(target),
      candidates: candidates?.map((id) => this.id(id)) ?? null,
      line,
    }
    if (list.target === '') throw malformedCell(this.path, line, 'an empty target', 'a target', '')
    for (const id of [...list.history, list.target, ...(list.candidates ?? [])]) this.listedItems.add(id)
    this.given[kind].push(list)
  }

  note(text: string): void {
    this.notes.push(text)
  }

  /** Notes that count: "12 rows without a rating". */
  count(what: string, by = 1): void {
    this.counted.set(what, (this.counted.get(what) ?? 0) + by)
  }

  finish(format: Format, set: FileSet, about: About): Imported {
    this.nameUsers()
    if (this.store.rows === 0) this.rowsFromLists()
    const columns = this.store.columns()
    const [rowsPath, itemsPath] = [
      this.rowsPath || (filesOf(set, 'interactions', 'windows')[0]?.path ?? this.path),
      this.itemsPath || this.rowsPath || this.path,
    ]
    if (columns.users.length === 0)
      throw new ReasonrecError('RR_DATA_EMPTY', `${rowsPath} has no rows`, {
        expected: 'at least one row of who chose what',
        got: 'none',
        remedy: 'check how the file was made',
        file: rowsPath,
      })
    const unit = this.unitOf(columns, rowsPath)
    return {
      format: format.name,
      name: about.name ?? set.name,
      noun: about.noun ?? null,
      itemsPath,
      items: this.verbatim ? this.catalogue : this.items(columns, about.wholeCatalogue ?? false),
      interactionsPath: rowsPath,
      columns,
      wholeCatalogue: this.verbatim || (about.wholeCatalogue ?? false),
      timed: this.timed,
      unit,
      clock: about.clock ?? (unit === null ? 'own' : 'shared'),
      userSplit: about.userSplit ?? null,
      windows: this.lists('train'),
      valid: this.lists('valid'),
      test: this.lists('test'),
      lastItem: this.lists('lastItem'),
      origin: about.origin ?? null,
      notes: [...this.notes, ...[...this.counted].map(([what, count]) => `${count} ${what}`)],
    }
  }

  private unitOf(columns: Columns, path: string): TimeUnit | null {
    if (!this.timed || !areTimes(columns.times)) return null
    return toSeconds(columns.times, this.options.timeUnit ?? null, (row) => `${path}:${columns.lines[row]}`)
  }

  /** Items of the rows that no file names get an empty title; items that only a list names too. */
  private items({ itemIds }: Columns, whole: boolean): RawItem[] {
    const nameless = (id: string): RawItem => ({ id, title: '', year: '', authors: '' })
    const named = new Map(this.catalogue.map((item) => [item.id, item]))
    const all = new Set<string>(whole ? named.keys() : itemIds)
    if (whole) for (const id of itemIds) all.add(id)
    for (const id of this.listedItems) all.add(id)
    return [...all].map((id) => named.get(id) ?? nameless(id))
  }

  private lists(kind: ListKind): RawLists | null {
    const path = this.listPaths[kind]
    if (path === undefined) return null
    return { path, rows: this.given[kind], ...(this.apart.has(kind) && { targetApart: true }) }
  }

  private nameUsers(): void {
    for (const kind of ['train', 'valid', 'test', 'lastItem'] as const)
      if (this.given[kind].some(({ user }) => user === '')) {
        this.given[kind] = withUsers(this.given[kind], `${kind}-`)
        this.notes.push(
          `${kind} rows name no user: rows that go on where the one before ended are one user's`,
        )
      }
  }

  private rowsFromLists(): void {
    const windows = [...this.given.train, ...this.given.valid, ...this.given.test, ...this.given.lastItem]
    if (windows.length === 0) return
    const byUser = new Map<string, RawList[]>()
    for (const window of windows) {
      const own = byUser.get(window.user)
      if (own) own.push(window)
      else byUser.set(window.user, [window])
    }
    for (const [user, own] of byUser)
      for (const item of sequenceOf(own))
        this.store.push(user, item, Number.NaN, this.store.rows + 1, own[0]?.line ?? 0)
    this.rowsPath = Object.values(this.listPaths)[0] ?? this.path
    this.notes.push('sequences are put together from the published windows: order only, no times')
  }

  /** Lists separate their ids by spaces, so that white space in an id is written as in a URL. */
  private id(raw: string): string {
    const id = raw.trim()
    return !this.verbatim && /[\s%]/.test(id) ? id.replace(/[\s%]/gu, (mark) => encodeURIComponent(mark)) : id
  }

  private reporter(path: string): ((bytes: number) => void) | undefined {
    const { onBytes } = this.options
    return onBytes && ((bytes) => onBytes(path, bytes))
  }
}

const base = (path: string): string => path.split(/[\\/]/).at(-1) ?? path

/**
 * What lies under a path: data sets of known formats, told by the content of their files; files that are refused as a
 * whole; files that nobody knows. A folder without files of its own whose subfolders are not parts of one set (train,
 * test, info, ...) holds several sets, and each subfolder is looked at for itself.
 */

import { readdirSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { ReasonrecError } from '../../engine/errors.js'
import { checkTextFile } from '../file-check.js'
import { canonical, canonicalSet, hasCanonical } from './canonical.js'
import type { FileSet, Format, Head, Refusal, SourceFile } from './format.js'
import { stemOf } from './format.js'
import { headOf } from './head.js'
import { formatNamed, formats } from './registry.js'

export interface Found {
  readonly format: Format
  readonly set: FileSet
}

export interface Discovery {
  readonly found: readonly Found[]
  readonly refused: readonly Refusal[]
  /** Files of no known format. */
  readonly ignored: readonly string[]
  /** What each file is; of the files of `found` and their like. */
  readonly files: readonly { readonly path: string; readonly format: string; readonly role: string }[]
}

const noData =
  /^\.|^(readme|licen[cs]e|copying|changelog)|\.(md|pdf|html?|py|ipynb|sh|png|jpe?g|svg|ya?ml|log|tmp)$/i
const partFolder =
  /^(train|valid|val|dev|test|info|index|raw|meta|reviews?|\d+core.*|mind.*_(train|dev|test))$/i
const deepest = 4
const mostFiles = 5000

/**
 * `forced`: columns are named, so every table holds interactions, whatever its header says.
 * @throws RR_DATA_NOT_FOUND where the path is nothing
 */
export async function discover(
  path: string,
  formatName: string | null = null,
  forced = false,
): Promise<Discovery> {
  const root = resolve(path)
  const entry = statSync(root, { throwIfNoEntry: false })
  if (!entry)
    throw new ReasonrecError('RR_DATA_NOT_FOUND', `${path} is not there`, {
      expected: 'a file or a folder',
      got: 'nothing',
      remedy: 'check the path',
    })
  const wanted = formatName === null ? null : formatNamed(formatName)
  if (!entry.isDirectory()) return oneFile(root, wanted)
  const parts = await Promise.all(unitsOf(root).map((unit) => oneUnit(unit, wanted, forced)))
  return {
    found: parts.flatMap(({ found }) => found),
    refused: parts.flatMap(({ refused }) => refused),
    ignored: parts.flatMap(({ ignored }) => ignored),
    files: parts.flatMap(({ files }) => files),
  }
}

const entriesOf = (folder: string) =>
  readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))

/** Folders that are looked at each for itself. */
function unitsOf(folder: string, depth = 0): string[] {
  const entries = entriesOf(folder)
  const folders = entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
  const hasFiles = entries.some((entry) => entry.isFile() && !noData.test(entry.name))
  if (
    hasFiles ||
    folders.length === 0 ||
    depth >= deepest ||
    folders.every(({ name }) => partFolder.test(name))
  )
    return [folder]
  return folders.flatMap(({ name }) => unitsOf(join(folder, name), depth + 1))
}

function filesUnder(folder: string, depth = 0): string[] {
  return entriesOf(folder)
    .flatMap((entry) => {
      const path = join(folder, entry.name)
      if (entry.isDirectory())
        return depth < deepest && !entry.name.startsWith('.') ? filesUnder(path, depth + 1) : []
      return noData.test(entry.name) ? [] : [path]
    })
    .slice(0, mostFiles)
}

interface Heads {
  readonly heads: readonly Head[]
  readonly refused: readonly Refusal[]
}

async function headsOf(paths: readonly string[]): Promise<Heads> {
  const heads: Head[] = []
  const refused: Refusal[] = []
  for (const path of paths)
    try {
      heads.push(await headOf(path))
    } catch (error) {
      if (!(error instanceof ReasonrecError)) throw error
      refused.push({ path, error })
    }
  return { heads, refused }
}

async function oneUnit(folder: string, wanted: Format | null, forced: boolean): Promise<Discovery> {
  if (wanted === canonical || (wanted === null && hasCanonical(folder))) {
    const set = await canonicalSet(folder)
    return {
      found: [{ format: canonical, set }],
      refused: [],
      ignored: [],
      files: set.files.map(({ path, role }) => ({ path, format: canonical.name, role })),
    }
  }
  const { heads, refused } = await headsOf(filesUnder(folder))
  const byFormat = new Map<Format, SourceFile[]>()
  const ignored: string[] = []
  for (const head of heads) {
    const known =
      recognised(head, heads, wanted) ??
      (wanted && forced && head.kind !== 'pickle' ? asRows(head, wanted) : null)
    if (known) byFormat.set(known.format, [...(byFormat.get(known.format) ?? []), known.file])
    else ignored.push(head.path)
  }
  const found = [...byFormat].flatMap(([format, files]) =>
    setsOf(format, files).map((set) => ({ format, set })),
  )
  const files = [...byFormat].flatMap(([{ name }, own]) =>
    own.map(({ path, role }) => ({ path, format: name, role })),
  )
  return { found, refused, ignored, files }
}

const asRows = (head: Head, format: Format): { readonly format: Format; readonly file: SourceFile } => ({
  format,
  file: { ...head, role: 'interactions' },
})

function recognised(
  head: Head,
  all: readonly Head[],
  wanted: Format | null,
): { readonly format: Format; readonly file: SourceFile } | null {
  for (const format of wanted ? [wanted] : formats) {
    const role = format.recognise(head, all)
    if (role) return { format, file: { ...head, role } }
  }
  return null
}

const isMain = ({ role }: SourceFile): boolean => role === 'interactions' || role === 'windows'

function setsOf(format: Format, files: readonly SourceFile[]): readonly FileSet[] {
  if (!files.some(isMain)) return []
  if (format.sets) return format.sets(files)
  const others = files.filter((file) => !isMain(file))
  return files.filter(isMain).map((file) => ({ name: stemOf(file), files: [file, ...others], preference: 0 }))
}

/** One file, with the files of its format that lie beside it; a table of no format in particular is taken alone. */
async function oneFile(path: string, wanted: Format | null): Promise<Discovery> {
  const head = await headOf(path)
  const siblings = entriesOf(dirname(path)).flatMap((entry) =>
    entry.isFile() && !noData.test(entry.name) && entry.name !== basename(path)
      ? [join(dirname(path), entry.name)]
      : [],
  )
  const { heads } = await headsOf(siblings)
  const all = [head, ...heads]
  const known = recognised(head, all, wanted) ?? (wanted && asRows(head, wanted))
  if (!known || !isMain(known.file)) {
    if (head.kind === 'text' && (known?.format.name ?? 'generic') === 'generic') await checkTextFile(path)
    throw notRows(path, known)
  }
  const { format, file } = known
  const beside =
    format.name === 'generic'
      ? []
      : heads.flatMap((other) => {
          const role = format.recognise(other, all)
          return role ? [{ ...other, role }] : []
        })
  const set = setsOf(format, [file, ...beside]).find(({ files }) => files.some((one) => one.path === path))
  if (!set) throw notRows(path, known)
  return {
    found: [{ format, set }],
    refused: [],
    ignored: [],
    files: set.files.map((one) => ({ path: one.path, format: format.name, role: one.role })),
  }
}

function notRows(
  path: string,
  known: { readonly format: Format; readonly file: SourceFile } | null,
): ReasonrecError {
  if (!known)
    return new ReasonrecError('RR_DATA_FORMAT', `${path}: this is no format that is known`, {
      expected: formats.map(({ name }) => name).join(', '),
      got: 'content that fits none of them',
      remedy: 'name the columns with --format generic --user-column NAME --item-column NAME',
      file: path,
    })
  return new ReasonrecError('RR_DATA_NOT_FOUND', `${path} holds no interactions`, {
    expected: 'rows of who chose what',
    got: `${known.file.role} of ${known.format.name}`,
    remedy: 'import the folder, or the file with the interactions and this one as --items',
    file: path,
  })
}

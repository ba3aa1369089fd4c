/**
 * Amazon reviews with their metadata, as downloaded: JSON lines, packed or not.
 *   2018  Books_5.json.gz (reviewerID, asin, overall, unixReviewTime)      meta_Books.json.gz (asin, title)
 *   2023  Books.jsonl.gz (user_id, parent_asin, rating, timestamp in ms)   meta_Books.jsonl.gz (parent_asin, title)
 * Reviews are read once into columns of numbers, cut to the k-core and the cap on users (core.ts), and only then titles
 * are looked for, so that memory goes with the rows and not with the texts. The metadata of 2014 is no JSON and refused.
 */

import { createReadStream, existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { createGunzip } from 'node:zlib'
import { ReasonrecError } from '../../engine/errors.js'
import { checkTextFile } from '../file-check.js'
import type { RawData, RawInteraction, RawItem } from './canonical.js'
import { type CoreOptions, keptRows, Numbering } from './core.js'

const metaName = /^meta_(.+)\.(jsonl?)(\.gz)?$/

/** Metadata and reviews of one category, both found by the category's name; null: this is no such folder. */
export function amazonFiles(folder: string): { readonly meta: string; readonly reviews: string } | null {
  const names = existsSync(folder) ? readdirSync(folder).sort() : []
  for (const meta of names) {
    const [, category] = metaName.exec(meta) ?? []
    const stems = [`${category}_5`, category, `reviews_${category}_5`, `reviews_${category}`]
    const reviews = stems.flatMap((stem) =>
      ['.jsonl.gz', '.jsonl', '.json.gz', '.json'].map((end) => `${stem}${end}`),
    )
    const found = category === undefined ? undefined : reviews.find((name) => names.includes(name))
    if (found) return { meta: join(folder, meta), reviews: join(folder, found) }
  }
  return null
}

export async function readAmazon(
  { meta, reviews }: { readonly meta: string; readonly reviews: string },
  options: CoreOptions,
): Promise<RawData> {
  const interactions = await readReviews(reviews, options)
  const [, category = ''] = metaName.exec(meta.split(/[\\/]/).at(-1) ?? '') ?? []
  return {
    name: `Amazon ${category.replaceAll('_', ' ')}`,
    noun: category === 'Books' ? 'book' : 'product',
    itemsPath: meta,
    items: await readTitles(meta, new Set(interactions.map(({ item }) => item))),
    interactionsPath: reviews,
    interactions,
    timed: true,
    clock: 'shared',
    userSplit: null,
    windows: null,
    valid: null,
    test: null,
    lastItem: null,
  }
}

async function readReviews(path: string, options: CoreOptions): Promise<RawInteraction[]> {
  const [userIds, itemIds] = [new Numbering(), new Numbering()]
  const columns = {
    users: new Column(Int32Array),
    items: new Column(Int32Array),
    lines: new Column(Int32Array),
  }
  const values = { ratings: new Column(Float32Array), times: new Column(Float64Array) }
  for await (const { value, line } of jsonLines(path)) {
    const { reviewerID, asin, overall, unixReviewTime, user_id, parent_asin, rating, timestamp } = value
    const [user, item] = [user_id ?? reviewerID, parent_asin ?? asin]
    const [stars, time] = [
      Number(rating ?? overall ?? Number.NaN),
      Number(timestamp ?? unixReviewTime ?? Number.NaN),
    ]
    if (typeof user !== 'string' || typeof item !== 'string' || !Number.isFinite(time))
      throw malformed(path, line, 'a review with user, item and time', JSON.stringify(value))
    columns.users.push(userIds.of(user))
    columns.items.push(itemIds.of(item))
    columns.lines.push(line)
    values.ratings.push(stars)
    values.times.push(time)
  }
  const [users, items, lines] = [columns.users.values(), columns.items.values(), columns.lines.values()]
  const [ratings, times] = [values.ratings.values(), values.times.values()]
  const kept = keptRows({ users, items, userIds: userIds.ids, itemIds: itemIds.ids }, options)
  const out: RawInteraction[] = []
  kept.forEach((keep, row) => {
    if (keep === 0) return
    const stars = ratings[row] as number
    out.push({
      user: userIds.ids[users[row] as number] as string,
      item: itemIds.ids[items[row] as number] as string,
      rating: Number.isNaN(stars) ? null : stars,
      timestamp: times[row] as number,
      line: lines[row] as number,
    })
  })
  return out
}

/** A typed array that grows. */
class Column<T extends Int32Array | Float32Array | Float64Array> {
  private held: T
  private length = 0

  constructor(private readonly Kind: new (length: number) => T) {
    this.held = new Kind(1024)
  }

  push(value: number): void {
    if (this.length === this.held.length) {
      const more = new this.Kind(2 * this.held.length)
      more.set(this.held)
      this.held = more
    }
    this.held[this.length++] = value
  }

  values(): T {
    return this.held.subarray(0, this.length) as T
  }
}

/** One item for each id that is wanted; an empty title where the metadata has none. */
async function readTitles(path: string, wanted: ReadonlySet<string>): Promise<RawItem[]> {
  const titles = new Map([...wanted].map((id) => [id, '']))
  for await (const { value } of jsonLines(path)) {
    const id = value.parent_asin ?? value.asin
    if (typeof id !== 'string' || titles.get(id) !== '') continue
    titles.set(id, typeof value.title === 'string' ? plainTitle(value.title) : '')
  }
  return [...titles].map(([id, title]) => ({ id, title, year: '', authors: '' }))
}

const entities: Readonly<Record<string, string>> = {
  amp: '&',
  quot: '"',
  '#39': "'",
  lt: '<',
  gt: '>',
  nbsp: ' ',
}

/** Entities decoded; a title that is a piece of a web page is none. */
function plainTitle(raw: string): string {
  if (/<[a-z!/][^>]*>|\bfunction\s*\(/i.test(raw)) return ''
  return raw.replace(/&(amp|quot|#39|lt|gt|nbsp);/g, (_, name: string) => entities[name] ?? '')
}

interface JsonLine {
  readonly value: Readonly<Record<string, unknown>>
  readonly line: number
}

async function* jsonLines(path: string): AsyncGenerator<JsonLine> {
  await checkTextFile(path)
  const file = createReadStream(path)
  const input = path.endsWith('.gz') ? file.pipe(createGunzip()) : file
  let line = 0
  for await (const text of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    line++
    if (text.trim() === '') continue
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch {
      throw malformed(path, line, 'one JSON object a line', text)
    }
    if (typeof value !== 'object' || value === null) throw malformed(path, line, 'a JSON object', text)
    yield { value: value as Record<string, unknown>, line }
  }
}

function malformed(path: string, line: number, expected: string, got: string): ReasonrecError {
  return new ReasonrecError('RR_DATA_MALFORMED', `${path}:${line}: a line that cannot be read`, {
    expected,
    got: got.slice(0, 80),
    remedy:
      'download the file again; metadata of 2014 is Python text and has to be rewritten as JSON lines first',
    file: path,
    line,
  })
}

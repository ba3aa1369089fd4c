/**
 * Which titles a reasoning cites. Other catalogue titles of two words and more come from data/title-scanner.ts; titles of
 * the history and the candidates are then looked for, longest first, but not inside a longer foreign title ("The
 * Silent Harbour" inside "The Silent Harbour Revisited"). Quoted strings that are no title of this instance are foreign
 * too. A title of one word counts only if it is of this instance and is written as in the catalogue ("It" in
 * "It fits" is a false friend that this cannot tell). A number that says a rating ends no title: "Blade 2/5" names Blade
 * where the catalogue has "Blade 2" too.
 */

import { ratingPlaces, words } from '../data/title.js'
import { type TitleMatch, TitleScanner } from '../data/title-scanner.js'
import type { Dataset, Instance, Item, ItemIndex } from '../data/types.js'

export interface Citations {
  readonly history: ReadonlySet<ItemIndex>
  readonly candidates: ReadonlySet<ItemIndex>
  /** Catalogue titles and quoted strings that are neither in the history nor among the candidates. */
  readonly foreign: readonly string[]
  /** The title of history or candidates that is named last. */
  readonly last: ItemIndex | null
  readonly words: number
  /** Words that are neither part of a title of this instance nor a number. */
  readonly proseWords: number
}

interface LocalTitle {
  readonly item: ItemIndex
  readonly words: readonly string[]
}

const scanners = new WeakMap<readonly Item[], TitleScanner>()
const quotation = /["“”«]([^"“”«»\n]{2,150})["“”»]/gu

/** English words that make titles such as "The Who" or "In the End" ordinary text. */
const functionWords = new Set(
  `a about after all also an and any are as at be because been before best both but by can come do down each end ever every
  first for from get go good had has have he her here him his how i if in into is it its just last like made make many may me
  more most much my new next no not now of off on one only or other our out over own same she so some such than that the
  their them then there these they this time to too two under up us very was we well were what when where which while who
  why will with would you your`
    .trim()
    .split(/\s+/),
)

/** What a text is about: an item, and the rating that may stand right behind its title. */
export interface RatedItem {
  readonly item: ItemIndex
  readonly rating: number
}

export function citations(
  dataset: Dataset,
  instance: Instance,
  text: string,
  about: RatedItem | null = null,
): Citations {
  const spoken = words(text)
  const taken = takenPlaces(dataset, text, spoken, about)
  const owner: (ItemIndex | undefined)[] = new Array(spoken.length)
  const locals = localTitles(dataset, instance)
  const others = foreignTitles(dataset, instance, text, spoken, taken)
  for (const title of locals) {
    if (title.words.length === 1 && !writtenAsTitle(text, dataset.items[title.item]?.title.text ?? ''))
      continue
    markOccurrences(spoken, title, owner, { others, taken })
  }
  const cited = new Set(owner.filter((item) => item !== undefined))
  const inHistory = new Set(instance.history)
  const inCandidates = new Set(instance.candidates)
  const apart = others.filter(({ start, end }) => owner.slice(start, end).every((item) => item === undefined))
  const foreign = new Set([
    ...apart.map(({ start, end }) => spoken.slice(start, end).join(' ')),
    ...foreignQuotes(text, locals),
  ])
  return {
    history: new Set([...cited].filter((item) => inHistory.has(item))),
    candidates: new Set([...cited].filter((item) => inCandidates.has(item))),
    foreign: [...foreign],
    last: owner.findLast((item) => item !== undefined) ?? null,
    words: spoken.length,
    proseWords: spoken.filter((word, place) => owner[place] === undefined && !/^\p{N}+$/u.test(word)).length,
  }
}

/** Places of numbers that are ratings. Behind the title of `about` one number is; two are a title's and its rating. */
function takenPlaces(
  dataset: Dataset,
  text: string,
  spoken: readonly string[],
  about: RatedItem | null,
): ReadonlySet<number> {
  const taken = ratingPlaces(text)
  if (about === null) return taken
  const title = words(dataset.items[about.item]?.title.text ?? '')
  const [own, isNumber] = [String(about.rating), /^\p{N}+$/u]
  spoken.forEach((word, place) => {
    const start = place - title.length
    if (word !== own || start < 0 || isNumber.test(spoken[place + 1] ?? '')) return
    if (title.every((each, k) => spoken[start + k] === each)) taken.add(place)
  })
  return taken
}

/** Longest first, so that "The Beatles Anthology" is not read as "The Beatles". */
function localTitles(dataset: Dataset, instance: Instance): LocalTitle[] {
  return [...new Set([...instance.history, ...instance.candidates])]
    .map((item) => ({ item, words: words(dataset.items[item]?.title.text ?? '') }))
    .filter((title) => title.words.length > 0)
    .sort((a, b) => b.words.length - a.words.length)
}

function markOccurrences(
  spoken: readonly string[],
  title: LocalTitle,
  owner: (ItemIndex | undefined)[],
  { others, taken }: { readonly others: readonly TitleMatch[]; readonly taken: ReadonlySet<number> },
): void {
  const length = title.words.length
  for (let start = 0; start + length <= spoken.length; start++) {
    if (taken.has(start + length - 1)) continue
    if (!title.words.every((word, k) => spoken[start + k] === word && owner[start + k] === undefined))
      continue
    if (
      others.some(
        (other) => other.start <= start && start + length <= other.end && other.end - other.start > length,
      )
    )
      continue
    owner.fill(title.item, start, start + length)
    start += title.words.length - 1
  }
}

function writtenAsTitle(text: string, title: string): boolean {
  for (let at = text.indexOf(title); at >= 0; at = text.indexOf(title, at + 1)) {
    const around = `${text[at - 1] ?? ' '}${text[at + title.length] ?? ' '}`
    if (!/[\p{L}\p{N}]/u.test(around)) return true
  }
  return false
}

/** Matches of catalogue titles that are not of this instance and not ordinary words. */
function foreignTitles(
  dataset: Dataset,
  instance: Instance,
  text: string,
  spoken: readonly string[],
  taken: ReadonlySet<number>,
): TitleMatch[] {
  let scanner = scanners.get(dataset.items)
  if (!scanner) {
    scanner = new TitleScanner(dataset.items)
    scanners.set(dataset.items, scanner)
  }
  const own = new Set([...instance.history, ...instance.candidates])
  return scanner
    .scan(text, taken)
    .filter(
      ({ items, start, end }) =>
        !items.some((item) => own.has(item)) &&
        !spoken.slice(start, end).every((word) => functionWords.has(word)),
    )
}

/** Quoted strings of two words and more that are not (part of) a title of this instance. */
function foreignQuotes(text: string, locals: readonly LocalTitle[]): string[] {
  const titles = locals.map((title) => ` ${title.words.join(' ')} `)
  return [...text.matchAll(quotation)]
    .map((match) => words(match[1] ?? ''))
    .filter((quoted) => quoted.length >= 2)
    .map((quoted) => quoted.join(' '))
    .filter((quoted) => !titles.some((title) => title.includes(` ${quoted} `)))
}

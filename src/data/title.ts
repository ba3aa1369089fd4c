/**
 * One rule for when two titles are the same (spec section 2): NFKC, case folded, white space collapsed,
 * quotation marks around the title and a period at its end removed. Ids that share a normalised title are
 * one item, and an answer names an item only by an equal normalised title; nothing fuzzy.
 */

const quotes = '"\'`´‘’‚‛“”„‟«»‹›'
const edge = new RegExp(`^[${quotes}\\s]+|[${quotes}\\s]+$`, 'gu')

/** Upper then lower case folds "ß" with "SS"; a final sigma is a sigma. */
function caseFolded(text: string): string {
  return text.toUpperCase().toLowerCase().replaceAll('ς', 'σ')
}

/** Never empty for a title that shows a character: "..." stays as it is. */
export function normaliseTitle(title: string): string {
  const folded = caseFolded(title.normalize('NFKC')).normalize('NFKC').replace(/\s+/gu, ' ').trim()
  let text = folded
  for (;;) {
    const stripped = text.replace(edge, '').replace(/\.+$/u, '').trim()
    if (stripped === text) return text
    if (stripped === '') return folded
    text = stripped
  }
}

/** "4/5", "4.5 / 5", "4 of 5", "4 out of 5". */
const rated = /(?<![\p{L}\p{N}.,])(\d(?:[.,]\d)?)(?:\s*\/\s*|\s+(?:out\s+)?of\s+)5(?![\p{L}\p{N}])/giu

/** Places, counted in words(text), of numbers that say a rating: no title ends with one ("Blade 2/5" is Blade, rated 2). */
export function ratingPlaces(text: string): Set<number> {
  const places = [...text.matchAll(rated)].flatMap((match) => {
    const before = words(text.slice(0, match.index)).length
    return words(match[1] ?? '').map((_, index) => before + index)
  })
  return new Set(places)
}

/** Words of a text for scanning and n-grams: folded letters and digits, apostrophes inside words dropped. */
export function words(text: string): string[] {
  const folded = caseFolded(text.normalize('NFKC')).replace(/(?<=[\p{L}\p{N}])['’‘ʼ](?=\p{L})/gu, '')
  return folded.match(/[\p{L}\p{M}\p{N}]+/gu) ?? []
}

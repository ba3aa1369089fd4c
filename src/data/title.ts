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

/** Words of a text for scanning and n-grams: folded letters and digits, apostrophes inside words dropped. */
export function words(text: string): string[] {
  const folded = caseFolded(text.normalize('NFKC')).replace(/(?<=[\p{L}\p{N}])['’‘ʼ](?=\p{L})/gu, '')
  return folded.match(/[\p{L}\p{M}\p{N}]+/gu) ?? []
}

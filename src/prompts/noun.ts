/** What one title names ("book"), as prompts and templates write it. */

/** The noun comes from data or configuration and lands in trusted text: letters, blanks and hyphens only. */
export function plainNoun(noun: string): string {
  const plain = noun
    .replace(/[^\p{L} -]/gu, '')
    .trim()
    .slice(0, 30)
    .trim()
  return plain === '' ? 'item' : plain
}

/** English plural by the common rules. */
export function plural(noun: string): string {
  if (/[^aeiou]y$/.test(noun)) return `${noun.slice(0, -1)}ies`
  return /(s|x|z|ch|sh)$/.test(noun) ? `${noun}es` : `${noun}s`
}

export function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}

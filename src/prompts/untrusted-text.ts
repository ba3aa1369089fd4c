/**
 * Text that came from outside (titles above all). A type of its own, so that it cannot be put into a
 * prompt by string concatenation: prompts are built from parts (prompt.ts), and untrusted parts are
 * encoded by a tokenizer that knows no special tokens.
 */

declare const brand: unique symbol
export interface UntrustedText {
  readonly [brand]: 'untrusted'
  /** Cleaned: NFC, no control, bidi or zero-width characters, newlines folded, at most 200 characters. */
  readonly text: string
}

const maxCharacters = 200
const maxPassageCharacters = 20_000
const invisible = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Cn}]/gu
const invisibleButNewline = /(?!\n)[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Cn}]/gu

/** Cleans text from outside. Never throws; may return an empty text. */
export function untrusted(raw: string): UntrustedText {
  const text = raw
    .replace(/\s+/gu, ' ')
    .replace(invisible, '')
    .normalize('NFC')
    .replace(/ {2,}/gu, ' ')
    .trim()
  return { text: [...text].slice(0, maxCharacters).join('').trim() } as UntrustedText
}

/** Text of a request, as it came: what it looks like is the sender's affair, its tokens are ordinary ones all the same. */
export function verbatim(raw: string): UntrustedText {
  return { text: raw } as UntrustedText
}

/**
 * Longer text written by a model or a teacher (reasoning): newlines are kept, the cap is 20,000
 * characters, and characters that show nothing are removed as in a title.
 */
export function untrustedPassage(raw: string): UntrustedText {
  const text = raw.replace(/\r\n?/gu, '\n').replace(invisibleButNewline, '').normalize('NFC')
  return { text: [...text].slice(0, maxPassageCharacters).join('') } as UntrustedText
}

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

/** Cleans text from outside. Never throws; may return an empty text. */
export function untrusted(raw: string): UntrustedText {
  const text = raw
    .normalize('NFC')
    .replace(/\s+/gu, ' ')
    .replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Cn}]/gu, '')
    .trim()
  return { text: [...text].slice(0, maxCharacters).join('').trim() } as UntrustedText
}

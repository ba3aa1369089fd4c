/**
 * Tokens to text while they come. Bytes of the tokens are put together, so a character that takes several tokens comes
 * out whole; special tokens show nothing. What may be the beginning of a stop string is held back until it is known
 * not to be one, and the text ends before the first stop string.
 */

import type { VocabularyBytes } from '../prompts/vocabulary-bytes.js'

export class AnswerText {
  private readonly decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  private held = ''
  private stopped = false
  /** UTF-16 units that came in, held ones included: where the next token begins. */
  offset = 0

  constructor(
    private readonly vocabulary: VocabularyBytes,
    private readonly hidden: ReadonlySet<number>,
    private readonly stops: readonly string[],
  ) {}

  /** The text that is now certain and was not before. */
  push(tokens: ArrayLike<number>): string {
    for (let i = 0; i < tokens.length; i++) this.add(tokens[i]!)
    return this.release(false)
  }

  /** What was held back, and an unfinished character as the replacement character. */
  end(): string {
    if (!this.stopped) this.take(this.decoder.decode())
    return this.release(true)
  }

  private add(token: number): void {
    if (this.stopped || this.hidden.has(token)) return
    this.take(this.decoder.decode(tokenBytes(this.vocabulary, token), { stream: true }))
  }

  private take(text: string): void {
    this.held += text
    this.offset += text.length
    const found = this.stops.map((stop) => this.held.indexOf(stop)).filter((at) => at >= 0)
    if (found.length === 0) return
    this.held = this.held.slice(0, Math.min(...found))
    this.stopped = true
  }

  private release(all: boolean): string {
    const keep = all || this.stopped ? 0 : Math.max(0, ...this.stops.map((stop) => overlap(this.held, stop)))
    const out = this.held.slice(0, this.held.length - keep)
    this.held = this.held.slice(this.held.length - keep)
    return out
  }
}

export function tokenBytes({ offsets, bytes }: VocabularyBytes, token: number): Uint8Array {
  return bytes.subarray(offsets[token] ?? 0, offsets[token + 1] ?? 0)
}

/** The longest end of `text` that is a beginning of `stop`, but not all of it. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length--)
    if (text.endsWith(stop.slice(0, length))) return length
  return 0
}

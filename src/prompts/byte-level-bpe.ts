/**
 * The frame of a byte-level BPE tokenizer.json, and GPT-2's printable stand-ins of bytes: shared by the tokenizers that
 * are written (the embedded default's, the tests') and the ones that are read out of GGUF files.
 */

import type { Json, TokenizerJson } from './tokenizer-json.js'

/** Stand-in of every byte: printable Latin-1 stands for itself, the others for U+0100 onwards in order. */
export function byteAlphabet(): string[] {
  let next = 0x100
  return Array.from({ length: 256 }, (_, byte) => {
    const shows = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae
    return String.fromCodePoint(shows ? byte : next++)
  })
}

export function byteLevel(useRegex: boolean): Json {
  return { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: useRegex }
}

/** An entry of added_tokens that is taken out of a text as it stands. */
export function addedToken(id: number, content: string, special: boolean) {
  return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special }
}

/** Words are cut by `pattern` before bytes are merged; GPT-2's own rule needs none (`byteLevel(true)`). */
export function splitBy(pattern: string): Json {
  return {
    type: 'Sequence',
    pretokenizers: [
      { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false },
      byteLevel(false),
    ],
  }
}

export interface BpeParts {
  readonly vocab: Readonly<Record<string, number>>
  readonly merges: readonly (string | readonly string[])[]
  /** A word that is a token is taken whole, without merging. */
  readonly ignoreMerges?: boolean
  readonly unknown?: string | null
  /** Bytes without an entry become <0x..>, runs of unknown ones a single one. */
  readonly byteFallback?: boolean
}

/** The section `model`. */
export function bpeModel({
  vocab,
  merges,
  ignoreMerges,
  unknown,
  byteFallback,
}: BpeParts): TokenizerJson['model'] {
  return {
    type: 'BPE',
    dropout: null,
    unk_token: unknown ?? null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: byteFallback ?? false,
    byte_fallback: byteFallback ?? false,
    ignore_merges: ignoreMerges ?? false,
    vocab,
    merges,
  }
}

/** A whole file of a tokenizer without normalisation; `special`: content and id of each added token. */
export function byteLevelTokenizer(
  special: readonly (readonly [string, number])[],
  preTokenizer: Json,
  decoder: Json,
  parts: BpeParts,
): TokenizerJson {
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special.map(([content, id]) => addedToken(id, content, true)),
    normalizer: null,
    pre_tokenizer: preTokenizer,
    post_processor: null,
    decoder,
    model: bpeModel(parts),
  }
}

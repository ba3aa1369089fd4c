/**
 * The bytes each token stands for, so that the decoder can look for stop strings without decoding text.
 *   byte-level BPE   every character of a token is one byte (GPT-2's table of printable stand-ins)
 *   SentencePiece    "▁" is a blank, <0x0A> is one byte, the rest is UTF-8
 *   added tokens     their content as UTF-8
 */

import { byteAlphabet } from './byte-level-bpe.js'
import type { TokenizerJson } from './tokenizer-files.js'

export interface VocabularyBytes {
  /** Token i is bytes[offsets[i], offsets[i + 1]); length vocabulary + 1. */
  readonly offsets: Float64Array
  readonly bytes: Uint8Array
}

/** Tokens by id; an id without a token has no bytes. */
export function vocabularyBytes(json: TokenizerJson, size: number): VocabularyBytes {
  const pieces: (Uint8Array | undefined)[] = new Array(size)
  const bytesOf = isByteLevel(json) ? byteLevelBytes(inverseByteTable()) : sentencePieceBytes
  for (const [token, id] of vocabularyEntries(json)) if (id < size) pieces[id] = bytesOf(token)
  const utf8 = new TextEncoder()
  for (const { id, content } of json.added_tokens) if (id < size) pieces[id] = utf8.encode(content)
  const offsets = new Float64Array(size + 1)
  for (let id = 0; id < size; id++) offsets[id + 1] = offsets[id]! + (pieces[id]?.length ?? 0)
  const bytes = new Uint8Array(offsets[size]!)
  pieces.forEach((piece, id) => {
    if (piece) bytes.set(piece, offsets[id]!)
  })
  return { offsets, bytes }
}

export function vocabularyEntries(json: TokenizerJson): [string, number][] {
  const { vocab } = json.model
  if (Array.isArray(vocab)) return vocab.map((entry: [string, number], id) => [entry[0], id])
  return Object.entries(vocab as Record<string, number>)
}

export function isByteLevel(json: TokenizerJson): boolean {
  return /"type":"ByteLevel"/.test(JSON.stringify([json.decoder, json.pre_tokenizer]))
}

/** Stand-in character -> byte. */
function inverseByteTable(): ReadonlyMap<string, number> {
  return new Map(byteAlphabet().map((character, byte) => [character, byte]))
}

function byteLevelBytes(table: ReadonlyMap<string, number>): (token: string) => Uint8Array {
  const utf8 = new TextEncoder()
  return (token) => {
    const bytes = [...token].map((character) => table.get(character))
    // A token outside the byte alphabet (an unused slot such as "[unused3]" is inside it) is its own text.
    return bytes.includes(undefined) ? utf8.encode(token) : Uint8Array.from(bytes as number[])
  }
}

function sentencePieceBytes(token: string): Uint8Array {
  const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(token)
  return byte
    ? Uint8Array.of(Number.parseInt(byte[1] as string, 16))
    : new TextEncoder().encode(token.replaceAll('▁', ' '))
}

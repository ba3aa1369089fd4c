/**
 * tokenizer.json as it may come from outside: what the encoder would stumble over, hang in or read as something
 * else is refused here, with a reason. Patterns of pre-tokenisers are regular expressions that run over every
 * text, so one that repeats a repetition is refused.
 */

import { ReasonrecError } from '../engine/errors.js'
import { repeatsARepetition } from '../engine/index.js'

export interface AddedTokenJson {
  readonly id: number
  readonly content: string
  readonly special: boolean
}

export type Json = Readonly<Record<string, unknown>>

export interface TokenizerJson extends Json {
  readonly added_tokens: readonly AddedTokenJson[]
  readonly model: Json & { readonly type?: string; readonly unk_token?: string | null }
}

const deepest = 30 // levels of normalizer, pre_tokenizer, post_processor and decoder; published files have five
const longestPattern = 20_000 // characters
const mostTokens = 2 ** 22

/** @throws RR_TOKENIZER_CORRUPT, RR_TOKENIZER_UNSUPPORTED */
export function checkedTokenizer(path: string, value: unknown): TokenizerJson {
  const model = isRecord(value) ? value.model : null
  if (!isRecord(value) || !isRecord(model)) throw corrupt(path, 'no "model" section')
  const type = model.type ?? (Array.isArray(model.vocab) ? 'Unigram' : 'merges' in model ? 'BPE' : 'unknown')
  if (type !== 'BPE' && type !== 'Unigram') {
    throw new ReasonrecError('RR_TOKENIZER_UNSUPPORTED', `${path} holds a tokenizer of another kind`, {
      expected: 'BPE or Unigram',
      got: String(type).slice(0, 100),
      remedy: 'use a model of the Llama, Mistral, Qwen2 or Qwen3 family',
    })
  }
  const { vocab, merges } = model
  if (type === 'BPE') checkPairs(path, vocab, merges)
  else checkScores(path, vocab)
  for (const step of ['normalizer', 'pre_tokenizer', 'post_processor', 'decoder'])
    checkStep(path, value[step])
  return {
    decoder: null,
    post_processor: null,
    pre_tokenizer: null,
    normalizer: null,
    ...value,
    added_tokens: addedTokens(path, value.added_tokens ?? []),
    model: { ...model, type },
  } as TokenizerJson
}

function checkPairs(path: string, vocab: unknown, merges: unknown): void {
  if (!isRecord(vocab)) throw corrupt(path, 'no vocabulary')
  const ids = Object.values(vocab)
  if (ids.length === 0) throw corrupt(path, 'no vocabulary')
  if (!ids.every(isId)) throw corrupt(path, 'a vocabulary entry without an id')
  if (new Set(ids).size !== ids.length) throw corrupt(path, 'an id that two vocabulary entries share')
  if (!Array.isArray(merges)) throw corrupt(path, 'no merges')
  const isMerge = (merge: unknown): boolean =>
    typeof merge === 'string'
      ? merge.includes(' ')
      : Array.isArray(merge) && merge.length === 2 && merge.every((part) => typeof part === 'string')
  if (!merges.every(isMerge)) throw corrupt(path, 'a merge that is no pair')
}

function checkScores(path: string, vocab: unknown): void {
  if (!Array.isArray(vocab) || vocab.length === 0) throw corrupt(path, 'no vocabulary')
  const isEntry = (entry: unknown): boolean =>
    Array.isArray(entry) && entry.length === 2 && typeof entry[0] === 'string' && Number.isFinite(entry[1])
  if (vocab.length > mostTokens || !vocab.every(isEntry))
    throw corrupt(path, 'a vocabulary entry that is no text with a score')
}

function addedTokens(path: string, added: unknown): AddedTokenJson[] {
  if (!Array.isArray(added)) throw corrupt(path, 'added tokens that are no list')
  return added.map((token: unknown) => {
    if (!isRecord(token) || !isId(token.id) || typeof token.content !== 'string')
      throw corrupt(path, 'an added token without id or content')
    if (token.content === '') throw corrupt(path, 'an added token without text')
    return { ...token, special: token.special === true } as unknown as AddedTokenJson
  })
}

/** Level by level, so that no depth of the file is a depth of ours. */
function checkStep(path: string, step: unknown): void {
  let level: unknown[] = [step]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > deepest) throw corrupt(path, `more than ${deepest} levels`)
    for (const part of level) {
      const pattern = isRecord(part) ? part.Regex : undefined
      if (typeof pattern !== 'string') continue
      if (pattern.length > longestPattern || repeatsARepetition(pattern))
        throw corrupt(path, `a pattern that may take for ever: ${pattern.slice(0, 80)}`)
    }
    level = level.flatMap((part) => (typeof part === 'object' && part !== null ? Object.values(part) : []))
  }
}

export function corrupt(path: string, got: string, cause?: unknown): ReasonrecError {
  return new ReasonrecError(
    'RR_TOKENIZER_CORRUPT',
    `${path} cannot be read`,
    { expected: 'a tokenizer file', got, remedy: 'download it again' },
    { cause },
  )
}

export function isId(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 24
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

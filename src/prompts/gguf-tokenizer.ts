/**
 * The tokenizer in a GGUF file, as the files of a Hugging Face folder. Two kinds are known well enough to give
 * the same ids:
 *   gpt2    byte-level BPE: tokens and merges are listed, and `tokenizer.ggml.pre` names the rule that cuts a
 *           text into words. Only names whose rule is known here are taken.
 *   llama   SentencePiece BPE: tokens with scores. The pair merged first is the one whose joint token scores
 *           highest, so the merges are all ways to cut a token in two others, by falling score.
 */

import { readGguf } from '../engine/gguf.js'
import type { NativeGguf } from '../engine/native.js'
import { addedToken, bpeModel, byteLevel, splitBy } from './byte-level-bpe.js'
import type { AddedTokenJson, TokenizerFiles, TokenizerJson } from './tokenizer-files.js'

/** tokenizer.ggml.token_type */
const tokenType = { unknown: 2, control: 3, userDefined: 4, unused: 5 } as const

interface WordRule {
  /** Text is brought to this Unicode form first. */
  readonly normalizer: 'NFC' | null
  readonly preTokenizer: unknown
  /** A word that is a token is taken whole, without merging. */
  readonly ignoreMerges: boolean
  /** Does a text begin with the start token where the file does not say? */
  readonly addsStart: boolean
}

/** Contractions; words with at most one mark before them; runs of digits; punctuation; line ends; blanks. */
const wordsWithDigits = (digits: string) =>
  `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`

const llama3Rule: WordRule = {
  normalizer: null,
  preTokenizer: splitBy(wordsWithDigits('\\p{N}{1,3}')),
  ignoreMerges: true,
  addsStart: true,
}

const wordRules: Readonly<Record<string, WordRule>> = {
  'gpt-2': { normalizer: null, preTokenizer: byteLevel(true), ignoreMerges: false, addsStart: false },
  'llama-bpe': llama3Rule,
  llama3: llama3Rule,
  'llama-v3': llama3Rule,
  qwen2: {
    normalizer: 'NFC',
    preTokenizer: splitBy(wordsWithDigits('\\p{N}')),
    ignoreMerges: false,
    addsStart: false,
  },
  smollm: {
    normalizer: null,
    preTokenizer: {
      type: 'Sequence',
      pretokenizers: [{ type: 'Digits', individual_digits: true }, byteLevel(true)],
    },
    ignoreMerges: false,
    addsStart: false,
  },
}

/** Null, with the reason, where the file's tokenizer is of a kind that is not known. */
export function ggufTokenizerFiles(file: string): TokenizerFiles | { readonly unknown: string } {
  const { metadata } = readGguf(file, true)
  const kind = metadata['tokenizer.ggml.model']
  const tokens = metadata['tokenizer.ggml.tokens']
  if (!Array.isArray(tokens) || tokens.length === 0) return { unknown: 'no tokenizer' }
  if (kind === 'llama') return spmFiles(metadata, tokens)
  if (kind !== 'gpt2') return { unknown: `a tokenizer of kind ${String(kind).slice(0, 40)}` }
  const pre = metadata['tokenizer.ggml.pre']
  const rule = typeof pre === 'string' && Object.hasOwn(wordRules, pre) ? wordRules[pre] : undefined
  const merges = metadata['tokenizer.ggml.merges']
  if (!Array.isArray(merges)) return { unknown: 'a gpt2 tokenizer without merges' }
  if (!rule) return { unknown: `word rule ${typeof pre === 'string' ? pre.slice(0, 40) : 'none'}` }
  return byteLevelFiles(metadata, tokens, merges, rule)
}

type Metadata = NativeGguf['metadata']

function byteLevelFiles(
  metadata: Metadata,
  tokens: readonly string[],
  merges: readonly string[],
  rule: WordRule,
): TokenizerFiles {
  const types = typesOf(metadata, tokens)
  const added = addedTokens(tokens, types)
  const aside = new Set(added.map(({ id }) => id))
  const vocab = vocabularyOf(tokens, (id) => !aside.has(id) && types[id] !== tokenType.unused)
  const json: TokenizerJson = {
    version: '1.0',
    added_tokens: added,
    normalizer: rule.normalizer && { type: rule.normalizer },
    pre_tokenizer: rule.preTokenizer,
    post_processor: around(metadata, tokens, rule.addsStart),
    decoder: byteLevel(true),
    model: bpeModel({
      vocab,
      merges: merges.map((merge) => merge.split(' ')),
      ignoreMerges: rule.ignoreMerges,
    }),
  }
  return filesOf(metadata, tokens, json)
}

function spmFiles(
  metadata: Metadata,
  tokens: readonly string[],
): TokenizerFiles | { readonly unknown: string } {
  const scores = metadata['tokenizer.ggml.scores']
  if (!(scores instanceof Float64Array) || scores.length !== tokens.length)
    return { unknown: 'a llama tokenizer without scores' }
  const types = typesOf(metadata, tokens)
  const unknownId = numberOf(metadata, 'tokenizer.ggml.unknown_token_id') ?? types.indexOf(tokenType.unknown)
  const blank = { type: 'Replace', pattern: { String: ' ' }, content: '▁' }
  const prefix = metadata['tokenizer.ggml.add_space_prefix'] !== false
  const json: TokenizerJson = {
    version: '1.0',
    added_tokens: addedTokens(tokens, types),
    normalizer: {
      type: 'Sequence',
      normalizers: prefix ? [{ type: 'Prepend', prepend: '▁' }, blank] : [blank],
    },
    pre_tokenizer: null,
    post_processor: around(metadata, tokens, true),
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(prefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
    model: bpeModel({
      vocab: vocabularyOf(tokens, (id) => types[id] !== tokenType.unused),
      merges: mergesByScore(tokens, scores),
      unknown: tokens[unknownId] ?? null,
      byteFallback: true,
    }),
  }
  return filesOf(metadata, tokens, json)
}

/** Every way to cut a token into two tokens; best joint score first, then by the parts' ids. */
function mergesByScore(tokens: readonly string[], scores: Float64Array): [string, string][] {
  const ids = new Map(tokens.map((token, id) => [token, id]))
  const merges: { readonly score: number; readonly left: number; readonly right: number }[] = []
  tokens.forEach((token, id) => {
    for (let cut = 1; cut < token.length; cut++) {
      const left = ids.get(token.slice(0, cut))
      const right = left === undefined ? undefined : ids.get(token.slice(cut))
      if (left !== undefined && right !== undefined) merges.push({ score: scores[id] as number, left, right })
    }
  })
  merges.sort((a, b) => b.score - a.score || a.left - b.left || a.right - b.right)
  return merges.map(({ left, right }) => [tokens[left] as string, tokens[right] as string])
}

function typesOf(metadata: Metadata, tokens: readonly string[]): Float64Array {
  const types = metadata['tokenizer.ggml.token_type']
  return types instanceof Float64Array && types.length === tokens.length
    ? types
    : new Float64Array(tokens.length).fill(1)
}

function addedTokens(tokens: readonly string[], types: Float64Array): AddedTokenJson[] {
  const kinds: readonly number[] = [tokenType.unknown, tokenType.control, tokenType.userDefined]
  return tokens.flatMap((content, id) =>
    kinds.includes(types[id] as number) ? [addedToken(id, content, types[id] !== tokenType.userDefined)] : [],
  )
}

/** A null prototype: a token may be called `__proto__`. */
function vocabularyOf(tokens: readonly string[], kept: (id: number) => boolean): Record<string, number> {
  const vocab: Record<string, number> = Object.create(null)
  tokens.forEach((token, id) => {
    if (kept(id)) vocab[token] = id
  })
  return vocab
}

/** What is put around a whole text: the start token, the end token, where the file asks for them. */
function around(metadata: Metadata, tokens: readonly string[], startByDefault: boolean): unknown {
  const of = (name: string, asked: unknown, otherwise: boolean) => {
    const id = numberOf(metadata, `tokenizer.ggml.${name}_token_id`)
    const wanted = typeof asked === 'boolean' ? asked : otherwise
    return wanted && id !== undefined && tokens[id] !== undefined ? [{ id, token: tokens[id] }] : []
  }
  const start = of('bos', metadata['tokenizer.ggml.add_bos_token'], startByDefault)
  const end = of('eos', metadata['tokenizer.ggml.add_eos_token'], false)
  const special = ({ token }: { readonly token: string }) => ({ SpecialToken: { id: token, type_id: 0 } })
  const single = [...start.map(special), { Sequence: { id: 'A', type_id: 0 } }, ...end.map(special)]
  return {
    type: 'TemplateProcessing',
    single,
    pair: [...single, { Sequence: { id: 'B', type_id: 1 } }],
    special_tokens: Object.fromEntries(
      [...start, ...end].map(({ id, token }) => [token, { id: token, ids: [id], tokens: [token] }]),
    ),
  }
}

function filesOf(metadata: Metadata, tokens: readonly string[], json: TokenizerJson): TokenizerFiles {
  const specialTokens: Record<string, string> = {}
  for (const [name, key] of [
    ['bos_token', 'bos'],
    ['eos_token', 'eos'],
    ['pad_token', 'padding'],
    ['unk_token', 'unknown'],
  ] as const) {
    const token = tokens[numberOf(metadata, `tokenizer.ggml.${key}_token_id`) ?? -1]
    if (token !== undefined) specialTokens[name] = token
  }
  const template = metadata['tokenizer.chat_template']
  const eosIds = ['eos', 'eot'].flatMap((key) => numberOf(metadata, `tokenizer.ggml.${key}_token_id`) ?? [])
  return {
    json,
    config: {},
    template: typeof template === 'string' ? template : null,
    specialTokens,
    eosIds,
  }
}

function numberOf(metadata: Metadata, name: string): number | undefined {
  const value = metadata[name]
  return typeof value === 'number' ? value : undefined
}

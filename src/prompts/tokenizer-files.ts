/**
 * The tokenizer's files of a Hugging Face model folder, read and checked, and the three variants of
 * tokenizer.json that encoding needs:
 *   whole         as published,
 *   continuation  adds no blank in front: for text that continues other text,
 *   untrusted     continuation without any added token: look-alikes of special tokens stay text.
 */

import { existsSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ReasonrecError } from '../engine/errors.js'
import { isGgufPath } from '../engine/gguf.js'
import { ggufTokenizerFiles } from './gguf-tokenizer.js'
import {
  type AddedTokenJson,
  checkedTokenizer,
  corrupt,
  isId,
  isRecord,
  type Json,
  type TokenizerJson,
} from './tokenizer-json.js'

export type { AddedTokenJson, TokenizerJson } from './tokenizer-json.js'

export interface TokenizerFiles {
  readonly json: TokenizerJson
  readonly config: Json
  /** Null: the model has no chat template. */
  readonly template: string | null
  /** bos_token, eos_token, ... as strings, for the template. */
  readonly specialTokens: Readonly<Record<string, string>>
  /** From config.json and generation_config.json. */
  readonly eosIds: readonly number[]
}

const largestTokenizer = 500_000_000 // bytes; the largest published ones have about 35 MB
const largestOther = 50_000_000 // bytes
const namedTokens = ['bos_token', 'eos_token', 'pad_token', 'unk_token'] as const

/** The tokenizer of a model folder; of a GGUF file: its own where its kind is known, else the one beside it. */
export async function readTokenizerFiles(model: string): Promise<TokenizerFiles> {
  if (!isGgufPath(model)) return readTokenizerFolder(model)
  const own = ggufTokenizerFiles(model)
  if (!('unknown' in own)) return { ...own, json: checkedTokenizer(model, own.json) }
  if (existsSync(join(dirname(model), 'tokenizer.json'))) return readTokenizerFolder(dirname(model))
  throw new ReasonrecError('RR_TOKENIZER_MISSING', `${model} holds no tokenizer that is known here`, {
    expected: 'a llama vocabulary, or gpt2 with the word rule gpt-2, llama-bpe, qwen2 or smollm',
    got: own.unknown,
    remedy: "put the model's tokenizer.json (and tokenizer_config.json) beside the file",
  })
}

async function readTokenizerFolder(dir: string): Promise<TokenizerFiles> {
  const path = join(dir, 'tokenizer.json')
  if (!existsSync(path)) throw missing(dir)
  const json = checkedTokenizer(path, parsed(path, await text(path, largestTokenizer)))
  const config = (await optionalJson(join(dir, 'tokenizer_config.json'))) ?? {}
  const special = (await optionalJson(join(dir, 'special_tokens_map.json'))) ?? {}
  const specialTokens: Record<string, string> = {}
  for (const name of namedTokens) {
    const text = tokenText(config[name]) ?? tokenText(special[name])
    if (text !== null) specialTokens[name] = text
  }
  const model = await optionalJson(join(dir, 'config.json'))
  const generation = await optionalJson(join(dir, 'generation_config.json'))
  const eosIds = [
    ...endIds(join(dir, 'generation_config.json'), generation),
    ...endIds(join(dir, 'config.json'), model),
  ]
  return { json, config, template: await chatTemplate(dir, config), specialTokens, eosIds }
}

/** For text that follows other text: no blank is put in front of it. */
export function continuation(json: TokenizerJson): TokenizerJson {
  return {
    ...json,
    normalizer: withoutPrepend(json.normalizer),
    pre_tokenizer: withoutPrefixSpace(json.pre_tokenizer),
  }
}

export function sameRules(a: TokenizerJson, b: TokenizerJson): boolean {
  return JSON.stringify([a.normalizer, a.pre_tokenizer]) === JSON.stringify([b.normalizer, b.pre_tokenizer])
}

/**
 * Ids that text from outside must never get: every added token, but for the unknown token and single
 * characters (those are letters of the alphabet that happen to be listed).
 */
export function controlIds(json: TokenizerJson): ReadonlySet<number> {
  return new Set(controlTokens(json).map(({ id }) => id))
}

/** No added tokens; where their contents are vocabulary entries, those cannot be reached by merging either. */
export function untrustedVariant(json: TokenizerJson): TokenizerJson {
  const contents = new Map(controlTokens(json).map(({ content, id }) => [content, id]))
  const rules = continuation(json)
  const { vocab, merges } = json.model
  const model: Record<string, unknown> = { ...json.model, vocab: unreachable(vocab, contents) }
  if (Array.isArray(merges)) {
    model.merges = merges.filter((merge: unknown) => {
      const [left, right] = Array.isArray(merge) ? merge : String(merge).split(' ')
      return !contents.has(`${left}${right}`)
    })
  }
  return { ...rules, added_tokens: [], model: model as TokenizerJson['model'] }
}

function controlTokens(json: TokenizerJson): readonly AddedTokenJson[] {
  return json.added_tokens.filter(
    ({ content }) => content !== json.model.unk_token && [...content].length > 1,
  )
}

/** A name with U+0000 stands for no text: cleaned text holds no such character. */
function unreachable(vocab: unknown, contents: ReadonlyMap<string, number>): unknown {
  if (Array.isArray(vocab)) {
    return vocab.map((entry: [string, number], id) =>
      contents.has(entry[0]) ? [`\0\0${id}`, entry[1]] : entry,
    )
  }
  return Object.fromEntries(
    Object.entries(vocab as Record<string, number>).map(([content, id]) => [
      contents.has(content) ? `\0\0${id}` : content,
      id,
    ]),
  )
}

function withoutPrepend(normalizer: unknown): unknown {
  if (!isRecord(normalizer)) return normalizer
  if (normalizer.type === 'Prepend') return null
  if (normalizer.type !== 'Sequence' || !Array.isArray(normalizer.normalizers)) return normalizer
  return {
    ...normalizer,
    normalizers: normalizer.normalizers.map(withoutPrepend).filter((step) => step !== null),
  }
}

function withoutPrefixSpace(preTokenizer: unknown): unknown {
  if (!isRecord(preTokenizer)) return preTokenizer
  if (preTokenizer.type === 'Metaspace')
    return { ...preTokenizer, prepend_scheme: 'never', add_prefix_space: false }
  if (preTokenizer.type === 'ByteLevel') return { ...preTokenizer, add_prefix_space: false }
  if (!Array.isArray(preTokenizer.pretokenizers)) return preTokenizer
  return { ...preTokenizer, pretokenizers: preTokenizer.pretokenizers.map(withoutPrefixSpace) }
}

async function chatTemplate(dir: string, config: Json): Promise<string | null> {
  const file = join(dir, 'chat_template.jinja')
  if (existsSync(file)) return text(file, largestOther)
  const other = join(dir, 'chat_template.json')
  const listed = config.chat_template ?? (await optionalJson(other))?.chat_template
  if (listed == null || typeof listed === 'string') return listed ?? null
  const where = config.chat_template == null ? other : join(dir, 'tokenizer_config.json')
  if (typeof listed !== 'object') throw corrupt(where, 'a chat_template that is no text')
  const named = Array.isArray(listed)
    ? listed
    : Object.entries(listed).map(([name, template]) => ({ name, template }))
  if (named.length === 0) return null
  const chosen: unknown = named.find((entry) => isRecord(entry) && entry.name === 'default') ?? named[0]
  if (!isRecord(chosen) || typeof chosen.template !== 'string')
    throw corrupt(where, 'a chat_template that is no text')
  return chosen.template
}

/** eos_token_id: an id, a list of ids, or nothing; ids outside the vocabulary are dropped by the tokenizer. */
function endIds(path: string, file: Json | null): number[] {
  const given = [file?.eos_token_id ?? []].flat()
  if (!given.every((id) => Number.isSafeInteger(id))) throw corrupt(path, 'an eos_token_id that is no id')
  return given.filter(isId)
}

async function text(path: string, largest: number): Promise<string> {
  const found = await stat(path)
  if (!found.isFile()) throw corrupt(path, 'no regular file')
  if (found.size > largest) throw corrupt(path, `${found.size} bytes, at most ${largest} are read`)
  return readFile(path, 'utf8')
}

function missing(dir: string): ReasonrecError {
  const other = ['tokenizer.model', 'vocab.json', 'vocab.txt'].find((name) => existsSync(join(dir, name)))
  return new ReasonrecError('RR_TOKENIZER_MISSING', `${dir} has no tokenizer.json`, {
    expected: 'tokenizer.json of the Hugging Face tokenizers library',
    got: other ?? (existsSync(dir) ? 'a folder without it' : 'no such folder'),
    remedy: other
      ? `write one with AutoTokenizer.from_pretrained("${dir}").save_pretrained("${dir}") in Python`
      : 'give --model the folder that holds config.json, tokenizer.json and *.safetensors',
  })
}

function parsed(path: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    const got = text.startsWith('version https://git-lfs') ? 'a Git LFS pointer' : 'text that is not JSON'
    throw corrupt(path, got, error)
  }
}

async function optionalJson(path: string): Promise<Json | null> {
  if (!existsSync(path)) return null
  const value = parsed(path, await text(path, largestOther))
  if (!isRecord(value)) throw corrupt(path, 'JSON that is not an object')
  return value
}

function tokenText(token: unknown): string | null {
  if (typeof token === 'string') return token
  return isRecord(token) && typeof token.content === 'string' ? token.content : null
}

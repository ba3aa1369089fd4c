/**
 * Text to ids and back for a Hugging Face folder, with one rule: special tokens come from trusted text only.
 * Trusted strings (templates, our wording, the response form) are encoded with added tokens recognised;
 * untrusted text (titles, reasoning) by a variant that knows none, so `<|im_end|>` in a title is eleven
 * ordinary characters. Parts are encoded separately and their ids concatenated: a title has the same ids in
 * the history, among the candidates and in the answer.
 */

import { Tokenizer as Encoder } from '@huggingface/tokenizers'
import { ReasonrecError } from '../engine/errors.js'
import { answeredShape, ChatTemplate, plainSkeleton, type Roles, type Skeleton } from './chat-template.js'
import type { Message, Prompt, PromptPart } from './prompt.js'
import {
  continuation,
  controlIds,
  readTokenizerFiles,
  sameRules,
  type TokenizerFiles,
  type TokenizerJson,
  untrustedVariant,
} from './tokenizer-files.js'
import { type VocabularyBytes, vocabularyBytes, vocabularyEntries } from './vocabulary-bytes.js'

const cachedTexts = 100_000
const responseTags: ReadonlySet<string> = new Set(['<think>', '</think>', '<answer>', '</answer>'])

export class Tokenizer {
  /** Largest id + 1; a model's vocabulary may be larger (padded), never smaller. */
  readonly vocabularySize: number
  /** Tokens that end generation; the first is the one that ends an assistant's turn. */
  readonly eosIds: readonly number[]
  readonly hasChatTemplate: boolean
  private readonly json: TokenizerJson
  private readonly whole: Encoder
  private readonly following: Encoder
  private readonly plain: Encoder
  private readonly chat: ChatTemplate | null
  private readonly control: ReadonlySet<number>
  private readonly skipped: ReadonlySet<number>
  private readonly known: ReadonlySet<number>
  private readonly prefix: readonly number[]
  private readonly cache = new Map<string, Int32Array>()

  private constructor(files: TokenizerFiles, chat: ChatTemplate | null, whole: Encoder, where: string) {
    const { json, config } = files
    this.json = json
    this.chat = chat
    this.hasChatTemplate = chat !== null
    this.whole = whole
    const following = continuation(json)
    this.following = sameRules(following, json) ? this.whole : encoder(following, config, where)
    this.plain = encoder(untrustedVariant(json), config, where)
    this.control = controlIds(json)
    this.skipped = new Set(
      json.added_tokens
        .filter(({ special, content }) => special && !responseTags.has(content))
        .map(({ id }) => id),
    )
    this.known = new Set([
      ...vocabularyEntries(json).map(([, id]) => id),
      ...json.added_tokens.map(({ id }) => id),
    ])
    this.vocabularySize = [...this.known].reduce((largest, id) => Math.max(largest, id), -1) + 1
    this.prefix = addedInFront(this.whole)
    const named = this.whole.token_to_id(files.specialTokens.eos_token ?? '')
    const ends = [this.turnEnd(), named, ...files.eosIds].filter(
      (id): id is number => id !== undefined && this.known.has(id),
    )
    this.eosIds = [...new Set(ends)]
  }

  /**
   * Throws RR_TOKENIZER_MISSING, RR_TOKENIZER_CORRUPT, RR_TOKENIZER_UNSUPPORTED, or RR_TEMPLATE_* for a chat
   * template that fails, runs longer than 2 s, needs more than 64 MB or changes the messages.
   */
  static async open(dir: string): Promise<Tokenizer> {
    const files = await readTokenizerFiles(dir)
    const whole = encoder(files.json, files.config, dir) // before a process is started for the template
    const chat =
      files.template === null ? null : await ChatTemplate.compile(files.template, files.specialTokens)
    try {
      return new Tokenizer(files, chat, whole, dir)
    } catch (error) {
      if (error instanceof ReasonrecError) throw error
      throw unusable(dir, error) // the encoder met something that no check foresaw
    }
  }

  /**
   * Special tokens in the text become special ids. `addSpecial`: also what the tokenizer puts around a text
   * (a start token, say). `continues`: the text follows other text, so no blank is put in front.
   */
  encodeTrusted(
    text: string,
    options: { readonly addSpecial?: boolean; readonly continues?: boolean } = {},
  ): Int32Array {
    if (options.addSpecial) return encoded(this.whole, text, true)
    return options.continues && this.following !== this.whole
      ? this.cached('c', text, () => encoded(this.following, text, false))
      : this.cached('t', text, () => encoded(this.whole, text, false))
  }

  /** No special id, whatever the text holds; decoding gives the text back. */
  encodeUntrusted(text: string): Int32Array {
    return this.cached('u', text, () => {
      const ids = encoded(this.plain, text, false)
      if (ids.some((id) => this.control.has(id))) {
        throw new ReasonrecError(
          'RR_TOKENIZER_UNTRUSTED',
          'this tokenizer turns ordinary text into special tokens',
          {
            expected: 'no special id',
            got: JSON.stringify(text.slice(0, 80)),
            remedy: 'use another model, or remove the item with this title',
          },
        )
      }
      return ids
    })
  }

  /** Every part on its own, ids concatenated; all of them continue a text before them. */
  encodeParts(parts: readonly PromptPart[]): Int32Array {
    return joined(
      parts.map((part) =>
        typeof part === 'string'
          ? this.encodeTrusted(part, { continues: true })
          : this.encodeUntrusted(part.text),
      ),
    )
  }

  /**
   * The prompt through the chat template, up to where the response starts (no think block open). Without a
   * template: contents with an empty line after each, after the tokenizer's own start token.
   */
  encodePrompt(prompt: Prompt): Int32Array {
    const roles = prompt.messages.map(({ role }) => role)
    const skeleton = this.chat ? this.chat.skeleton(roles) : plainSkeleton(roles)
    const segments = merged(promptParts(skeleton, prompt.messages))
    const ids = segments.map((part, index) => {
      if (typeof part !== 'string') return this.encodeUntrusted(part.text)
      return this.encodeTrusted(part, { continues: index > 0 })
    })
    return joined(this.chat ? ids : [Int32Array.from(this.prefix), ...ids])
  }

  /** Makes encodePrompt know prompts of these roles. @throws RR_TEMPLATE_TIMEOUT, RR_TEMPLATE_MEMORY */
  async prepareRoles(roles: Roles): Promise<void> {
    await this.chat?.prepare(roles)
  }

  /** Ids without a token (a padded vocabulary) are left out. `skipSpecial` keeps the tags of the response form. */
  decode(ids: ArrayLike<number>, options: { readonly skipSpecial?: boolean } = {}): string {
    const shown = Array.from(ids).filter(
      (id) => this.known.has(id) && !(options.skipSpecial && this.skipped.has(id)),
    )
    return shown.length === 0 ? '' : this.whole.decode(shown, { clean_up_tokenization_spaces: false })
  }

  /** `size`: the model's vocabulary, where it is padded. */
  vocabularyBytes(size: number = this.vocabularySize): VocabularyBytes {
    return vocabularyBytes(this.json, size)
  }

  /** Throws RR_TOKENIZER_MISMATCH if an id of this tokenizer is outside the model's vocabulary. */
  checkVocabulary(modelVocabulary: number): void {
    if (this.vocabularySize <= modelVocabulary) return
    throw new ReasonrecError('RR_TOKENIZER_MISMATCH', 'tokenizer and model do not belong together', {
      expected: `ids below ${modelVocabulary} (the model's vocabulary)`,
      got: `ids up to ${this.vocabularySize - 1}`,
      remedy: 'take tokenizer.json and the weights from the same model folder',
    })
  }

  /** Ids that never come out of encodeUntrusted. */
  get specialIds(): ReadonlySet<number> {
    return this.control
  }

  /** Ids that decode(..., { skipSpecial: true }) leaves out. */
  get hiddenIds(): ReadonlySet<number> {
    return this.skipped
  }

  /** What the tokenizer puts in front of a text by itself: a start token, or nothing. */
  get startIds(): readonly number[] {
    return this.prefix
  }

  get kind(): string {
    return String(this.json.model.type)
  }

  /** The texts round a system's and a user's message; null without a template. */
  chatTexts(): readonly string[] | null {
    const roles = ['system', 'user'] as const
    return this.chat ? this.chat.skeleton(roles).texts : null
  }

  private turnEnd(): number | undefined {
    if (!this.chat?.has(answeredShape)) return undefined
    const tail = this.chat.skeleton(answeredShape).texts.at(-1) ?? ''
    return this.encodeTrusted(tail, { continues: true }).find((id) => this.skipped.has(id))
  }

  private cached(kind: string, text: string, encode: () => Int32Array): Int32Array {
    const key = kind + text
    const found = this.cache.get(key)
    if (found) return found
    const ids = encode()
    if (this.cache.size >= cachedTexts) this.cache.clear()
    if (text.length <= 1_000) this.cache.set(key, ids)
    return ids
  }
}

/** Skeleton and contents in the order of the rendered text. */
function promptParts(skeleton: Skeleton, messages: readonly Message[]): PromptPart[] {
  let contents = messages.map(({ parts }) => parts)
  if (skeleton.systemJoinedToUser) {
    const [system, first, ...rest] = contents
    contents = [[...(system ?? []), '\n\n', ...(first ?? [])], ...rest]
  }
  return skeleton.texts.flatMap((text, index) => {
    const message = skeleton.order[index]
    return [text, ...(message === undefined ? [] : (contents[message] ?? []))]
  })
}

/** Neighbouring trusted strings become one, as the whole rendering would be encoded. */
function merged(parts: readonly PromptPart[]): PromptPart[] {
  const segments: PromptPart[] = []
  for (const part of parts) {
    const last = segments.at(-1)
    if (part === '') continue
    if (typeof part === 'string' && typeof last === 'string') segments[segments.length - 1] = last + part
    else segments.push(part)
  }
  return segments
}

function encoder(json: TokenizerJson, config: object, where: string): Encoder {
  try {
    return new Encoder(json, config)
  } catch (error) {
    throw unusable(where, error)
  }
}

function unusable(where: string, error: unknown): ReasonrecError {
  return new ReasonrecError(
    'RR_TOKENIZER_CORRUPT',
    `${where}/tokenizer.json cannot be used`,
    { got: error instanceof Error ? error.message : String(error), remedy: 'download it again' },
    { cause: error },
  )
}

function encoded(by: Encoder, text: string, addSpecial: boolean): Int32Array {
  const { ids } = by.encode(text, { add_special_tokens: addSpecial })
  if (!ids.every(Number.isInteger)) {
    throw new ReasonrecError('RR_TOKENIZER_UNKNOWN_TEXT', 'this tokenizer cannot represent a text', {
      got: JSON.stringify(text.slice(0, 80)),
      remedy: 'use a model whose tokenizer covers all bytes, or remove the text from the data',
    })
  }
  return Int32Array.from(ids)
}

/** What the tokenizer puts in front of a text by itself. */
function addedInFront(whole: Encoder): readonly number[] {
  const bare = whole.encode('a', { add_special_tokens: false }).ids
  const dressed = whole.encode('a', { add_special_tokens: true }).ids
  return dressed.slice(0, Math.max(0, dressed.indexOf(bare[0] ?? -1)))
}

/** One after the other. */
export function joined(pieces: readonly Int32Array[]): Int32Array {
  const ids = new Int32Array(pieces.reduce((total, piece) => total + piece.length, 0))
  let end = 0
  for (const piece of pieces) {
    ids.set(piece, end)
    end += piece.length
  }
  return ids
}

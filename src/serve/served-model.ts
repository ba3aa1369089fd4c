/**
 * The model behind the server: one session of the engine that every request joins. An answer is a function of
 * (prompt, request, seed) alone, to the bit, whatever else is being answered.
 */

import { randomInt } from 'node:crypto'
import { statSync } from 'node:fs'
import path from 'node:path'
import { Adapter, DecodeSession, Model, type NativeWeightType, type Sample } from '../engine/index.js'
import type { Message } from '../prompts/prompt.js'
import { joined, Tokenizer } from '../prompts/tokenizer.js'
import { verbatim } from '../prompts/untrusted-text.js'
import type { VocabularyBytes } from '../prompts/vocabulary-bytes.js'
import { type Choice, ChoiceWriter, type Delta } from './answer.js'
import { Problem } from './problem.js'
import type { ServedRequest } from './request.js'
import { planOf } from './script.js'

export interface ServedModelOptions {
  readonly model: string
  readonly adapter: string | null
  readonly dtype: NativeWeightType
  /** What requests call it; null: the names of the folders. */
  readonly name: string | null
  readonly rows: number
  readonly maxTokens: number
}

export interface Answer {
  /** Of prompt p the choices p * n to p * n + n - 1. */
  readonly choices: readonly Choice[]
  readonly promptIds: readonly Int32Array[]
  /** The request's, or the one that was drawn for it. */
  readonly seed: number
}

const largestSeed = 2 ** 48 - 1

export class ServedModel {
  /** Unix time of the weights, in seconds. */
  readonly created: number
  private session: DecodeSession

  private constructor(
    readonly id: string,
    private readonly model: Model,
    private readonly adapter: Adapter | null,
    private readonly tokenizer: Tokenizer,
    private readonly vocabulary: VocabularyBytes,
    private readonly options: ServedModelOptions,
  ) {
    this.created = Math.floor(statSync(options.adapter ?? options.model).mtimeMs / 1000)
    this.session = this.open()
  }

  /** @throws what Tokenizer.open, Model.open and Adapter.load throw, RR_TOKENIZER_MISMATCH */
  static async open(options: ServedModelOptions): Promise<ServedModel> {
    const tokenizer = await Tokenizer.open(options.model)
    const model = await Model.open(options.model, { dtype: options.dtype })
    tokenizer.checkVocabulary(model.vocab)
    const adapter = options.adapter === null ? null : await Adapter.load(model, options.adapter)
    const folders = [options.model, ...(options.adapter === null ? [] : [options.adapter])]
    const id = options.name ?? folders.map((folder) => path.basename(path.resolve(folder))).join('+')
    const vocabulary = tokenizer.vocabularyBytes(model.vocab)
    return new ServedModel(id, model, adapter, tokenizer, vocabulary, options)
  }

  /**
   * `onDelta`: told of text while it is written; the last piece of each choice comes when all are done.
   * @throws RR_SERVE_FIELD, RR_SERVE_MODEL, RR_PROMPT_TOO_LONG and the like, RR_CANCELLED
   */
  async answer(
    request: ServedRequest,
    signal: AbortSignal,
    onDelta: ((delta: Delta) => void) | null,
  ): Promise<Answer> {
    this.require(request.model)
    const promptIds = await this.prompts(request)
    const seed = request.seed ?? randomInt(largestSeed)
    const others = new AbortController() // where one prompt fails, the rest is not worth its time
    const together = AbortSignal.any([signal, others.signal])
    try {
      const parts = promptIds.map((prompt, index) =>
        this.continuations(request, prompt, index * request.n, seed, together, onDelta),
      )
      const choices = (await Promise.all(parts)).flat()
      return { choices, promptIds, seed }
    } catch (error) {
      others.abort()
      throw error
    }
  }

  async close(): Promise<void> {
    await this.session.close()
  }

  private require(name: string | null): void {
    if (name === null || name === this.id) return
    const details = { expected: this.id, got: name.slice(0, 120), remedy: `ask for model ${this.id}` }
    throw new Problem(404, 'RR_SERVE_MODEL', 'this model is not served here', details, 'model')
  }

  private async prompts(request: ServedRequest): Promise<Int32Array[]> {
    const { tokenizer } = this
    if (request.kind === 'completion') {
      return request.prompts.map((prompt) =>
        typeof prompt === 'string'
          ? joined([Int32Array.from(tokenizer.startIds), tokenizer.encodeTrusted(prompt)])
          : Int32Array.from(prompt),
      )
    }
    const messages = request.messages.map(
      ({ role, content }): Message => ({ role, parts: [verbatim(content)] }),
    )
    await tokenizer.prepareRoles(messages.map(({ role }) => role))
    return [tokenizer.encodePrompt({ messages })]
  }

  /** The n answers to one prompt; the first has the number `first`. */
  private async continuations(
    request: ServedRequest,
    prompt: Int32Array,
    first: number,
    seed: number,
    signal: AbortSignal,
    onDelta: ((delta: Delta) => void) | null,
  ): Promise<Choice[]> {
    const { tokenizer, vocabulary } = this
    const room = {
      context: this.model.config.maxPosition,
      prompt: prompt.length,
      limit: this.options.maxTokens,
    }
    const plan = planOf(request, tokenizer, room)
    const streams = Array.from({ length: request.n }, (_, index) => BigInt(index))
    const writers = streams.map(
      (_, index) => new ChoiceWriter(first + index, vocabulary, tokenizer, request.stop, request.top),
    )
    const samples = await this.live().decode({
      group: {
        prompt,
        samples: streams.map((stream) => ({ stream, given: plan.given })),
        trie: plan.trie,
        candidates: plan.candidates,
        top: request.top,
      },
      script: plan.script,
      seed: BigInt.asUintN(64, BigInt(seed)),
      signal,
      ...(onDelta && {
        onGrowth: (sample: number, piece: Sample) => onDelta(writers[sample]!.grow(piece)),
      }),
    })
    return samples.map((sample, index) => {
      const { last, choice } = writers[index]!.finish(sample, plan)
      onDelta?.(last)
      return choice
    })
  }

  /** An error of the engine ends a session and what is in it, not the server. */
  private live(): DecodeSession {
    if (this.session.broken) this.session = this.open()
    return this.session
  }

  private open(): DecodeSession {
    const { model, adapter, vocabulary, options } = this
    return DecodeSession.open(
      model,
      { trained: adapter },
      { maxRows: options.rows, vocabularyBytes: vocabulary },
    )
  }
}

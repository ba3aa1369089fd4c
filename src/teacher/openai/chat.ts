/**
 * What is asked of a chat completion and what comes back. A request is known by its content:
 *   key = sha256(model, messages, parameters, schema version, repeat, count)
 * so the same question is the same entry of the ledger in every sitting, and a repeat index tells samples of one
 * question apart. Where the server stands is no part of it: a ledger can be replayed without one.
 */

import { createHash } from 'node:crypto'
import { canonicalJson } from '../../config/load.js'
import type { ReasonrecError } from '../../engine/errors.js'

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant'
  readonly content: string
}

/** Asked of servers that hold an answer to a JSON schema; the reader of an answer has to check it all the same. */
export interface AnswerSchema {
  /** Letters, digits, "_" and "-". */
  readonly name: string
  readonly schema: Readonly<Record<string, unknown>>
}

export interface ChatRequest {
  readonly messages: readonly ChatMessage[]
  /** Of the answer; a reasoning model's allowance comes on top (teacher.reasoning_tokens). */
  readonly maxTokens: number
  readonly temperature: number
  readonly topP?: number
  readonly stop?: readonly string[]
  readonly schema?: AnswerSchema
  /** Names the reader: a new version asks again what an older one has answers to. */
  readonly version: string
  readonly seed: number
  /** Samples of one question differ by it; 0 unless told. */
  readonly repeat?: number
}

/** Text from outside, all of it. */
export interface ChatChoice {
  readonly text: string
  /** reasoning_content of a reasoning model; null where there is none. */
  readonly reasoning: string | null
  /** stop, length, ... as the server said. */
  readonly finish: string
  /** Of the answer's tokens, log base e, where asked for and offered. */
  readonly logprobs?: readonly number[]
}

/** Tokens. */
export interface ChatUsage {
  readonly prompt: number
  /** Hidden reasoning included. */
  readonly completion: number
  readonly reasoning: number
  /** The server gave no counts: estimated from the length of the texts. */
  readonly estimated?: boolean
}

/** Null: not an answer of the kind that was asked for. Must not throw and must not depend on anything but the choice. */
export type ChoiceReader<T> = (choice: ChatChoice) => T | null

export type ChatOutcome<T> =
  | {
      readonly answered: true
      readonly value: T
      readonly choice: ChatChoice
      /** Completion tokens of this sample; those of its request in equal parts. */
      readonly tokens: number
      /** Of its request in the ledger, and which choice of it. */
      readonly key: string
      readonly place: number
      /** From the ledger: nothing was sent. */
      readonly replayed: boolean
    }
  /** Given up after the allowed attempts; the work goes on without it. */
  | { readonly answered: false; readonly error: ReasonrecError }

/** A request for `count` samples at once. */
export function requestKey(model: string, request: ChatRequest, count: number): string {
  const { messages, maxTokens, temperature, topP, stop, schema, version, seed, repeat = 0 } = request
  const parameters = {
    maxTokens,
    temperature,
    topP: topP ?? null,
    stop: stop ?? [],
    schema: schema ?? null,
    seed,
  }
  return createHash('sha256')
    .update(canonicalJson({ model, messages, parameters, version, repeat, count }))
    .digest('hex')
}

/** 31 bits, which every server takes; other seeds for other attempts, or an unreadable answer would come back. */
export function attemptSeed(key: string, attempt: number): number {
  return createHash('sha256').update(`${key} ${attempt}`).digest().readUInt32BE(0) >>> 1
}

/** Rough: four bytes a token and a few for each message's frame. */
export function estimatedTokens(text: string, messages = 0): number {
  return Math.ceil(Buffer.byteLength(text, 'utf8') / 4) + 4 * messages
}

export function promptTokens(messages: readonly ChatMessage[]): number {
  return estimatedTokens(messages.map(({ content }) => content).join('\n'), messages.length)
}

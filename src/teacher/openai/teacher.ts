/**
 * A language model behind a server as the teacher of both methods: whole responses in the method's tags, or single
 * lines. What a method asks it is worded for instruct models, whatever the student's own wording is; what it answers
 * is judged by the same gates as the student's own samples.
 */

import { join } from 'node:path'
import type { Config } from '../../config/schema.js'
import type { Prompt } from '../../prompts/prompt.js'
import type { ChatChoice, ChatOutcome, ChatRequest } from './chat.js'
import { ChatClient } from './client.js'
import { markedPrompt, taggedSchema, taggedText, withoutMarks } from './prompting.js'

export interface ChatSampling {
  readonly maxTokens: number
  readonly temperature: number
  readonly topP: number
}

/** Texts are from outside. */
export interface ChatResponse {
  readonly text: string
  /** Completion tokens, by the server's count. */
  readonly tokens: number
  /** Key of the ledger and place in its answer. */
  readonly stream: string
}

/** Of the readers here: new versions ask again. */
const version = { tagged: 'tagged 1', line: 'line 1' } as const

export class ChatTeacher {
  private constructor(
    private readonly client: ChatClient,
    private readonly config: Config,
  ) {}

  static async open(config: Config, run: string, signal: AbortSignal): Promise<ChatTeacher> {
    return new ChatTeacher(await ChatClient.open(config.teacher, ledgerFolder(config, run), signal), config)
  }

  /** Stored with every trace. */
  get name(): string {
    return this.client.model
  }

  /** `count` responses to each prompt, in tags; fewer where the teacher gave none that can be read. */
  async respond(
    prompts: readonly Prompt[],
    count: number,
    sampling: ChatSampling,
  ): Promise<readonly (readonly ChatResponse[])[]> {
    return Promise.all(
      prompts.map(async (prompt) => {
        const { request, nonce } = this.taggedRequest(prompt, sampling)
        const outcomes = await this.client.sample(request, count, (choice) => readTagged(choice, nonce))
        return outcomes.flatMap(responseOf)
      }),
    )
  }

  /** One line to each prompt; null where the teacher gave none. */
  async line(prompts: readonly Prompt[], sampling: ChatSampling): Promise<readonly (ChatResponse | null)[]> {
    return Promise.all(
      prompts.map(async (prompt) => {
        const { messages, nonce } = markedPrompt(prompt, false)
        const request = { ...this.parameters(sampling), messages, version: version.line }
        const outcome = await this.client.ask(request, ({ text }) => firstLine(withoutMarks(text, nonce)))
        return responseOf(outcome)[0] ?? null
      }),
    )
  }

  close(): Promise<void> {
    return this.client.close()
  }

  private taggedRequest(
    prompt: Prompt,
    sampling: ChatSampling,
  ): { readonly request: ChatRequest; readonly nonce: string } {
    return taggedRequest(prompt, { ...this.parameters(sampling), version: version.tagged }, this.config)
  }

  private parameters({ maxTokens, temperature, topP }: ChatSampling) {
    return { maxTokens, temperature, topP, seed: this.config.seed }
  }
}

/** teacher.ledger, or the run's own. */
export function ledgerFolder({ teacher }: Config, run: string): string {
  return teacher.ledger ?? join(run, 'teacher')
}

function taggedRequest(prompt: Prompt, parameters: Omit<ChatRequest, 'messages' | 'schema'>, config: Config) {
  const asJson = config.teacher.structured === 'auto'
  const { messages, nonce } = markedPrompt(prompt, asJson)
  return { request: { ...parameters, messages, ...(asJson && { schema: taggedSchema }) }, nonce }
}

function readTagged({ text, reasoning }: ChatChoice, nonce: string): string | null {
  return taggedText({
    text: withoutMarks(text, nonce),
    reasoning: reasoning === null ? null : withoutMarks(reasoning, nonce),
  })
}

/** Of the answer; a reasoning model's own thoughts in it are passed over. */
function firstLine(text: string): string | null {
  const own = text.split('</think>').at(-1) ?? ''
  const line = own.split('\n').find((one) => one.trim() !== '')
  return line?.replace(/\s+/g, ' ').trim() ?? null
}

function responseOf(outcome: ChatOutcome<string>): ChatResponse[] {
  if (!outcome.answered) return []
  const { value, tokens, key, place } = outcome
  return [{ text: value, tokens, stream: `openai/${key.slice(0, 16)}/${place}` }]
}

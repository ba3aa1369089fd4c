/**
 * A chat completion as servers send it, whole or as a stream of pieces, checked and brought into one form. Nothing is
 * believed: unknown fields are passed over, and what is missing makes the answer garbage, cut or empty.
 */

import { z } from 'zod'
import { type ChatChoice, type ChatMessage, type ChatUsage, estimatedTokens, promptTokens } from './chat.js'
import { failed } from './failure.js'

const text = z.string().nullish()
const logprobs = z.object({ content: z.array(z.object({ logprob: z.number() })).nullish() }).nullish()
const usage = z
  .object({
    prompt_tokens: z.number().int().min(0),
    completion_tokens: z.number().int().min(0),
    completion_tokens_details: z.object({ reasoning_tokens: z.number().int().min(0).nullish() }).nullish(),
  })
  .nullish()
/** reasoning_content: vLLM, SGLang, llama-server, DeepSeek; reasoning: Ollama and others. */
const message = z.object({ content: text, reasoning_content: text, reasoning: text })

const completion = z.object({
  choices: z.array(z.object({ index: z.number().int().nullish(), message, finish_reason: text, logprobs })),
  usage,
})

const piece = z.object({
  choices: z
    .array(
      z.object({
        index: z.number().int().min(0).max(4095),
        delta: message.nullish(),
        finish_reason: text,
        logprobs,
      }),
    )
    .nullish(),
  usage,
})

export interface Completion {
  readonly choices: readonly ChatChoice[]
  readonly usage: ChatUsage
}

interface Draft {
  text: string
  reasoning: string
  finish: string | null
  logprobs: number[] | null
}

/** @throws AttemptFailed: garbage, cut, empty */
export function wholeCompletion(body: string, messages: readonly ChatMessage[]): Completion {
  const parsed = completion.safeParse(jsonOf(body))
  if (!parsed.success) throw failed('garbage', `no chat completion: ${body.slice(0, 120)}`)
  const { choices, usage } = parsed.data
  const drafts = choices.map(({ message, finish_reason, logprobs }) => ({
    text: message.content ?? '',
    reasoning: message.reasoning_content ?? message.reasoning ?? '',
    finish: finish_reason ?? null,
    logprobs: logprobs?.content?.map(({ logprob }) => logprob) ?? null,
  }))
  return finished(drafts, usage, messages)
}

/** The pieces of a stream, joined. */
export class StreamedCompletion {
  private readonly drafts: Draft[] = []
  private usage: z.infer<typeof usage> = null

  add(raw: unknown): void {
    const parsed = piece.safeParse(raw)
    if (!parsed.success)
      throw failed('garbage', `no piece of a chat completion: ${JSON.stringify(raw)?.slice(0, 120)}`)
    this.usage = parsed.data.usage ?? this.usage
    for (const { index, delta, finish_reason, logprobs } of parsed.data.choices ?? []) {
      this.drafts[index] ??= { text: '', reasoning: '', finish: null, logprobs: null }
      const draft = this.drafts[index]
      draft.text += delta?.content ?? ''
      draft.reasoning += delta?.reasoning_content ?? delta?.reasoning ?? ''
      draft.finish = finish_reason ?? draft.finish
      if (logprobs?.content)
        draft.logprobs = [...(draft.logprobs ?? []), ...logprobs.content.map(({ logprob }) => logprob)]
    }
  }

  end(messages: readonly ChatMessage[]): Completion {
    return finished(
      this.drafts.filter((draft) => draft !== undefined),
      this.usage,
      messages,
    )
  }
}

function finished(
  drafts: readonly Draft[],
  counted: z.infer<typeof usage>,
  messages: readonly ChatMessage[],
): Completion {
  if (drafts.length === 0) throw failed('empty', 'no choice')
  if (drafts.some(({ finish }) => finish === null)) throw failed('cut', 'an answer without finish_reason')
  const choices = drafts
    .filter(({ text, reasoning }) => text.trim() !== '' || reasoning.trim() !== '')
    .map(({ text, reasoning, finish, logprobs }) => ({
      text,
      reasoning: reasoning === '' ? null : reasoning,
      finish: finish ?? '',
      ...(logprobs && { logprobs }),
    }))
  if (choices.length === 0) throw failed('empty', `no text (finish_reason ${drafts[0]?.finish})`)
  return { choices, usage: usageOf(counted, choices, messages) }
}

function usageOf(
  counted: z.infer<typeof usage>,
  choices: readonly ChatChoice[],
  messages: readonly ChatMessage[],
): ChatUsage {
  if (!counted) {
    const written = choices.reduce(
      (sum, choice) => sum + estimatedTokens(choice.text + (choice.reasoning ?? '')),
      0,
    )
    return { prompt: promptTokens(messages), completion: written, reasoning: 0, estimated: true }
  }
  return {
    prompt: counted.prompt_tokens,
    completion: counted.completion_tokens,
    reasoning: counted.completion_tokens_details?.reasoning_tokens ?? 0,
  }
}

function jsonOf(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return null
  }
}

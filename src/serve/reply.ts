/** Answers in the shapes of the protocol: chat.completion, text_completion, their chunks, and the list of models. */

import { randomUUID } from 'node:crypto'
import type { Choice, Delta, TokenReport } from './answer.js'
import type { ServedRequest } from './request.js'
import type { Answer, ServedModel } from './served-model.js'

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })

export function modelCard({ id, created }: Pick<ServedModel, 'id' | 'created'>): object {
  return { id, object: 'model', created, owned_by: 'reasonrec' }
}

/** The replies to one request: they share an id and a time. */
export class Reply {
  private readonly id: string
  private readonly created = Math.floor(Date.now() / 1000)
  private readonly chat: boolean
  private readonly begun = new Set<number>()

  constructor(
    private readonly request: ServedRequest,
    private readonly model: string,
  ) {
    this.chat = request.kind === 'chat'
    this.id = `${this.chat ? 'chatcmpl' : 'cmpl'}-${randomUUID()}`
  }

  whole(answer: Answer): object {
    const choices = answer.choices.map((choice) => ({
      index: choice.index,
      ...(this.chat
        ? { message: { role: 'assistant', content: choice.text, refusal: null } }
        : { text: choice.text }),
      logprobs: this.logprobs(choice.reports),
      finish_reason: choice.finish,
      ...this.extensions(choice),
    }))
    return {
      ...this.head(this.chat ? 'chat.completion' : 'text_completion'),
      choices,
      usage: usageOf(answer),
      ...this.ofAnswer(answer),
    }
  }

  chunk(delta: Delta): object {
    const { index, text } = delta
    const choice = {
      index,
      ...(this.chat ? { delta: { ...this.role(index), content: text } } : { text }),
      logprobs: this.logprobs(delta.reports),
      finish_reason: null,
      ...(this.request.tokenIds && { token_ids: delta.ids }),
    }
    return this.streamed([choice])
  }

  /** Ends a choice; its text has been sent. */
  lastChunk(choice: Choice, answer: Answer): object {
    const { candidates } = this.extensions(choice) as { readonly candidates?: unknown }
    const end = {
      index: choice.index,
      ...(this.chat ? { delta: this.role(choice.index) } : { text: '' }),
      logprobs: null,
      finish_reason: choice.finish,
      ...(candidates !== undefined && { candidates }),
    }
    return { ...this.streamed([end]), ...this.ofAnswer(answer) }
  }

  usageChunk(answer: Answer): object {
    return { ...this.streamed([]), usage: usageOf(answer) }
  }

  /** Said once for each choice. */
  private role(index: number): object {
    if (this.begun.has(index)) return {}
    this.begun.add(index)
    return { role: 'assistant' }
  }

  private streamed(choices: readonly object[]): object {
    const usage = this.request.includeUsage ? { usage: null } : {}
    return { ...this.head(this.chat ? 'chat.completion.chunk' : 'text_completion'), choices, ...usage }
  }

  private head(object: string): object {
    return { id: this.id, object, created: this.created, model: this.model }
  }

  private ofAnswer({ seed, promptIds }: Answer): object {
    return { seed, ...(this.request.tokenIds && { prompt_token_ids: promptIds.map((ids) => [...ids]) }) }
  }

  private extensions(choice: Choice): object {
    const { candidates, tokenIds } = this.request
    return {
      ...(choice.ranking && {
        candidates: choice.ranking.map((one) => ({ title: candidates?.titles[one.index], ...one })),
      }),
      ...(tokenIds && { token_ids: choice.ids }),
    }
  }

  private logprobs(reports: readonly TokenReport[]): object | null {
    if (this.request.top < 0) return null
    if (this.chat) {
      const shown = ({ bytes, logprob }: { readonly bytes: Uint8Array; readonly logprob: number }) => ({
        token: utf8.decode(bytes),
        logprob,
        bytes: [...bytes],
      })
      const content = reports.map((report) => ({ ...shown(report), top_logprobs: report.top.map(shown) }))
      return { content, refusal: null }
    }
    return {
      tokens: reports.map(({ bytes }) => utf8.decode(bytes)),
      token_logprobs: reports.map(({ logprob }) => logprob),
      top_logprobs: reports.map(({ top }) =>
        Object.fromEntries(top.map(({ bytes, logprob }) => [utf8.decode(bytes), logprob])),
      ),
      text_offset: reports.map(({ offset }) => offset),
    }
  }
}

function usageOf({ promptIds, choices }: Answer): object {
  const prompt = promptIds.reduce((sum, ids) => sum + ids.length, 0)
  const completion = choices.reduce((sum, { tokens }) => sum + tokens, 0)
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion }
}

/**
 * One attempt at one chat completion, over the official client with its own retries off. Three clocks: connecting,
 * silence of the server, the whole attempt. No redirects, so the key never reaches another host; answers beyond 64 MiB
 * are refused; every text is freed of the key before anything else reads it.
 */

import OpenAI from 'openai'
import type { ChatCompletionCreateParams } from 'openai/resources/chat/completions'
import { Agent, fetch } from 'undici'
import type { ChatMessage } from './chat.js'
import { type Completion, StreamedCompletion, wholeCompletion } from './completion.js'
import { AttemptFailed, failed, failureOf } from './failure.js'
import type { Secret } from './secret.js'

export interface ConnectionOptions {
  readonly baseURL: string
  readonly secret: Secret
  /** Seconds. */
  readonly connectTimeout: number
  readonly idleTimeout: number
  readonly totalTimeout: number
}

const longestAnswer = 64 * 2 ** 20 // bytes

export class Connection {
  private readonly client: OpenAI
  private readonly agent: Agent

  constructor(private readonly options: ConnectionOptions) {
    const { baseURL, secret, connectTimeout, idleTimeout, totalTimeout } = options
    this.agent = new Agent({
      connect: { timeout: 1000 * connectTimeout },
      // Clocks of the agent tick once a second or so; shorter limits are kept by `watched`.
      headersTimeout: 1000 * totalTimeout + 5000,
      bodyTimeout: 1000 * idleTimeout + 5000,
      maxResponseSize: longestAnswer,
    })
    const init = { dispatcher: this.agent, redirect: 'error' as const }
    this.client = new OpenAI({
      baseURL,
      apiKey: secret.value ?? 'none',
      adminAPIKey: null,
      organization: null,
      project: null,
      webhookSecret: null,
      maxRetries: 0,
      timeout: 1000 * totalTimeout + 5000,
      logLevel: 'off',
      ...(secret.value === null && { defaultHeaders: { Authorization: null } }),
      fetch: ((url: string, given: object) => fetch(url, { ...given, ...init })) as never,
    })
  }

  /** @throws AttemptFailed; the reason of `signal` where that ended it */
  async complete(
    body: Readonly<Record<string, unknown>>,
    messages: readonly ChatMessage[],
    signal: AbortSignal,
  ): Promise<Completion> {
    const clock = new Clock(this.options, signal)
    try {
      return body.stream === true
        ? await this.streamed(body, messages, clock)
        : await this.whole(body, messages, clock)
    } catch (error) {
      if (signal.aborted) throw signal.reason
      throw new AttemptFailed(failureOf(clock.expired ?? error, (text) => this.clean(text)))
    } finally {
      clock.stop()
    }
  }

  async close(): Promise<void> {
    await this.agent.destroy()
  }

  private async whole(
    body: Readonly<Record<string, unknown>>,
    messages: readonly ChatMessage[],
    clock: Clock,
  ): Promise<Completion> {
    const response = await this.client.chat.completions
      .create(body as unknown as ChatCompletionCreateParams, { signal: clock.signal })
      .asResponse()
    const pieces: Uint8Array[] = []
    for await (const piece of response.body ?? []) {
      clock.heard()
      pieces.push(piece as Uint8Array)
    }
    return wholeCompletion(this.clean(Buffer.concat(pieces).toString('utf8')), messages)
  }

  private async streamed(
    body: Readonly<Record<string, unknown>>,
    messages: readonly ChatMessage[],
    clock: Clock,
  ): Promise<Completion> {
    clock.heard()
    const stream = await this.client.chat.completions.create(
      body as unknown as ChatCompletionCreateParams & { stream: true },
      { signal: clock.signal },
    )
    const joined = new StreamedCompletion()
    for await (const piece of stream) {
      clock.heard()
      joined.add(piece)
    }
    return this.cleaned(joined.end(messages))
  }

  private cleaned({ choices, usage }: Completion): Completion {
    return {
      usage,
      choices: choices.map((choice) => ({
        ...choice,
        text: this.clean(choice.text),
        reasoning: choice.reasoning === null ? null : this.clean(choice.reasoning),
      })),
    }
  }

  private clean(text: string): string {
    return this.options.secret.redacted(text)
  }
}

/** Ends an attempt that is silent or long; silence counts from the first sound, or from where `heard` says so. */
class Clock {
  expired: AttemptFailed | null = null
  private readonly controller = new AbortController()
  private readonly total: NodeJS.Timeout
  private idle: NodeJS.Timeout | null = null
  private readonly forward = (): void => this.controller.abort(this.outer.reason)

  constructor(
    private readonly options: Pick<ConnectionOptions, 'idleTimeout' | 'totalTimeout'>,
    private readonly outer: AbortSignal,
  ) {
    const { totalTimeout } = options
    this.total = setTimeout(
      () => this.expire(failed('total', `no end after ${totalTimeout} s`)),
      1000 * totalTimeout,
    )
    if (outer.aborted) this.forward()
    outer.addEventListener('abort', this.forward, { once: true })
  }

  get signal(): AbortSignal {
    return this.controller.signal
  }

  heard(): void {
    if (this.idle) {
      this.idle.refresh()
      return
    }
    const { idleTimeout } = this.options
    this.idle = setTimeout(
      () => this.expire(failed('idle', `silent for ${idleTimeout} s`)),
      1000 * idleTimeout,
    )
  }

  stop(): void {
    clearTimeout(this.total)
    if (this.idle) clearTimeout(this.idle)
    this.outer.removeEventListener('abort', this.forward)
  }

  private expire(why: AttemptFailed): void {
    this.expired ??= why
    this.controller.abort(why)
  }
}

/**
 * Asks a chat completion through the ledger:
 *   known in the ledger -> that answer; else up to `attempts` times   reserve money, intent, send, done | fail
 * A request that fails for itself is an outcome; what concerns every request (a wrong key, a server that is down, the end of
 * the money, a full disk, a signal) ends the client, and all calls reject with it. Answers that were already paid
 * for when that happens are still written down: close() waits for them.
 */

import { setMaxListeners } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import type { Config } from '../../config/schema.js'
import { ReasonrecError } from '../../engine/errors.js'
import {
  attemptSeed,
  type ChatOutcome,
  type ChatRequest,
  type ChoiceReader,
  promptTokens,
  requestKey,
} from './chat.js'
import type { Completion } from './completion.js'
import { Connection } from './connection.js'
import { Budget, costOf, type Prices } from './cost.js'
import { AttemptFailed, type Failure, isBreakdown, isCongestion, isRetried, maybeBilled } from './failure.js'
import { Ledger } from './ledger.js'
import { Pace } from './pace.js'
import { refusedFeature, requestBody } from './parameters.js'
import { Secret } from './secret.js'
import type { DoneEntry, LedgerTotals } from './tally.js'

export type TeacherSettings = Config['teacher']

const longestBackoff = 60 // times teacher.backoff

interface Question {
  readonly key: string
  readonly request: ChatRequest
  readonly count: number
  readonly isReadable: (completion: Completion) => boolean
}

type Attempted = { readonly done: DoneEntry } | { readonly failure: Failure; readonly dropped: boolean }

export class ChatClient {
  private readonly pace: Pace
  private readonly budget: Budget
  private readonly prices: Prices
  private readonly asking = new Map<string, Promise<DoneEntry | Failure>>()
  private readonly sending = new Set<Promise<unknown>>()
  private readonly stopped = new AbortController()
  /** Requests in a row that the server called impossible. */
  private impossible = 0
  private readonly forward = (): void => {
    this.end(this.signal.reason)
  }

  private constructor(
    private readonly settings: TeacherSettings,
    readonly model: string,
    private readonly ledger: Ledger,
    /** Null: replay. */
    private readonly connection: Connection | null,
    private readonly signal: AbortSignal,
  ) {
    const { concurrency: most, breaker, backoff, price_in, price_out, max_cost } = settings
    this.pace = new Pace({ most, breaker, pauseMs: 5000 * backoff })
    this.prices = { in: price_in, out: price_out }
    this.budget = new Budget(max_cost, () => ledger.totals().cost)
    signal.addEventListener('abort', this.forward, { once: true })
    // Each request in flight or at rest listens to them.
    setMaxListeners(0, signal, this.stopped.signal)
  }

  /** `folder`: of the ledger. @throws RR_TEACHER_KEY, RR_USAGE_MISSING, RR_OUTPUT_IN_USE */
  static async open(settings: TeacherSettings, folder: string, signal: AbortSignal): Promise<ChatClient> {
    const { baseURL, model, replay, connect_timeout, idle_timeout, total_timeout } = settings
    if (model === null) throw missing('teacher.model')
    if (baseURL === null && !replay) throw missing('teacher.baseURL')
    const secret = replay ? Secret.none : Secret.fromEnvironment(settings.apiKeyEnv)
    const ledger = await Ledger.open(folder)
    const connection =
      baseURL === null || replay
        ? null
        : new Connection({
            baseURL,
            secret,
            connectTimeout: connect_timeout,
            idleTimeout: idle_timeout,
            totalTimeout: total_timeout,
          })
    return new ChatClient(settings, model, ledger, connection, signal)
  }

  /** One sample. @throws what ends the client */
  async ask<T>(request: ChatRequest, read: ChoiceReader<T>): Promise<ChatOutcome<T>> {
    return (await this.askGroup(request, request.repeat ?? 0, 1, read))[0] as ChatOutcome<T>
  }

  /** `count` samples of one question, their repeat indices from 0. @throws what ends the client */
  async sample<T>(request: ChatRequest, count: number, read: ChoiceReader<T>): Promise<ChatOutcome<T>[]> {
    const size = this.ledger.isWithout('n') ? 1 : this.settings.samples_per_request
    const groups = Array.from({ length: Math.ceil(count / size) }, (_, index) =>
      this.askGroup(request, index * size, Math.min(size, count - index * size), read),
    )
    return (await Promise.all(groups)).flat()
  }

  /** Over the life of the ledger. */
  totals(): LedgerTotals {
    return this.ledger.totals()
  }

  async close(): Promise<void> {
    this.signal.removeEventListener('abort', this.forward)
    this.end(new ReasonrecError('RR_TEACHER_CLOSED', 'the teacher was asked after its end'))
    await Promise.allSettled(this.sending)
    await this.connection?.close()
    await this.ledger.close()
  }

  private async askGroup<T>(
    request: ChatRequest,
    repeat: number,
    count: number,
    read: ChoiceReader<T>,
  ): Promise<ChatOutcome<T>[]> {
    const own = { ...request, repeat }
    const key = requestKey(this.model, own, count)
    const known = this.ledger.answerTo(key)
    const end = known ?? (await this.answer({ key, request: own, count, isReadable: hasReadable(read) }))
    const good = 'entry' in end ? outcomes(end, count, read, known !== null) : []
    if (count === 1) return good.length > 0 ? good : [{ answered: false, error: unanswered(end) }]
    // What a server has left out of its n, or could not be read, is asked one by one.
    const missing = Array.from({ length: count - good.length }, (_, index) => repeat + good.length + index)
    const further = await Promise.all(missing.map((index) => this.askGroup(request, index, 1, read)))
    return [...good, ...further.flat()]
  }

  /** Two that ask the same share one request. */
  private answer(question: Question): Promise<DoneEntry | Failure> {
    const { key, request } = question
    if (!this.connection) {
      if (this.ledger.isUnanswered(key)) return Promise.resolve(neverAnswered)
      throw notInLedger(key, request)
    }
    const asked = this.asking.get(key)
    if (asked) return asked
    const answer = this.attempts(question, this.connection).finally(() => this.asking.delete(key))
    this.asking.set(key, answer)
    return answer
  }

  private async attempts(question: Question, connection: Connection): Promise<DoneEntry | Failure> {
    const { attempts, answer_attempts } = this.settings
    let [sent, tried, unreadable] = [0, 0, 0]
    for (;;) {
      const seed = attemptSeed(question.key, unreadable)
      const attempted = await this.pace.run(
        () => this.kept(this.attempt(question, seed, connection)),
        sent > 0,
      )
      if ('done' in attempted) return attempted.done
      const { failure, dropped } = attempted
      if (dropped) continue
      sent++
      // A busy server is waited for: it is the breaker that ends that, not this request.
      if (failure.cause !== 'busy') tried++
      if (failure.cause === 'answer') unreadable++
      if (!isRetried(failure) || tried >= attempts || unreadable >= answer_attempts) return failure
      await this.backOff(sent, failure.retryAfterMs)
    }
  }

  private async attempt(question: Question, seed: number, connection: Connection): Promise<Attempted> {
    const { key, request, count, isReadable } = question
    const { stream, logprobs, reasoning_tokens: reasoningTokens } = this.settings
    const body = requestBody(
      { model: this.model, request, count, seed, stream, logprobs, reasoningTokens },
      (feature) => this.ledger.isWithout(feature),
    )
    const worst = costOf(this.prices, {
      prompt: promptTokens(request.messages),
      completion: count * (request.maxTokens + reasoningTokens),
    })
    await this.orEnd(this.budget.reserve(worst))
    try {
      this.stopped.signal.throwIfAborted()
      await this.orEnd(this.ledger.note({ entry: 'intent', key, worst }))
      const began = performance.now()
      try {
        const completion = await connection.complete(body, request.messages, this.signal)
        const { choices, usage } = completion
        const cost = costOf(this.prices, usage)
        this.pace.answered()
        this.impossible = 0
        if (!isReadable(completion)) {
          const failure = { ...unreadable, text: `cannot be read: ${choices[0]?.text.slice(0, 120)}` }
          await this.orEnd(
            this.ledger.append({ entry: 'fail', key, cause: 'answer', text: failure.text, usage, cost }),
          )
          return { failure, dropped: false }
        }
        const done: DoneEntry = { entry: 'done', key, choices, usage, cost }
        await this.orEnd(this.ledger.append(done))
        return { done }
      } catch (error) {
        if (!(error instanceof AttemptFailed)) throw error
        return await this.failedAttempt(key, error.failure, body, { worst, began })
      }
    } finally {
      this.budget.release(worst)
    }
  }

  private async failedAttempt(
    key: string,
    failure: Failure,
    body: Readonly<Record<string, unknown>>,
    { worst, began }: { readonly worst: number; readonly began: number },
  ): Promise<Attempted> {
    const { cause, text, retryAfterMs } = failure
    const cost = maybeBilled(failure) ? worst : 0
    await this.orEnd(this.ledger.note({ entry: 'fail', key, cause, text, usage: null, cost }))
    const feature = refusedFeature(failure, body)
    // One request may be impossible; many in a row mean that all are.
    this.impossible = cause === 'request' && feature === null ? this.impossible + 1 : this.impossible
    if (cause === 'refused' || this.impossible >= this.settings.breaker)
      throw this.end(refused(failure, this.settings))
    if (isCongestion(failure)) this.pace.congested(began, retryAfterMs)
    if (isBreakdown(failure)) {
      const down = this.pace.brokeDown(text)
      if (down) throw this.end(down)
    }
    if (feature !== null && !this.ledger.isWithout(feature))
      await this.orEnd(this.ledger.note({ entry: 'without', feature }))
    return { failure, dropped: feature !== null }
  }

  /** Full jitter: anything up to base * 2^sent; not before the server wants it. */
  private async backOff(sent: number, retryAfterMs: number | null): Promise<void> {
    const most = 1000 * this.settings.backoff * Math.min(longestBackoff, 2 ** (sent - 1))
    const milliseconds = (retryAfterMs ?? 0) + Math.random() * most
    await delay(milliseconds, undefined, { signal: this.stopped.signal }).catch(() =>
      this.stopped.signal.throwIfAborted(),
    )
  }

  /** Kept in mind until it has ended, so that a paid answer is not lost by closing early. */
  private async kept<T>(work: Promise<T>): Promise<T> {
    this.sending.add(work)
    try {
      return await work
    } finally {
      this.sending.delete(work)
    }
  }

  /** An error here is everybody's: no money, no disk. */
  private async orEnd<T>(work: Promise<T>): Promise<T> {
    try {
      return await work
    } catch (error) {
      throw this.end(error)
    }
  }

  /** @returns the reason that ended it, the first one */
  private end(reason: unknown): unknown {
    if (!this.stopped.signal.aborted) this.stopped.abort(reason)
    this.pace.end(this.stopped.signal.reason)
    return this.stopped.signal.reason
  }
}

const neverAnswered: Failure = { cause: 'answer', text: 'given up before', status: null, retryAfterMs: null }
const unreadable: Failure = { cause: 'answer', text: '', status: null, retryAfterMs: null }

function hasReadable<T>(read: ChoiceReader<T>): Question['isReadable'] {
  return ({ choices }) => choices.some((choice) => read(choice) !== null)
}

function outcomes<T>(
  { key, choices, usage }: DoneEntry,
  count: number,
  read: ChoiceReader<T>,
  replayed: boolean,
): ChatOutcome<T>[] {
  const tokens = Math.round(usage.completion / choices.length)
  return choices.slice(0, count).flatMap((choice, place) => {
    const value = read(choice)
    return value === null ? [] : [{ answered: true as const, value, choice, tokens, key, place, replayed }]
  })
}

function unanswered(end: DoneEntry | Failure): ReasonrecError {
  const got = 'entry' in end ? 'an answer that this version cannot read' : `${end.cause}: ${end.text}`
  return new ReasonrecError('RR_TEACHER_ANSWER', 'a request to the teacher was given up', {
    got,
    remedy: 'the work goes on without it; see the ledger',
  })
}

function refused({ text, status }: Failure, { baseURL, model, apiKeyEnv }: TeacherSettings): ReasonrecError {
  return new ReasonrecError('RR_TEACHER_REFUSED', `the teacher at ${baseURL} refuses every request`, {
    expected: `the model ${model}, with the key of ${apiKeyEnv ?? 'nobody (teacher.apiKeyEnv is null)'}`,
    got: text || `status ${status}`,
    remedy: 'correct teacher.baseURL, teacher.model or the key, then go on with reasonrec resume',
  })
}

function notInLedger(key: string, { messages }: ChatRequest): ReasonrecError {
  return new ReasonrecError('RR_TEACHER_REPLAY', 'the ledger does not hold the answer to a request', {
    expected: `the answer to ${key.slice(0, 16)}, or teacher.replay false`,
    got: `${messages.at(-1)?.content.slice(0, 60)}...`,
    remedy: 'replay with the settings and data that the ledger was written with',
  })
}

function missing(key: string): ReasonrecError {
  return new ReasonrecError('RR_USAGE_MISSING', `${key} is not set`, {
    remedy: `set ${key} in a configuration file or with --set`,
  })
}

/**
 * Lines of a ledger and what they add up to. One key goes through intent -> done | fail, the latter any number of times;
 * an intent that is followed by another, or by nothing, was in flight when the process ended: it may have been billed,
 * so its worst cost counts as spent.
 */

import type { ChatChoice, ChatUsage } from './chat.js'

export type LedgerEntry =
  /** `worst`: cost if every allowed token is written. */
  | { readonly entry: 'intent'; readonly key: string; readonly worst: number }
  | {
      readonly entry: 'done'
      readonly key: string
      readonly choices: readonly ChatChoice[]
      readonly usage: ChatUsage
      readonly cost: number
    }
  /** `usage`: null where the server gave none; `cost` is then 0 or the worst, by whether it may have been billed. */
  | {
      readonly entry: 'fail'
      readonly key: string
      readonly cause: string
      readonly text: string
      readonly usage: ChatUsage | null
      readonly cost: number
    }
  /** A parameter that the server refuses, so that it is not tried again. */
  | { readonly entry: 'without'; readonly feature: string }

export type DoneEntry = Extract<LedgerEntry, { entry: 'done' }>

/** Over the life of a ledger. */
export interface LedgerTotals {
  /** Requests with an answer. */
  readonly answered: number
  readonly attempts: number
  /** Failed attempts by cause; "lost": in flight when the process ended. */
  readonly failures: Readonly<Record<string, number>>
  readonly prompt_tokens: number
  /** Hidden reasoning included. */
  readonly completion_tokens: number
  readonly reasoning_tokens: number
  /** In the currency of teacher.price_in and price_out. */
  readonly cost: number
  /** Of `cost`: attempts whose tokens are not known, taken at their worst. */
  readonly uncertain_cost: number
}

export class Tally {
  private readonly inFlight = new Map<string, number>()
  private readonly failures = new Map<string, number>()
  private answered = 0
  private attempts = 0
  private tokens = { prompt: 0, completion: 0, reasoning: 0 }
  private cost = 0
  private uncertain = 0

  add(entry: LedgerEntry): void {
    if (entry.entry === 'without') return
    if (entry.entry === 'intent') {
      this.lose(entry.key)
      this.inFlight.set(entry.key, entry.worst)
      this.attempts++
      return
    }
    this.inFlight.delete(entry.key)
    if (entry.entry === 'done') this.answered++
    else {
      this.failed(entry.cause)
      if (entry.usage === null) this.uncertain += entry.cost
    }
    this.cost += entry.cost
    this.tokens.prompt += entry.usage?.prompt ?? 0
    this.tokens.completion += entry.usage?.completion ?? 0
    this.tokens.reasoning += entry.usage?.reasoning ?? 0
  }

  /** Nothing is in flight any more: at the opening of a ledger. */
  loseAll(): void {
    for (const key of [...this.inFlight.keys()]) this.lose(key)
  }

  totals(): LedgerTotals {
    return {
      answered: this.answered,
      attempts: this.attempts,
      failures: Object.fromEntries([...this.failures].sort(([a], [b]) => (a < b ? -1 : 1))),
      prompt_tokens: this.tokens.prompt,
      completion_tokens: this.tokens.completion,
      reasoning_tokens: this.tokens.reasoning,
      cost: this.cost,
      uncertain_cost: this.uncertain,
    }
  }

  private lose(key: string): void {
    const worst = this.inFlight.get(key)
    if (worst === undefined) return
    this.inFlight.delete(key)
    this.failed('lost')
    this.cost += worst
    this.uncertain += worst
  }

  private failed(cause: string): void {
    this.failures.set(cause, (this.failures.get(cause) ?? 0) + 1)
  }
}

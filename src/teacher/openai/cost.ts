/**
 * Money: cost = (prompt tokens * price_in + completion tokens * price_out) / 10^6. A request reserves its worst case before
 * it is sent; where spent + reserved would pass the cap, it waits for those in flight, and when none are left the work
 * ends. So the cap is passed by no more than what the prompts in flight were underestimated by.
 */

import { ReasonrecError } from '../../engine/errors.js'
import type { ChatUsage } from './chat.js'

export interface Prices {
  /** Currency for a million tokens. */
  readonly in: number
  readonly out: number
}

export function costOf(
  prices: Prices,
  { prompt, completion }: Pick<ChatUsage, 'prompt' | 'completion'>,
): number {
  return (prompt * prices.in + completion * prices.out) / 1e6
}

export class Budget {
  private reserved = 0
  private inFlight = 0
  private waiting: (() => void)[] = []

  /** `spent`: so far, by the ledger. */
  constructor(
    private readonly cap: number | null,
    private readonly spent: () => number,
  ) {}

  /** @throws RR_TEACHER_BUDGET where it can never be had */
  async reserve(worst: number): Promise<void> {
    while (this.cap !== null && this.spent() + this.reserved + worst > this.cap) {
      if (this.reserved <= 0) throw exhausted(this.cap, this.spent(), worst)
      await new Promise<void>((resolve) => this.waiting.push(resolve))
    }
    this.reserved += worst
    this.inFlight++
  }

  release(worst: number): void {
    this.inFlight--
    // Sums of fractions do not come back to 0 by themselves.
    this.reserved = this.inFlight === 0 ? 0 : this.reserved - worst
    const waiting = this.waiting
    this.waiting = []
    for (const resolve of waiting) resolve()
  }
}

function exhausted(cap: number, spent: number, worst: number): ReasonrecError {
  return new ReasonrecError('RR_TEACHER_BUDGET', 'the next request could pass teacher.max_cost', {
    expected: `at most ${cap} in all`,
    got: `${spent.toFixed(6)} spent, and up to ${worst.toFixed(6)} for the next`,
    remedy:
      'start a run with a higher teacher.max_cost and teacher.ledger set to this folder: what was answered is not asked again',
  })
}

/**
 * len: soft penalty on over-long responses of L tokens (DAPO's form):
 *   0 up to limit - buffer, then falling linearly to -1 at the limit, and -1 beyond.
 */

import type { RewardTerm } from './reward.js'

export interface LengthLimits {
  /** Tokens a response may have. */
  readonly limit: number
  /** Tokens below the limit where the penalty starts. */
  readonly buffer: number
}

export function length(limits: LengthLimits): RewardTerm {
  return {
    id: 'len',
    needs: 'text',
    core: false,
    rationality: false,
    credit: 'reasoning',
    neutral: 0,
    compute: (group) => group.map(({ tokens }) => softOverlong(tokens, limits)),
  }
}

export function softOverlong(tokens: number, { limit, buffer }: LengthLimits): number {
  const excess = tokens - (limit - buffer)
  if (excess <= 0) return 0
  return tokens >= limit ? -1 : -excess / buffer
}

/**
 * Philox stream ids: 64 bits that are a pure function of (phase, step, prompt, sample), so that a sample
 * does not depend on what ran before it, and a resumed run draws what the straight run drew.
 *   bits 60..63 purpose | 36..59 step or chunk | 12..35 prompt index | 0..11 sample index
 * Orders (batches, prompts) come from hashes of (seed, purpose, epoch, id): no state to restore.
 */

import { createHash } from 'node:crypto'
import { ReasonrecError } from '../../engine/errors.js'

const purposes = {
  collect_free: 1n,
  collect_hinted: 2n,
  rollout: 3n,
  rollout_refill: 4n,
  evaluate: 5n,
  recommend: 6n,
  answers_only: 7n,
  difficulty: 8n,
} as const
export type StreamPurpose = keyof typeof purposes

const stepBits = 24n
const promptBits = 24n
const sampleBits = 12n

export function streamId(purpose: StreamPurpose, step: number, prompt: number, sample: number): bigint {
  const parts: readonly (readonly [bigint, bigint])[] = [
    [BigInt(step), stepBits],
    [BigInt(prompt), promptBits],
    [BigInt(sample), sampleBits],
  ]
  return parts.reduce<bigint>((id, [value, bits]) => {
    if (value < 0n || value >= 1n << bits) {
      throw new ReasonrecError('RR_STREAM_RANGE', 'a counter left the range of random streams', {
        expected: `below 2^${bits}`,
        got: String(value),
        remedy: 'use fewer steps, prompts or samples',
      })
    }
    return (id << bits) | value
  }, purposes[purpose])
}

/** 53 uniform bits in [0, 1) from a hash; for splits and orders, not for sampling. */
export function hashUnit(...parts: readonly (string | number)[]): number {
  const digest = createHash('sha256').update(JSON.stringify(parts)).digest()
  return Number(digest.readBigUInt64BE(0) >> 11n) / 2 ** 53
}

/** A 64-bit seed derived from the run's seed for one purpose. */
export function derivedSeed(seed: number, purpose: string): bigint {
  return createHash('sha256')
    .update(JSON.stringify([seed, purpose]))
    .digest()
    .readBigUInt64BE(0)
}

/** The items in an order that depends on (seed, purpose, epoch) and each item's own key alone. */
export function hashOrder<T>(
  items: readonly T[],
  key: (item: T) => string,
  ...salt: readonly (string | number)[]
): T[] {
  return items
    .map((item) => ({ item, name: key(item) }))
    .map((entry) => ({
      ...entry,
      rank: createHash('sha256')
        .update(JSON.stringify([...salt, entry.name]))
        .digest('hex'),
    }))
    .sort((a, b) =>
      a.rank < b.rank ? -1 : a.rank > b.rank ? 1 : a.name < b.name ? -1 : a.name > b.name ? 1 : 0,
    )
    .map((entry) => entry.item)
}

/** By id, the item behind each one in a ring by hash: everybody reads what belongs to another. */
export function nextInRing<T extends { readonly id: string }>(
  items: readonly T[],
  seed: number,
  purpose: string,
): ReadonlyMap<string, T> {
  const ring = hashOrder(items, ({ id }) => id, seed, purpose)
  return new Map(ring.map(({ id }, place) => [id, ring[(place + 1) % ring.length] as T]))
}

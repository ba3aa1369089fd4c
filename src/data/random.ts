/**
 * Randomness of the TypeScript side: a generator per purpose, keyed by words instead of by call order.
 *
 * `seeded(7, 'negatives', 'train/12/5', 3)` hashes its key (SHA-256 of the JSON list) into the 128-bit
 * state of xoroshiro128+ (pure-rand). Two keys give independent streams; the same key gives the same
 * stream in any process, whatever was drawn before and in whatever order the callers run.
 */

import { hash } from 'node:crypto'
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64'
import { uniformInt } from 'pure-rand/distribution/uniformInt'
import { xoroshiro128plusFromState } from 'pure-rand/generator/xoroshiro128plus'

export type Label = string | number

export interface Random {
  /** Uniform in [0, 1), 53 bits. */
  float(): number
  /** Uniform integer in [0, bound); bound at least 1. */
  below(bound: number): number
  /** Fisher-Yates on a copy. */
  shuffled<T>(values: readonly T[]): T[]
}

export function seeded(seed: number, ...labels: readonly Label[]): Random {
  const digest = hash('sha256', JSON.stringify([seed, ...labels]), 'buffer')
  const state = [0, 4, 8, 12].map((offset) => digest.readInt32LE(offset))
  const generator = xoroshiro128plusFromState(state)
  const below = (bound: number): number => uniformInt(generator, 0, bound - 1)
  return {
    float: () => uniformFloat64(generator),
    below,
    shuffled<T>(values: readonly T[]): T[] {
      const copy = [...values]
      for (let last = copy.length - 1; last > 0; last--) {
        const other = below(last + 1)
        const kept = copy[last] as T
        copy[last] = copy[other] as T
        copy[other] = kept
      }
      return copy
    },
  }
}

/**
 * `count` of the values, chosen by the hash of (seed, label, their key): independent of the order of the
 * list, and a larger count keeps everything a smaller one chose. The list's own order is kept.
 */
export function chosen<T>(
  values: readonly T[],
  count: number,
  key: (value: T) => string,
  seed: number,
  label: string,
): T[] {
  if (count >= values.length) return [...values]
  const ranked = values
    .map((value, position) => ({
      position,
      digest: hash('sha256', JSON.stringify([seed, label, key(value)])),
    }))
    .sort((a, b) => (a.digest < b.digest ? -1 : a.digest > b.digest ? 1 : 0))
    .slice(0, Math.max(0, count))
    .sort((a, b) => a.position - b.position)
  return ranked.map(({ position }) => values[position] as T)
}

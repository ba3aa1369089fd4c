/**
 * One ranking from several thoughts (spec 6, I4). Each thought t names items with joint log-probs s_t(i); an item that a
 * thought's beam lost is not among them.
 *
 *   max             max_t s_t(i): the thought that speaks best for an item counts
 *   mean_posterior  (1 / N) sum_t exp(s_t(i)) / sum_j exp(s_t(j)), 0 where t lost i: self-consistency, each thought one vote
 *   logsumexp       log sum_t exp(s_t(i)): log-prob under a thought drawn at random, up to a constant; likely thoughts and
 *                   unlikely ones count by what they say of i
 */

import type { ItemIndex } from '../data/types.js'

export const mergeRules = ['max', 'mean_posterior', 'logsumexp'] as const
export type MergeRule = (typeof mergeRules)[number]

export interface NamedItems {
  readonly items: readonly ItemIndex[]
  readonly scores: readonly number[]
}

/** Every item that any thought names, best first; equal scores in the catalogue's order. */
export function mergedThoughts(thoughts: readonly NamedItems[], rule: MergeRule): NamedItems {
  const said = new Map<ItemIndex, number[]>()
  for (const { items, scores } of thoughts) {
    const values = rule === 'mean_posterior' ? posterior(scores) : scores
    items.forEach((item, place) => {
      const known = said.get(item)
      if (known) known.push(values[place] as number)
      else said.set(item, [values[place] as number])
    })
  }
  const merged = [...said].map(([item, values]) => ({ item, score: one(values, thoughts.length, rule) }))
  merged.sort((a, b) => b.score - a.score || a.item - b.item)
  return { items: merged.map(({ item }) => item), scores: merged.map(({ score }) => score) }
}

/** exp(s) / sum of exp(s); empty for none. */
export function posterior(scores: readonly number[]): number[] {
  const largest = Math.max(...scores)
  const weights = scores.map((score) => Math.exp(score - largest))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  return weights.map((weight) => weight / total)
}

function one(values: readonly number[], thoughts: number, rule: MergeRule): number {
  const largest = Math.max(...values)
  if (rule === 'max' || largest === Number.NEGATIVE_INFINITY) return largest
  if (rule === 'mean_posterior') return values.reduce((sum, value) => sum + value, 0) / thoughts
  return largest + Math.log(values.reduce((sum, value) => sum + Math.exp(value - largest), 0))
}

/**
 * Does a row favour places of the list? HR@1 by the target's place, and how often each place was answered, which an
 * unbiased row does equally often, for the order is drawn without regard to anything (spec 7.3). p: chi-square of
 * the answered places against even shares, by the cube-root normal approximation (Wilson and Hilferty 1931), good
 * to a few thousandths from three degrees of freedom on. Ties share an answer; rows that score sets without an
 * order answer every place alike where they tie.
 */

import type { Instance } from '../data/types.js'
import type { Scores } from './protocol.js'

export interface PositionBias {
  /** Tests whose list has the most common length; the others are left out. */
  readonly n: number
  /** By place: tests whose target stood there, their HR@1, and share of all answers that named the place. */
  readonly places: readonly {
    readonly tests: number
    readonly hr1: number | null
    readonly answered: number
  }[]
  readonly chi_square: number
  readonly p: number
  /** Largest share of answers at one place; 1 / length without bias. */
  readonly most_answered: number
}

/** Null where there is nothing to compare: no test, or lists of one. */
export function positionBias(instances: readonly Instance[], scores: Scores): PositionBias | null {
  const length = commonLength(instances)
  if (length < 2) return null
  const tests = new Float64Array(length)
  const hits = new Float64Array(length)
  const answers = new Float64Array(length)
  instances.forEach(({ candidates, target }, index) => {
    const own = scores[index]
    if (candidates.length !== length || !own) return
    const best = Math.max(...own.map((score) => score ?? Number.NEGATIVE_INFINITY))
    const named = own.flatMap((score, place) => (score === best ? [place] : []))
    const slot = candidates.indexOf(target)
    tests[slot] = (tests[slot] as number) + 1
    for (const place of named) {
      answers[place] = (answers[place] as number) + 1 / named.length
      if (place === slot) hits[slot] = (hits[slot] as number) + 1 / named.length
    }
  })
  const n = answers.reduce((sum, count) => sum + count, 0)
  if (n === 0) return null
  const expected = n / length
  const chiSquare = answers.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
  return {
    n: Math.round(n),
    places: Array.from({ length }, (_, place) => ({
      tests: tests[place] as number,
      hr1: (tests[place] as number) > 0 ? (hits[place] as number) / (tests[place] as number) : null,
      answered: (answers[place] as number) / n,
    })),
    chi_square: chiSquare,
    p: chiSquareTail(chiSquare, length - 1),
    most_answered: Math.max(...answers) / n,
  }
}

function commonLength(instances: readonly Instance[]): number {
  const counts = new Map<number, number>()
  for (const { candidates } of instances)
    counts.set(candidates.length, (counts.get(candidates.length) ?? 0) + 1)
  const [most] = [...counts].sort((a, b) => b[1] - a[1] || b[0] - a[0])
  return most?.[0] ?? 0
}

/** P(chi-square of `freedom` degrees >= value), approximately. */
export function chiSquareTail(value: number, freedom: number): number {
  const spread = 2 / (9 * freedom)
  return normalTail((Math.cbrt(value / freedom) - (1 - spread)) / Math.sqrt(spread))
}

/** Upper tail of the normal distribution; error below 1e-7 (Abramowitz and Stegun 7.1.26 on erfc). */
function normalTail(z: number): number {
  const x = Math.abs(z) / Math.SQRT2
  const t = 1 / (1 + 0.3275911 * x)
  const series =
    t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
  const upper = (series * Math.exp(-x * x)) / 2
  return z >= 0 ? upper : 1 - upper
}

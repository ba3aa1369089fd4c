import { describe, expect, it } from 'vitest'
import {
  massParts,
  popularityMetrics,
  shortHead,
  stratifiedHitRate,
  targetDeciles,
} from '../../../src/eval/popularity.js'

describe('popularity metrics', () => {
  // Golden values of spec section 7.6, printed there with six decimals.
  const counts = [10, 6, 3, 1, 0]
  const recommendations = [
    [0, 1],
    [0, 2],
    [0, 1],
  ]
  const groups = [['A'], ['A', 'B'], ['B'], ['C'], ['C']]
  const golden = popularityMetrics({
    counts,
    recommendations,
    histories: [[0, 1, 2, 3]],
    groups,
    targets: [1, 2, 3],
  })

  it('reproduces the golden values', () => {
    expect(golden.arp).toBeCloseTo(7.5, 12)
    expect(golden.coverage).toBeCloseTo(0.6, 12)
    expect(golden.gini).toBeCloseTo(0.533333, 6)
    expect(golden.entropy).toBeCloseTo(1.011404, 6)
    expect(golden.entropy_norm).toBeCloseTo(0.628421, 6)
    expect(golden.or_ratio).toBe(1)
    expect(golden.div_ratio).toBe(0.5)
    expect(golden.mgu).toBeCloseTo(0.194444, 6)
    expect(golden.dgu).toBeCloseTo(0.541667, 6)
  })

  it('has lifts and gaps by their formulas', () => {
    expect(golden.pop_lift).toBeCloseTo(7.5 / 5 - 1, 12)
    expect(golden.gap).toBeCloseTo(7.5 - 10 / 3, 12)
    expect([...shortHead(counts)]).toEqual([0, 1])
    expect(golden.aplt).toBeCloseTo(1 / 6, 12)
    expect(golden.aclt).toBeCloseTo(1 / 3, 12)
  })

  it('parts items by interaction mass and hits by the part of the target', () => {
    expect([...massParts([6, 3, 2, 1, 0], 3)]).toEqual([0, 1, 2, 2, 2])
    expect(stratifiedHitRate([6, 3, 2, 1, 0], [0, 0, 1, 3], [1, 0, 1, 0])).toEqual({
      head: 0.5,
      mid: 1,
      tail: 0,
    })
    expect(stratifiedHitRate([6, 3, 2, 1, 0], [0], [1]).tail).toBeNull()
  })

  it('counts targets by decile, rarest first', () => {
    const uniform = new Array(10).fill(1)
    expect(targetDeciles(uniform, [0, 9, 9])).toEqual([2, 0, 0, 0, 0, 0, 0, 0, 0, 1])
  })

  it('uses popularity quintiles where there are no genres', () => {
    const fair = popularityMetrics({
      counts: [5, 5, 5, 5, 5],
      recommendations: [[0, 1, 2, 3, 4]],
      histories: [[4, 3, 2, 1, 0]],
    })
    expect(fair.mgu).toBeCloseTo(0, 12)
    const unfair = popularityMetrics({
      counts: [5, 5, 5, 5, 5],
      recommendations: [[0]],
      histories: [[4, 3, 2, 1, 0]],
    })
    expect(unfair.mgu).toBeCloseTo((0.8 + 4 * 0.2) / 5, 12)
    expect(unfair.dgu).toBeCloseTo(1, 12)
  })
})

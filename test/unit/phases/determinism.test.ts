/** What must be a pure function of (seed, step): streams, orders, batches, prompts, learning rates. */

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Instance } from '../../../src/data/types.js'
import { BatchPlan, type Example } from '../../../src/phases/imitation/examples.js'
import { EpochOrders, promptsOfStep } from '../../../src/phases/run/instances.js'
import { hashOrder, hashUnit, streamId } from '../../../src/phases/run/streams.js'
import { constantRate, cosineRate } from '../../../src/phases/training/learning-rate.js'

const instance = (name: number): Instance => ({
  id: `train/${name}`,
  user: `u${name}`,
  history: [0],
  target: 1,
  candidates: [1, 2],
})
const example = (name: number): Example => ({
  id: `e${name}`,
  ids: new Int32Array(2),
  weights: new Float32Array(2),
  responseTokens: 1,
})

describe('streams', () => {
  it('differ wherever phase, step, prompt or sample differ', () => {
    const place = fc.tuple(
      fc.constantFrom(
        'collect_free' as const,
        'collect_hinted' as const,
        'rollout' as const,
        'evaluate' as const,
      ),
      fc.nat(2 ** 24 - 1),
      fc.nat(2 ** 24 - 1),
      fc.nat(2 ** 12 - 1),
    )
    fc.assert(
      fc.property(place, place, (a, b) => {
        expect(streamId(...a) === streamId(...b)).toBe(JSON.stringify(a) === JSON.stringify(b))
        expect(streamId(...a) < 2n ** 64n).toBe(true)
      }),
    )
  })

  it('refuse counters out of range', () => {
    expect(() => streamId('rollout', 2 ** 24, 0, 0)).toThrow(
      expect.objectContaining({ code: 'RR_STREAM_RANGE' }),
    )
    expect(() => streamId('rollout', 0, 0, -1)).toThrow(expect.objectContaining({ code: 'RR_STREAM_RANGE' }))
  })

  it('hashUnit is spread over [0, 1)', () => {
    const values = Array.from({ length: 2000 }, (_, index) => hashUnit(7, 'part', index))
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length
    // Standard error of a uniform mean over 2,000 is 0.0065; four of them.
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.026)
    expect(values.every((value) => value >= 0 && value < 1)).toBe(true)
  })
})

describe('orders', () => {
  it('do not depend on the order they are given in, and change with the epoch', () => {
    const items = Array.from({ length: 20 }, (_, index) => `i${index}`)
    const order = hashOrder(items, (name) => name, 1, 'x', 0)
    expect(hashOrder([...items].reverse(), (name) => name, 1, 'x', 0)).toEqual(order)
    expect(hashOrder(items, (name) => name, 1, 'x', 1)).not.toEqual(order)
    expect([...order].sort()).toEqual([...items].sort())
  })

  it('prompts of a step walk through whole epochs, whatever was asked before', () => {
    const instances = Array.from({ length: 7 }, (_, index) => instance(index))
    const walk = (steps: readonly number[]): string[][] => {
      const orders = new EpochOrders(instances, 3, 'prompts')
      return steps.map((step) =>
        promptsOfStep(instances, orders, step, 3).map((prompt) => `${prompt.epoch} ${prompt.instance.id}`),
      )
    }
    const straight = walk([0, 1, 2, 3, 4, 5, 6])
    expect(walk([5])[0]).toEqual(straight[5])
    expect(new Set(straight.flat()).size).toBe(21)
    expect(
      straight
        .flat()
        .slice(0, 7)
        .every((prompt) => prompt.startsWith('0 ')),
    ).toBe(true)
  })

  it('batches hold every example once an epoch; a later step needs no earlier one', () => {
    const examples = Array.from({ length: 10 }, (_, index) => example(index))
    const plan = new BatchPlan(examples, 1, 4, 2)
    expect(plan.steps).toBe(6)
    const names = (step: number): string[] => plan.at(step).map(({ id }) => id)
    const all = [0, 1, 2, 3, 4, 5].map(names)
    expect(all.slice(0, 3).flat().sort()).toEqual(examples.map(({ id }) => id).sort())
    expect(all.slice(3).flat().sort()).toEqual(examples.map(({ id }) => id).sort())
    expect(all.map((batch) => batch.length)).toEqual([4, 4, 2, 4, 4, 2])
    expect(new BatchPlan(examples, 1, 4, 2).at(4).map(({ id }) => id)).toEqual(all[4])
  })
})

describe('learning rates', () => {
  it('warm up, then follow a cosine down to the given share', () => {
    const rates = Array.from({ length: 20 }, (_, step) => cosineRate(1, step, 20, 4, 0.1))
    expect(rates.slice(0, 4)).toEqual([0.25, 0.5, 0.75, 1])
    expect(rates[4]).toBe(1)
    expect(rates[19]).toBeCloseTo(0.1, 12)
    for (let step = 5; step < 20; step++) expect(rates[step]!).toBeLessThan(rates[step - 1]!)
  })

  it('or stay constant', () => {
    expect([0, 1, 2, 3].map((step) => constantRate(2, step, 2))).toEqual([1, 2, 2, 2])
    expect(constantRate(2, 0, 0)).toBe(2)
  })

  it('a single step takes the peak', () => {
    expect(cosineRate(1, 0, 1, 1, 0.1)).toBe(1)
    expect(cosineRate(1, 0, 1, 0, 0.1)).toBe(1)
  })
})

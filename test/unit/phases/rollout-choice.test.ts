/** Which rollouts and prompts Internalization learns from, and what a step tells of them. */

import { beforeAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../../../src/config/load.js'
import type { Dataset, Instance } from '../../../src/data/types.js'
import { methodOf, presetFile } from '../../../src/methods/registry.js'
import { openDataset } from '../../../src/methods/session.js'
import { bandOf } from '../../../src/phases/internalization/difficulty-band.js'
import { distinctFirst } from '../../../src/phases/internalization/distinct-answers.js'
import { rolloutMetrics } from '../../../src/phases/internalization/rollout-metrics.js'
import { PromptSource } from '../../../src/phases/internalization/rollout-rounds.js'
import type { RolloutGroup } from '../../../src/phases/internalization/rollouts.js'
import type { PhaseContext } from '../../../src/phases/run/context.js'
import type { SampleLine } from '../../../src/phases/run/run-record.js'
import { watchedSamples } from '../../../src/report/sample.js'

describe('distinct answers first', () => {
  it.each<[readonly unknown[], number, readonly number[]]>([
    [['a', 'a', 'b', 'a', 'c', 'b'], 4, [0, 1, 2, 4]],
    [['a', 'a', 'a', 'b'], 2, [0, 3]],
    [[null, null, 'a', null], 3, [0, 1, 2]],
    [['a', 'b', 'c'], 2, [0, 1]],
    [['a', 'b'], 4, [0, 1]],
  ])('%j, %i kept', (answers, count, kept) => expect(distinctFirst(answers, count)).toEqual(kept))
})

const asked = (name: number): Instance => ({
  id: `train/${name}`,
  user: `u${name}`,
  history: [0],
  target: 1,
  candidates: [1, 2],
})

describe('difficulty band', () => {
  const instances = [0, 1, 2, 3, 4].map(asked)
  const rates = [0, 2, 4, 8, 6].map((right, name) => ({ instance: `train/${name}`, samples: 8, right }))

  it('keeps what is neither always right nor always wrong', () => {
    const { instances: kept, weights } = bandOf(instances, rates, 'keep')
    expect([kept.map(({ id }) => id), weights]).toEqual([['train/1', 'train/2', 'train/4'], null])
  })

  it('weighs by p (1 - p); what was not measured is out', () => {
    const { instances: kept, weights } = bandOf([...instances, asked(9)], rates, 'weight')
    expect(kept).toHaveLength(3)
    expect(weights).toEqual([3 / 16, 1 / 4, 3 / 16])
  })
})

describe('prompts drawn by weight', () => {
  let context: PhaseContext
  let dataset: Dataset
  beforeAll(async () => {
    const { config } = loadConfig({ preset: presetFile('re2-quickstart'), file: null, set: [], options: {} })
    dataset = await openDataset(config)
    context = { config, dataset, method: methodOf(config) } as PhaseContext
  })

  it('occur in proportion, and are a function of seed and step', () => {
    const three = dataset.train.slice(0, 3)
    const source = new PromptSource(context, three, [1, 0, 3])
    const ids = Array.from({ length: 50 }, (_, step) =>
      source.of(step, 'prompts', 8).map(({ id }) => id),
    ).flat()
    const times = three.map(({ id }) => ids.filter((one) => one === id).length)
    expect(times[1]).toBe(0)
    // 400 draws with p = 1/4: standard deviation 8.7; four of them.
    expect(Math.abs(times[0]! - 100)).toBeLessThan(35)
    const again = new PromptSource(context, three, [1, 0, 3]).of(7, 'prompts', 8)
    expect(again).toEqual(source.of(7, 'prompts', 8))
    // Each time it is shown with other negatives.
    const lists = Array.from({ length: 6 }, (_, step) => source.of(step, 'prompts', 8))
      .flat()
      .filter(({ id }) => id === three[2]!.id)
      .map(({ candidates }) => candidates.join())
    expect(new Set(lists).size).toBeGreaterThan(3)
  })
})

describe('what a step tells', () => {
  const group = (
    hits: readonly boolean[],
    gain: readonly number[],
    rewards: readonly number[],
    finish: 'complete' | 'length' = 'complete',
  ): RolloutGroup =>
    ({
      instance: asked(0),
      rollouts: hits.map((hit) => ({ parsed: { item: hit ? 1 : 2 }, finish })),
      rewards: {
        rewards: Float64Array.from(rewards),
        valid: Uint8Array.from(hits, () => (finish === 'length' ? 0 : 1)),
        terms: { hit: hits.map(Number), gain },
        imputed: gain.filter(Number.isNaN).length,
      },
    }) as unknown as RolloutGroup

  it('has every term by hit and miss, over the rows that have it', () => {
    const metrics = rolloutMetrics([
      group([true, false], [0.5, 0.1], [2, 1]),
      group([false, true], [Number.NaN, 0.1], [0, 4]),
      group([false], [0.3], [-1], 'length'),
    ])
    expect(metrics.reward_terms_hit).toEqual({ hit: 1, gain: 0.3 })
    expect(metrics.reward_terms_miss).toEqual({ hit: 0, gain: 0.2 })
    expect(metrics.reward_terms.hit).toBeCloseTo(0.4, 12)
    expect(metrics.reward_terms.gain).toBeCloseTo(0.25, 12)
    expect(metrics).toMatchObject({
      reward_hit: 3,
      reward_miss: 0,
      truncated: 0.2,
      reward_imputed: 1,
      reward_invalid: 1,
    })
  })

  it('leaves out what a step has none of', () => {
    const metrics = rolloutMetrics([group([false], [0], [0])])
    expect(Object.keys(metrics).sort()).toEqual([
      'reward_miss',
      'reward_terms',
      'reward_terms_miss',
      'truncated',
    ])
  })
})

describe('watched prompts in the report', () => {
  const line = (instance: string, step: number, watched = true): SampleLine => ({
    phase: 'internalize',
    model: 'internalized',
    step,
    instance,
    history: [],
    candidates: [],
    target: '',
    reasoning: `${instance} ${step}`,
    answer: '',
    hit: false,
    ...(watched && { watched }),
  })

  it('show the first, the last and equal distances between, and nothing that was not watched', () => {
    const lines = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100].flatMap((step) => [
      line('a', step),
      line('b', step),
    ])
    const [a, b, ...others] = watchedSamples([...lines, line('c', 5, false), line('a', 100)], 6)
    expect(others).toEqual([])
    expect(a!.steps.map(({ step }) => step)).toEqual([0, 20, 40, 60, 80, 100])
    expect(b!.instance).toBe('b')
    expect(watchedSamples([line('a', 0)])[0]!.steps).toHaveLength(1)
  })
})

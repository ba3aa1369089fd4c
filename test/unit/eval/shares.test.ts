/**
 * Recall at K, coverage and the shares of free answers (parse rate, ValidRatio, in the catalogue) against plain counting over
 * every case there is, and against the closed form of guessing.
 */

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../../src/config/load.js'
import type { Instance } from '../../../src/data/types.js'
import { answerRates, coverage, type FreeAnswer, hitRate, recall } from '../../../src/eval/metrics.js'
import { popularityMetrics } from '../../../src/eval/popularity.js'
import { methodOf, presetFile } from '../../../src/methods/registry.js'
import { openDataset, openModel } from '../../../src/methods/session.js'
import { predict } from '../../../src/phases/prediction/predictions.js'
import { candidatesNamed } from '../../../src/phases/prediction/predictions-free.js'
import { askResponses } from '../../../src/phases/prediction/responses.js'
import { greedy, maxNew, seed } from '../../../src/phases/prediction/thinking.js'
import { Encoding } from '../../../src/phases/run/encoding.js'
import { streamId } from '../../../src/phases/run/streams.js'
import { untrusted } from '../../../src/prompts/untrusted-text.js'

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length <= 1) return [[...items]]
  return items.flatMap((first, place) =>
    permutations(items.filter((_, other) => other !== place)).map((rest) => [first, ...rest]),
  )
}

function subsets<T>(items: readonly T[]): T[][] {
  return Array.from({ length: 2 ** items.length }, (_, chosen) =>
    items.filter((_, place) => (chosen >> place) % 2 === 1),
  )
}

describe('recall at K', () => {
  it('is the share of the right items that stand among the first K', () => {
    const ranking = fc.shuffledSubarray([0, 1, 2, 3, 4, 5, 6, 7, 8], { minLength: 9 })
    const some = fc.subarray([0, 1, 2, 3, 4, 5, 6, 7, 8], { minLength: 1 })
    fc.assert(
      fc.property(ranking, some, fc.integer({ min: 1, max: 9 }), (ranked, right, k) => {
        const ranks = right.map((item) => 1 + ranked.indexOf(item))
        const found = ranked.slice(0, k).filter((item) => right.includes(item)).length
        expect(recall(ranks, k)).toBeCloseTo(found / right.length, 12)
      }),
    )
  })

  it.each([1, 2, 3])('of %i right items is K / n over all orders, which is guessing', (right) => {
    const orders = permutations([0, 1, 2, 3, 4, 5])
    for (const k of [1, 2, 5, 6]) {
      const found = orders.map((order) =>
        recall(
          Array.from({ length: right }, (_, item) => 1 + order.indexOf(item)),
          k,
        ),
      )
      expect(mean(found)).toBeCloseTo(k / 6, 12)
    }
  })

  it('of one right item is HR@K, and what was never named is not found', () => {
    for (const rank of [1, 5, 6]) expect(recall([rank], 5)).toBe(hitRate(rank, 5))
    expect(recall([1, Number.POSITIVE_INFINITY], 50)).toBe(0.5)
  })
})

describe('coverage', () => {
  it('is the share of the catalogue in any list, in the popularity rows too', () => {
    const list = fc.array(fc.integer({ min: 0, max: 11 }), { maxLength: 6 })
    fc.assert(
      fc.property(fc.array(list, { minLength: 1, maxLength: 5 }), (lists) => {
        const shown = Array.from({ length: 12 }, (_, item) => lists.some((own) => own.includes(item)))
        const share = shown.filter(Boolean).length / 12
        expect(coverage(lists, 12)).toBe(share)
        const counts = new Array<number>(12).fill(1)
        expect(popularityMetrics({ counts, recommendations: lists }).coverage).toBe(share)
      }),
    )
  })

  it.each([1, 2, 3])('of %i lists of K drawn from n is 1 - (1 - K / n)^lists', (lists) => {
    const draws = subsets([0, 1, 2, 3, 4]).filter(({ length }) => length === 2)
    let every: number[][][] = [[]]
    for (let round = 0; round < lists; round++)
      every = every.flatMap((before) => draws.map((draw) => [...before, draw]))
    expect(mean(every.map((drawn) => coverage(drawn, 5)))).toBeCloseTo(1 - (1 - 2 / 5) ** lists, 12)
  })
})

describe('shares of free answers', () => {
  it('are those of answers that name each of n candidates or not, all cases alike', () => {
    for (const n of [1, 3, 5]) {
      const answers = subsets(Array.from({ length: n }, (_, item) => item)).flatMap((named) =>
        [true, false].flatMap((parsed) =>
          [0, 1, 2, 3].map(
            (place): FreeAnswer => ({ parsed, candidatesNamed: named.length, inCatalogue: place === 0 }),
          ),
        ),
      )
      const rates = answerRates(answers)
      expect(rates.parse_rate).toBe(0.5)
      // One subset of 2^n has exactly one member for each candidate.
      expect(rates.valid_ratio).toBeCloseTo(n / 2 ** n, 12)
      expect(rates.in_catalogue).toBe(0.25)
    }
  })

  it('count titles in the text as published tables do: inside other titles, and in either case', () => {
    const titles = ['U2', 'U2 Live', 'Cream', 'Ice Cream Man', 'The Who']
    const dataset = { items: titles.map((title, item) => ({ id: `${item}`, title: untrusted(title) })) }
    const test = (...candidates: number[]): Instance => ({
      id: 'x',
      user: 'u',
      history: [],
      target: 0,
      candidates,
    })
    const named = (text: string, ...candidates: number[]): number =>
      candidatesNamed({ dataset }, test(...candidates), text)
    expect(named('u2', 0, 1, 2)).toBe(1)
    expect(named('U2 live', 0, 1, 2)).toBe(2)
    expect(named('Ice Cream Man or The Who', 2, 3, 4)).toBe(3)
    expect(named('Somebody else', 0, 1, 2, 3, 4)).toBe(0)
    // Each title alone: itself and those inside it.
    for (const own of titles)
      expect(named(own, 0, 1, 2, 3, 4)).toBe(
        titles.filter((other) => own.toLowerCase().split(other.toLowerCase()).length > 1).length,
      )
  })

  it('are counted of what a model wrote', async () => {
    const { config } = loadConfig({
      preset: presetFile('re2-quickstart'),
      file: null,
      set: ['model.threads=1', 'eval.max_new=48'],
      options: {},
    })
    const [{ base, tokenizer }, dataset] = await Promise.all([openModel(config), openDataset(config)])
    const method = methodOf(config)
    const context = {
      config,
      dataset,
      method,
      tokenizer,
      encoding: new Encoding(dataset, method, tokenizer),
      vocabularyBytes: tokenizer.vocabularyBytes(base.vocab),
      signal: new AbortController().signal,
    }
    const stage = { model: base, adapters: {} }
    const tests = dataset.test.slice(0, 12)
    const asks = tests.map((instance, index) => ({
      instance,
      mode: 'reason' as const,
      streams: [streamId('evaluate', 0, index, 0)],
    }))
    const options = { style: 'free', maxNew: maxNew(context), sampling: greedy, seed: seed(context) } as const
    const written = await askResponses(context, stage, asks, options)
    const predictions = await predict(context, stage, 'free', tests)
    const titleOf = (item: number): string => (dataset.items[item] as { title: { text: string } }).title.text
    const rates = answerRates(
      predictions.map(({ parsed, named = 0, in_catalogue: inCatalogue = false }) => ({
        parsed,
        candidatesNamed: named,
        inCatalogue,
      })),
    )
    const answers = written.map(({ responses }) => responses[0]?.text ?? '')
    const between = answers.map((text) => /<answer>(.*)<\/answer>\s*$/s.exec(text)?.[1] ?? null)
    const catalogue = new Set(dataset.items.map(({ title }) => title.text))
    const share = (holds: (answer: string | null, test: number) => boolean): number =>
      mean(between.map((answer, test) => (holds(answer, test) ? 1 : 0)))
    expect(rates.in_catalogue).toBe(share((answer) => answer !== null && catalogue.has(answer)))
    expect(rates.parse_rate).toBe(
      share((answer, test) => tests[test]?.candidates.some((item) => titleOf(item) === answer) ?? false),
    )
    expect(rates.valid_ratio).toBe(
      share(
        (answer, test) =>
          tests[test]?.candidates.filter((item) => (answer ?? answers[test] ?? '').includes(titleOf(item)))
            .length === 1,
      ),
    )
    expect(rates.valid_ratio).toBeGreaterThan(0)
    expect(rates.valid_ratio).toBeGreaterThanOrEqual(rates.parse_rate)
  })
})

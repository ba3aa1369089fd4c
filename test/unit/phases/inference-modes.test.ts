/**
 * Ways to answer, with the embedded model: the beam over the catalogue against every title scored on its own, several
 * thoughts against one, and what both methods ask where no candidates are named.
 */

import { beforeAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../../../src/config/load.js'
import type { Config } from '../../../src/config/schema.js'
import type { Instance } from '../../../src/data/types.js'
import type { Model } from '../../../src/engine/index.js'
import { metricsOfRank } from '../../../src/eval/metrics.js'
import { catalogueMetrics } from '../../../src/eval/result-row.js'
import { methodOf, presetFile } from '../../../src/methods/registry.js'
import { openDataset, openModel } from '../../../src/methods/session.js'
import { outcomesOf, type PredictionLine } from '../../../src/phases/evaluation/prediction-lines.js'
import {
  answerBehind,
  inferenceModes,
  type ModelMode,
  type Prediction,
  predict,
} from '../../../src/phases/prediction/predictions.js'
import { answerIn } from '../../../src/phases/prediction/predictions-free.js'
import { scoreChoices } from '../../../src/phases/prediction/responses.js'
import type { ModelContext, StageModel } from '../../../src/phases/run/context.js'
import { Encoding } from '../../../src/phases/run/encoding.js'
import { untrustedPassage } from '../../../src/prompts/untrusted-text.js'

const contexts = new Map<string, ModelContext>()
let base: Model
let stage: StageModel

async function contextFor(preset: string): Promise<ModelContext> {
  const { config } = loadConfig({
    preset: presetFile(preset),
    file: null,
    set: ['model.threads=1'],
    options: {},
  })
  const [opened, dataset] = await Promise.all([openModel(config), openDataset(config)])
  base ??= opened.base
  const method = methodOf(config)
  const { tokenizer } = opened
  return {
    config,
    dataset,
    method,
    tokenizer,
    encoding: new Encoding(dataset, method, tokenizer),
    vocabularyBytes: tokenizer.vocabularyBytes(base.vocab),
    signal: new AbortController().signal,
  }
}

beforeAll(async () => {
  for (const preset of ['re2-quickstart', 'r2rec-quickstart']) contexts.set(preset, await contextFor(preset))
  stage = { model: base, adapters: {} }
})

const tests = ({ dataset, method }: ModelContext, full: boolean): Instance[] =>
  dataset.test.slice(0, 3).map((test) => method.question(dataset, full ? { ...test, candidates: [] } : test))
const withEval = (context: ModelContext, changes: Partial<Config['eval']>): ModelContext => ({
  ...context,
  config: { ...context.config, eval: { ...context.config.eval, ...changes } },
})
const oneThought = { count: 1, temperature: 0, top_p: 1, merge: 'max' } as const
const of = (preset: string): ModelContext => contexts.get(preset) as ModelContext

describe.each([['re2-quickstart'], ['r2rec-quickstart']])('the whole catalogue (%s)', (preset) => {
  it('is asked for without a list of candidates, and a title is read as the answer', () => {
    const { method, dataset } = of(preset)
    const [listed] = tests(of(preset), false)
    const [open] = tests(of(preset), true)
    const text = (instance: Instance): string =>
      method
        .prompt(dataset, instance, 'reason')
        .messages.flatMap(({ parts }) => parts.map((part) => (typeof part === 'string' ? part : part.text)))
        .join('')
    const unseen = (listed as Instance).candidates.map((item) => dataset.items[item]?.title.text ?? '')
    expect(unseen.every((title) => text(listed as Instance).includes(title))).toBe(true)
    expect(unseen.some((title) => text(open as Instance).includes(title))).toBe(false)
    const title = dataset.items[7]?.title.text ?? ''
    const { item } = method.parse(dataset, open as Instance, `<think>x</think><answer>${title}</answer>`)
    expect(item).toBe(7)
  })

  it('searched by a beam as wide as it is, is every title scored behind the same reasoning', async () => {
    const { dataset, encoding } = of(preset)
    const context = withEval(of(preset), { beam: dataset.items.length, mask_history: false })
    const instances = tests(context, true)
    const answers = await predict(context, stage, 'think_beam', instances)
    const scores = await scoreChoices(
      context,
      base,
      {},
      instances.map((instance, index) => ({
        prompt: encoding.prompt(instance, 'reason'),
        prefixes: [encoding.beforeAnswer(untrustedPassage(answers[index]?.reasoning ?? ''))],
        choices: encoding.catalogue().titles,
      })),
    )
    const behind = await answerBehind(
      context,
      stage,
      instances,
      answers.map(({ reasoning }) => reasoning),
    )
    instances.forEach(({ target }, index) => {
      const joint = scores[index]![0]!.joint
      const byScore = dataset.items.map((_, item) => item).sort((a, b) => joint[b]! - joint[a]! || a - b)
      // Equal in fp32 is not equal in fp64: compare the scores in order, not the items.
      expect(behind[index]?.ranking?.map((item) => joint[item])).toEqual(byScore.map((item) => joint[item]))
      expect(behind[index]?.target_mean).toBe(scores[index]![0]!.mean[target])
    })
    expect(behind.map(({ ranking }) => ranking)).toEqual(answers.map(({ ranking }) => ranking))
  })

  it('never names the history where it is masked; with one thought it is the greedy one', async () => {
    const context = withEval(of(preset), { beam: 60, thoughts: oneThought })
    const instances = tests(context, true)
    const [beam, direct, thoughts] = [
      await predict(context, stage, 'think_beam', instances),
      await predict(context, stage, 'direct_beam', instances),
      await predict(context, stage, 'thoughts', instances),
    ]
    instances.forEach(({ history }, index) => {
      for (const { ranking } of [beam[index]!, direct[index]!]) {
        expect(ranking).toHaveLength(60)
        expect(new Set(ranking).size).toBe(60)
        expect(history.some((item) => ranking?.includes(item))).toBe(false)
      }
      expect(thoughts[index]?.ranking).toEqual(beam[index]?.ranking)
    })
  })
})

describe('several thoughts', () => {
  it('score a list as one greedy thought does, and depend on no other test', async () => {
    const plain = of('re2-quickstart')
    const instances = tests(plain, false)
    const greedy = await predict(plain, stage, 'think_score', instances)
    const one = await predict(withEval(plain, { thoughts: oneThought }), stage, 'thoughts', instances)
    expect(one.map(({ scores }) => scores)).toEqual(greedy.map(({ scores }) => scores))
    for (const merge of ['max', 'mean_posterior', 'logsumexp'] as const) {
      const several = withEval(plain, { thoughts: { count: 3, temperature: 1, top_p: 1, merge } })
      const together = await predict(several, stage, 'thoughts', instances)
      const alone = await predict(several, stage, 'thoughts', instances.slice(1, 2))
      expect(alone[0]).toEqual(together[1])
      expect(together.map(({ scores }) => scores)).not.toEqual(greedy.map(({ scores }) => scores))
    }
  })
})

describe('answers that name items', () => {
  const line = (changes: Partial<Prediction>): PredictionLine => ({
    row: 'base',
    mode: 'think_beam',
    instance: 'a',
    scores: null,
    item: null,
    target_mean: null,
    reasoning: '',
    parsed: true,
    tokens: 0,
    ...changes,
  })
  const test = { id: 'a', user: 'u', history: [], target: 5, candidates: [5, 1] }

  it('have the place of the target as its rank, and none where it was lost', () => {
    const outcome = (ranking: number[]) =>
      outcomesOf([test], [line({ ranking, item: ranking[0] ?? null })], catalogueMetrics)[0]
    const eleventh = [...Array.from({ length: 10 }, (_, place) => place + 20), 5]
    expect(outcome(eleventh)).toMatchObject(metricsOfRank(11, catalogueMetrics))
    expect(outcome(eleventh)).toMatchObject({ hr10: 0, hr20: 1, ndcg10: 0, ndcg20: 1 / Math.log2(12) })
    expect(outcome(eleventh.slice(0, 10))).toMatchObject({ hr1: 0, hr50: 0, ndcg50: 0, mrr: 0 })
  })

  it('are grounded by what stands in the answer, or on the last line', () => {
    expect(answerIn('<think>a</think><answer>\nThe Sea\n</answer> more', '<answer>')).toBe('The Sea')
    expect(answerIn('<answer>x</answer> no, <answer>The Sea', '<answer>')).toBe('The Sea')
    expect(answerIn('I would say:\nThe Sea\n', '<answer>')).toBe('The Sea')
    expect(answerIn('', '<answer>')).toBe('')
  })

  it('come from modes that fit: the others are refused before anything is computed', async () => {
    const context = of('re2-quickstart')
    const modes = Object.keys(inferenceModes) as ModelMode[]
    for (const mode of modes)
      for (const full of [false, true]) {
        const entry = inferenceModes[mode]
        if (full ? entry.catalogue : entry.lists) continue
        await expect(predict(context, stage, mode, tests(context, full))).rejects.toThrow(
          expect.objectContaining({ code: 'RR_CONFIG_VALUE' }),
        )
      }
    const grounded = await predict(context, stage, 'ground', tests(context, false))
    grounded.forEach(({ ranking }, index) => {
      const { candidates } = tests(context, false)[index] as Instance
      expect(ranking?.every((item) => candidates.includes(item))).toBe(true)
    })
  })
})

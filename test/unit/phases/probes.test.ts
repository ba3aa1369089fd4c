/** Probes of reasonings with the embedded model, against log-probs of whole sequences put together here. */

import { beforeAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../../../src/config/load.js'
import type { Instance } from '../../../src/data/types.js'
import { Adapter, type Adapters, sequenceLogprobs } from '../../../src/engine/index.js'
import { methodOf, presetFile } from '../../../src/methods/registry.js'
import { openDataset, openModel } from '../../../src/methods/session.js'
import { firstWords, type Probed, type ProbeModels, probes } from '../../../src/phases/evaluation/probes.js'
import type { ModelContext, StageModel } from '../../../src/phases/run/context.js'
import { Encoding } from '../../../src/phases/run/encoding.js'
import { joined } from '../../../src/prompts/tokenizer.js'
import { untrustedPassage } from '../../../src/prompts/untrusted-text.js'

let context: ModelContext
let models: ProbeModels
let probed: Probed[]

beforeAll(async () => {
  const { config } = loadConfig({
    preset: presetFile('re2-quickstart'),
    file: null,
    set: ['model.threads=1', 'data.candidates=C6'],
    options: {},
  })
  const [{ base, tokenizer }, dataset] = await Promise.all([openModel(config), openDataset(config)])
  const method = methodOf(config)
  context = {
    config,
    dataset,
    method,
    tokenizer,
    encoding: new Encoding(dataset, method, tokenizer),
    vocabularyBytes: tokenizer.vocabularyBytes(base.vocab),
    signal: new AbortController().signal,
  }
  const adapter = await Adapter.create(base, { rank: 2, alpha: 4, targets: ['q_proj', 'v_proj'] }, 5n)
  adapter.setValues(Float32Array.from(adapter.values(), (_, i) => 0.02 * Math.sin(i)))
  models = { own: { model: base, adapters: { trained: adapter } }, frozen: { model: base, adapters: {} } }
  const title = (item = 0): string => dataset.items[item]?.title.text ?? ''
  const [first, second, third] = dataset.test as [Instance, Instance, Instance]
  probed = [
    // Cites one of the history; does not name the target.
    {
      instance: first,
      reasoning: `likes ${title(first.history[1])} so calm`,
      answer: first.candidates[0] ?? null,
    },
    // Names the target, cites no history: there is nothing to remove.
    { instance: second, reasoning: `takes ${title(second.target)}`, answer: second.target },
    // Cites all of it: nothing uncited is left.
    { instance: third, reasoning: third.history.map(title).join(' and '), answer: third.target },
  ]
})

/** Log-probs of every candidate's tokens behind a prompt and what follows it, one sequence for each. */
async function plain(adapters: Adapters, prompt: Int32Array, before: Int32Array, instance: Instance) {
  const choices = context.encoding.choices(instance)
  const sequences = choices.map((choice) => joined([prompt, before, choice]))
  const { logprobs } = await sequenceLogprobs((models.own as StageModel).model, adapters, sequences)
  return choices.map((choice, index) => Array.from(logprobs[index]!.slice(-choice.length)))
}
const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0)
const share = (each: readonly (readonly number[])[], place: number): number => {
  const weights = each.map((values) => Math.exp(total(values)))
  return (weights[place] as number) / total(weights)
}
const rank = (each: readonly (readonly number[])[], place: number): number =>
  1 + each.filter((values) => total(values) > total(each[place] as number[])).length
const think = (reasoning: string): Int32Array => context.encoding.beforeAnswer(untrustedPassage(reasoning))
const reason = (instance: Instance): Int32Array => context.encoding.prompt(instance, 'reason')
const direct = (instance: Instance): Int32Array => context.encoding.prompt(instance, 'direct')

// fp32 sums of some thirty tokens in another order.
const digits = 4

describe('probes of reasonings', () => {
  it('measure gain, posterior and place under the model as given', async () => {
    const values = await probes.frozen_scorer(context, models, probed)
    for (const [index, { instance, reasoning }] of probed.entries()) {
      const place = instance.candidates.indexOf(instance.target)
      const given = await plain({}, reason(instance), think(reasoning), instance)
      const without = await plain({}, direct(instance), context.encoding.frame.directOpen, instance)
      const perToken = (each: number[][]): number =>
        total(each[place] as number[]) / (each[place] as number[]).length
      const gain = perToken(given) - perToken(without)
      expect(values[index]?.frozen_gain).toBeCloseTo(gain, digits)
      expect(values[index]?.frozen_gain_positive).toBe(gain > 0 ? 1 : 0)
      expect(values[index]?.posterior_gain).toBeCloseTo(share(given, place) - share(without, place), digits)
      expect(values[index]?.rank_gain).toBe(rank(without, place) - rank(given, place))
    }
    expect(values.map((one) => 'frozen_gain_unnamed' in one)).toEqual([true, false, true])
  })

  it('cut a reasoning word by word', async () => {
    expect([0, 0.25, 0.5, 1].map((part) => firstWords('a  b\nc d', part))).toEqual([
      '',
      'a',
      'a  b',
      'a  b\nc d',
    ])
    expect(firstWords('', 1)).toBe('')
    const values = await probes.truncation(context, models, probed)
    for (const [index, { instance, reasoning }] of probed.entries())
      for (const part of [0, 50, 100]) {
        const place = instance.candidates.indexOf(instance.target)
        const cut = await plain(
          models.own.adapters,
          reason(instance),
          think(firstWords(reasoning, part / 100)),
          instance,
        )
        expect(values[index]?.[`truncated_${part}_posterior`]).toBeCloseTo(share(cut, place), digits)
        expect(values[index]?.[`truncated_${part}_hr1`]).toBe(rank(cut, place) === 1 ? 1 : 0)
      }
  })

  it('show the frozen model no history', async () => {
    const values = await probes.sufficiency(context, models, probed)
    for (const [index, { instance, reasoning }] of probed.entries()) {
      const blind = { ...instance, history: [] }
      const place = instance.candidates.indexOf(instance.target)
      const given = await plain({}, reason(blind), think(reasoning), blind)
      const without = await plain({}, direct(blind), context.encoding.frame.directOpen, blind)
      expect(values[index]).toEqual({
        sufficient_hr1: rank(given, place) === 1 ? 1 : 0,
        sufficient_hr1_without: rank(without, place) === 1 ? 1 : 0,
      })
    }
  })

  it('remove as many cited as uncited titles, where there are both', async () => {
    const { instance, reasoning } = probed[0] as Probed
    const scored = await plain(models.own.adapters, reason(instance), think(reasoning), instance)
    const shares = scored.map((_, place) => share(scored, place))
    // The answer that the model gives: its posterior is far from 0, so that falls are seen.
    const place = shares.indexOf(Math.max(...shares))
    const answered = { instance, reasoning, answer: instance.candidates[place] as number }
    const values = await probes.perturbation(context, models, [answered, ...probed.slice(1)])
    expect(values.slice(1)).toEqual([{}, {}])
    const posterior = async (history: readonly number[]): Promise<number> => {
      const asked = { ...instance, history }
      return share(await plain(models.own.adapters, reason(asked), think(reasoning), asked), place)
    }
    const [cited, ...others] = [1, ...instance.history.keys()].map((at) => instance.history[at] as number)
    const whole = await posterior(instance.history)
    const fall = whole - (await posterior(instance.history.filter((item) => item !== cited)))
    expect(values[0]?.perturbed_cited_fall).toBeCloseTo(fall, 5)
    const falls = await Promise.all(
      others
        .filter((item) => item !== cited)
        .map(async (gone) => whole - (await posterior(instance.history.filter((item) => item !== gone)))),
    )
    const uncited = values[0]?.perturbed_uncited_fall as number
    expect(falls.some((one) => Math.abs(one - uncited) < 5e-6)).toBe(true)
    expect(values[0]?.perturbed_difference).toBe((values[0]?.perturbed_cited_fall as number) - uncited)
    expect(Math.abs(fall)).toBeGreaterThan(1e-4)
  })
})

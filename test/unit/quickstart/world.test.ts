import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { itemKnnBaseline } from '../../../src/eval/baselines/item-knn.js'
import { popularityBaseline } from '../../../src/eval/baselines/popularity.js'
import { evaluateRanking } from '../../../src/eval/protocol.js'
import { Tokenizer } from '../../../src/prompts/tokenizer.js'
import { makers, moods, themes, titleWords } from '../../../src/quickstart/catalogue-words.js'
import { embeddedDataset } from '../../../src/quickstart/dataset.js'
import { embeddedModelFolder } from '../../../src/quickstart/embedded.js'
import { World, worldSeed } from '../../../src/quickstart/world.js'

const world = new World(worldSeed)
const dataset = embeddedDataset()

function hr1(score: (instance: (typeof dataset.test)[number]) => readonly number[]): number {
  const scores = dataset.test.map((instance) => score(instance))
  return evaluateRanking(dataset.test, { scores }, { id: 'random', mode: 'none' }).hr1
}

describe('the embedded world', () => {
  it('is the one the committed weights know', () => {
    const titles = world.items.map(({ title }) => title).join('\n')
    const users = [0, 1, 239, 240, 2339].map((number) => world.user(number))
    const digest = createHash('sha256')
      .update(JSON.stringify([titles, users]))
      .digest('hex')
    expect(digest).toBe('fafd831f329134f53418959250ead99917b9a0071184f3d6b39f6b5b1c9c2a65')
  })

  it('is a pure function of its seed, and another one for another seed', () => {
    const again = new World(worldSeed)
    expect(again.items).toEqual(world.items)
    // Users do not depend on which were drawn before.
    expect(again.user(17)).toEqual(world.user(17))
    expect(new World(worldSeed + 1).items).not.toEqual(world.items)
  })

  it('has hundreds of items of different titles, and thousands of users who choose nothing twice', () => {
    expect(new Set(world.items.map(({ title }) => title)).size).toBe(600)
    expect(dataset.userItems?.size).toBe(2340)
    for (const items of dataset.userItems?.values() ?? []) expect(new Set(items).size).toBe(items.length)
    const ratings = dataset.trainInteractions.map(({ rating }) => rating ?? 0)
    expect(new Set(ratings)).toEqual(new Set([1, 2, 3, 4, 5]))
  })

  it('parts whole users, and its lists hold the target and 19 items the user never chose', () => {
    const users = (instances: typeof dataset.train) => new Set(instances.map(({ user }) => user))
    const [train, valid, test] = [users(dataset.train), users(dataset.valid), users(dataset.test)]
    expect([...train].filter((user) => valid.has(user) || test.has(user))).toEqual([])
    expect([...valid].filter((user) => test.has(user))).toEqual([])
    for (const { user, history, target, candidates } of [...dataset.train, ...dataset.test]) {
      const own = new Set(dataset.userItems?.get(user))
      expect(history).toHaveLength(8)
      expect(candidates).toHaveLength(20)
      expect(candidates.filter((item) => own.has(item))).toEqual([target])
    }
  })

  it('gives probabilities that sum to one and lie on unseen items', () => {
    const user = world.user(3)
    const probabilities = world.nextProbabilities(user, 11)
    expect(probabilities.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 12)
    for (const { item } of user.choices.slice(0, 11)) expect(probabilities[item]).toBe(0)
  })

  it('is a testbed: item-kNN at 2.5 times chance or more, popularity at 1.5 times, the oracle above both', () => {
    const knn = hr1(itemKnnBaseline(dataset).score)
    const popular = hr1(popularityBaseline(dataset).score)
    const oracle = hr1((instance) => dataset.oracle?.(instance) ?? [])
    expect(knn).toBeGreaterThan(0.125)
    expect(popular).toBeGreaterThan(0.075)
    expect(oracle).toBeGreaterThan(knn + 0.2)
  })
})

describe('the embedded tokenizer', () => {
  it('gives every word of the world one token, as it stands in the texts', async () => {
    const tokenizer = await Tokenizer.open(embeddedModelFolder())
    const behindBlank = [...themes, ...makers, ...moods].map((word) => ` ${word}`)
    const long = [...titleWords, ...behindBlank].filter(
      (word) => tokenizer.encodeUntrusted(word).length !== 1,
    )
    expect(long).toEqual([])
    expect(tokenizer.encodeUntrusted('\n+ Lagoon Orin')).toHaveLength(3)
    for (const tag of ['<think>', '</think>', '<answer>', '</answer>']) {
      expect(tokenizer.encodeTrusted(tag)).toHaveLength(1)
      expect(tokenizer.encodeUntrusted(tag).length).toBeGreaterThan(1)
    }
  })

  it('covers text that is not of the world', async () => {
    const tokenizer = await Tokenizer.open(embeddedModelFolder())
    const text = 'Ærø, 12 — Łódź\n\t“quoted”'
    expect(tokenizer.decode(tokenizer.encodeUntrusted(text))).toBe(text)
  })
})

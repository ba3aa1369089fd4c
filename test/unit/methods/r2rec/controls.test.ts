/** Controls of R2Rec: what they exchange, what they leave, and that ratings along a chain say something only as they stand. */

import { beforeAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../../../../src/config/load.js'
import { seeded } from '../../../../src/data/random.js'
import type { Dataset, Instance, Interaction } from '../../../../src/data/types.js'
import { R2RecBuiltinTeacher } from '../../../../src/methods/r2rec/builtin-teacher.js'
import { exchangedRatings } from '../../../../src/methods/r2rec/controls.js'
import type { R2Rec } from '../../../../src/methods/r2rec/index.js'
import { taskOf } from '../../../../src/methods/r2rec/progressive-masked-prompting.js'
import { askingChains, evidenceOf, ratingQuestion } from '../../../../src/methods/r2rec/question.js'
import { presetFile, r2recOf } from '../../../../src/methods/registry.js'
import { promptText } from '../../../../src/prompts/prompt.js'
import { untrusted } from '../../../../src/prompts/untrusted-text.js'
import { embeddedDataset } from '../../../../src/quickstart/dataset.js'

const { config } = loadConfig({ preset: presetFile('r2rec-quickstart'), file: null, set: [], options: {} })
let dataset: Dataset
let method: R2Rec
let tests: readonly Instance[]

beforeAll(() => {
  dataset = embeddedDataset({ shown: config.data.max_hist })
  method = r2recOf(config)
  tests = dataset.test.slice(0, 300)
})

const ratingsIn = (instances: readonly Instance[]): number[] =>
  instances.flatMap((each) =>
    evidenceOf(each).chains.flatMap(({ ratings }) => ratings.filter((r) => r !== null)),
  )

describe('shuffled ratings', () => {
  it('keep items, users, lengths and how often each rating occurs, and change what a chain says', () => {
    const asked = tests.map((instance) => method.question(dataset, instance))
    const exchanged = exchangedRatings(asked, 1)
    expect(exchanged.map(({ id, history, candidates, target }) => [id, history, candidates, target])).toEqual(
      asked.map(({ id, history, candidates, target }) => [id, history, candidates, target]),
    )
    const walks = (instances: readonly Instance[]) =>
      instances.map((each) => evidenceOf(each).chains.map(({ users, items }) => [users, items]))
    expect(walks(exchanged)).toEqual(walks(asked))
    expect([...ratingsIn(exchanged)].sort()).toEqual([...ratingsIn(asked)].sort())
    const differing = ratingsIn(exchanged).filter(
      (rating, place) => rating !== ratingsIn(asked)[place],
    ).length
    expect(differing / ratingsIn(asked).length).toBeGreaterThan(0.5)
    expect(exchangedRatings(asked, 1)).toEqual(exchanged)
  })

  it('lose what chains tell of a rating where raters agree', async () => {
    const agreeing = agreeingRaters()
    const builtin = new R2RecBuiltinTeacher(agreeing, method.words, 0)
    const questions = agreeing.train.flatMap((instance) => {
      const chains = askingChains(method.chainSource(agreeing), instance, 1)
      return chains.length === 0 ? [] : [ratingQuestion(agreeing, instance, chains)]
    })
    expect(questions.length).toBeGreaterThan(200)
    const error = async (asked: readonly Instance[]): Promise<number> => {
      const requests = asked.map((question) => ({
        ...taskOf(question, 1, () => 0n),
        thoughts: [],
        stream: 0n,
      }))
      const given = await builtin.answerBlind(requests)
      const off = asked.map((each, place) => Math.abs((given[place] ?? 0) - (evidenceOf(each).answer ?? 0)))
      return off.reduce((sum, value) => sum + value, 0) / off.length
    }
    const [real, exchanged] = [await error(questions), await error(exchangedRatings(questions, 2))]
    expect(real).toBeLessThan(0.5)
    // Exchanged, a rule that reads the chain is worse than always saying 3: the mean distance from it is about 0.9.
    expect(exchanged).toBeGreaterThan(1)
  })
})

/** 60 users rate 14 of 40 items each: 3, plus what is good about the item (-1 to 1), plus the user's leniency (-1 to 1). */
function agreeingRaters(): Dataset {
  const random = seeded(4, 'agreeing raters')
  const quality = Array.from({ length: 40 }, () => random.below(3) - 1)
  const users = Array.from({ length: 60 }, (_, number) => {
    const lenient = random.below(3) - 1
    const items = random.shuffled(quality.map((_, item) => item)).slice(0, 14)
    return items.map(
      (item, timestamp): Interaction => ({
        user: String(number),
        item,
        rating: 3 + (quality[item] as number) + lenient,
        timestamp,
      }),
    )
  })
  const train = [10, 11, 12, 13].flatMap((position) =>
    users.map(
      (own, number): Instance => ({
        id: `train/${number}/${position}`,
        user: String(number),
        history: own.slice(position - 5, position).map(({ item }) => item),
        target: own[position]?.item ?? 0,
        candidates: [],
        position,
      }),
    ),
  )
  return {
    name: 'agreeing raters',
    noun: 'item',
    items: quality.map((_, item) => ({ id: String(item), title: untrusted(`Title ${item}`) })),
    trainInteractions: users.flat(),
    train,
    valid: [],
    test: [],
    userInteractions: new Map(users.map((own, number) => [String(number), own])),
    clock: 'own',
    notes: [],
  }
}

describe('shuffled history', () => {
  it('shows another user with the ratings and chains that are his, and the own target and candidates', () => {
    const shown = method.controls.shuffled_history?.(dataset, tests, 3) ?? []
    expect(shown).toHaveLength(tests.length)
    const byUser = new Map(tests.map((instance) => [instance.user, instance]))
    shown.forEach((each, place) => {
      const own = tests[place] as Instance
      const other = byUser.get(each.user) as Instance
      expect(each.user).not.toBe(own.user)
      expect([each.id, each.target, each.candidates]).toEqual([own.id, own.target, own.candidates])
      expect(each.history).toEqual(other.history)
      expect(evidenceOf(each).ratings).toEqual(evidenceOf(method.question(dataset, other)).ratings)
      for (const { users, items } of evidenceOf(each).chains) {
        expect(users[0]).toBe(other.user)
        expect(items).not.toContain(own.target)
      }
    })
  })
})

describe('prompts of real tests', () => {
  it('name the target once, among the candidates, in both wordings', () => {
    for (const asked of tests.slice(0, 100).map((instance) => method.question(dataset, instance))) {
      const text = promptText(method.prompt(dataset, asked, 'reason'))
      const title = dataset.items[asked.target]?.title.text ?? ''
      expect(text.split(title).length - 1, asked.id).toBe(1)
      expect(text.indexOf(title)).toBeGreaterThan(text.indexOf('\nchoose\n'))
    }
  })
})

import { describe, expect, it } from 'vitest'
import { words } from '../../../src/data/title.js'
import type { Dataset, Instance } from '../../../src/data/types.js'
import { BoilerplateFilter } from '../../../src/methods/re2/dedupe.js'
import { re2, re2Phrases } from '../../../src/methods/re2/index.js'
import { partsText } from '../../../src/prompts/prompt.js'
import { untrusted, untrustedPassage } from '../../../src/prompts/untrusted-text.js'
import { containedPhrase } from '../../../src/rewards/text-statistics.js'
import { BuiltinTeacher } from '../../../src/teacher/builtin.js'
import { CoOccurrence } from '../../../src/teacher/co-occurrence.js'
import * as phrases from '../../../src/teacher/phrases.js'
import { syntheticWorld } from '../methods/world.js'

const world = await syntheticWorld()
const method = re2({ maxWords: 60 })
const respond = (reasoning: string, title: string) =>
  partsText(method.response(untrustedPassage(reasoning), untrusted(title)))
const teacherOf = (dataset: Dataset, seed = 1) => new BuiltinTeacher(dataset, { seed, maxWords: 60, respond })
const instances = world.train.slice(0, 300)
const hinted = await teacherOf(world).propose(instances, { hinted: true, count: 2 })

function reasoningOf(text: string): string {
  return /<think>\n([\s\S]*)\n<\/think>/.exec(text)?.[1] ?? ''
}

describe('co-occurrence', () => {
  const chosen = (user: string, ...items: number[]) =>
    items.map((item, timestamp) => ({ user, item, rating: null, timestamp }))
  const statistics = new CoOccurrence([
    ...chosen('a', 0, 1, 2),
    ...chosen('b', 1, 0, 0),
    ...chosen('c', 0, 2),
    ...chosen('d', 3),
  ])

  it('counts other users, each once', () => {
    expect(statistics.together(0, 1, 'nobody')).toBe(2)
    expect(statistics.together(1, 0, 'a')).toBe(1)
    expect(statistics.together(0, 3, 'a')).toBe(0)
    expect(statistics.together(0, 99, 'a')).toBe(0)
    expect([
      statistics.popularity(0, 'nobody'),
      statistics.popularity(0, 'a'),
      statistics.popularity(0, 'd'),
    ]).toEqual([3, 2, 3])
    expect([
      statistics.popularityShare(1),
      statistics.popularityShare(2),
      statistics.popularityShare(3),
      statistics.popularityShare(4),
    ]).toEqual([0, 0.25, 0.75, 1])
  })
})

describe('the builtin teacher', () => {
  it('writes hinted traces of 30 to 60 words that pass the gates', () => {
    let passed = 0
    instances.forEach((instance, k) => {
      for (const { text } of hinted[k] ?? []) {
        const gates = method.gates(world, instance, text, 'C')
        if (gates.every((gate) => gate.passed)) passed++
        for (const name of ['G1', 'G2', 'G3', 'G4', 'G5', 'G6', 'G8'])
          expect(
            gates.find(({ gate }) => gate === name),
            text,
          ).toMatchObject({ passed: true })
        expect(words(reasoningOf(text)).length).toBeGreaterThanOrEqual(30)
        expect(words(reasoningOf(text)).length).toBeLessThanOrEqual(60)
      }
    })
    expect(passed / (2 * instances.length)).toBeGreaterThan(0.98)
  })

  it('is not one boilerplate', () => {
    const filter = new BoilerplateFilter(20)
    const admitted = instances.filter(
      (instance, k) => filter.admit(instance.id, reasoningOf(hinted[k]?.[0]?.text ?? '')).passed,
    )
    expect(admitted.length / instances.length).toBeGreaterThan(0.95)
    const openings = new Set(
      instances.map((_, k) =>
        words(reasoningOf(hinted[k]?.[0]?.text ?? ''))
          .slice(0, 3)
          .join(' '),
      ),
    )
    expect(openings.size).toBeGreaterThan(8)
  })

  it('gives the same text for the same seed and instance, whatever else is asked', async () => {
    const alone = await teacherOf(world).propose([instances[7] as Instance], { hinted: true, count: 1 })
    expect(alone[0]?.[0]).toEqual(hinted[7]?.[0])
    const other = await teacherOf(world, 2).propose(instances.slice(0, 20), { hinted: true, count: 1 })
    expect(other.filter((list, k) => list[0]?.text !== hinted[k]?.[0]?.text).length).toBeGreaterThan(15)
  })

  it('unhinted: never looks at the target', async () => {
    const blind = (list: readonly Instance[]) => teacherOf(world).propose(list, { hinted: false, count: 1 })
    const moved = instances.slice(0, 60).map((instance) => ({
      ...instance,
      target: instance.candidates.find((item) => item !== instance.target) ?? 0,
    }))
    expect(await blind(moved)).toEqual(await blind(instances.slice(0, 60)))
    // And the order of the candidates plays no part.
    const turned = instances
      .slice(0, 60)
      .map((instance) => ({ ...instance, candidates: [...instance.candidates].reverse() }))
    expect(await blind(turned)).toEqual(await blind(instances.slice(0, 60)))
    expect(await blind([{ ...(instances[0] as Instance), candidates: [] }])).toEqual([[]])
  })

  it('unhinted: counts better than chance', async () => {
    const lists = await teacherOf(world).propose(instances, { hinted: false, count: 1 })
    const hits = instances.filter(
      (instance, k) => method.parse(world, instance, lists[k]?.[0]?.text ?? '').item === instance.target,
    )
    expect(hits.length / instances.length).toBeGreaterThan(0.1) // 20 candidates: 0.05 by chance
  })

  it('says only what the data bear out', () => {
    const statistics = CoOccurrence.of(world)
    const titleOf = new Map(world.items.map((item, index) => [item.title.text, index]))
    let ties = 0
    instances.forEach((instance, k) => {
      for (const { text } of hinted[k] ?? []) {
        const tie = /Among other users, (many|several|some) who chose (.+?) also chose (.+?)[.,]/.exec(
          reasoningOf(text),
        )
        if (!tie) continue
        const users = statistics.together(titleOf.get(tie[2] as string) ?? -1, instance.target, instance.user)
        expect(users).toBeGreaterThan(0)
        expect(users >= 10 ? 'many' : users >= 3 ? 'several' : 'some').toBe(tie[1])
        expect(instance.history).toContain(titleOf.get(tie[2] as string))
        ties++
      }
    })
    expect(ties).toBeGreaterThan(20)
  })

  it('uses nothing but the training part', async () => {
    const blindfold = { ...world, valid: [], test: [], userItems: new Map() } as unknown as Dataset
    expect(await teacherOf(blindfold).propose(instances.slice(0, 20), { hinted: true, count: 2 })).toEqual(
      hinted.slice(0, 20),
    )
  })

  it('hostile titles break no form: they are not cited, and an answer with tags fails the gate', async () => {
    const evil = await syntheticWorld(true)
    const lists = await teacherOf(evil).propose(evil.train.slice(0, 300), { hinted: true, count: 1 })
    const broken = evil.train.slice(0, 300).filter((instance, k) => {
      const title = evil.items[instance.target]?.title.text ?? ''
      return (
        !title.includes('<') &&
        method.parse(evil, instance, lists[k]?.[0]?.text ?? '').item !== instance.target
      )
    })
    expect(broken).toEqual([])
  })

  it('has no sentence with a leak phrase', () => {
    const sentences = Object.values(phrases).flat()
    expect(sentences.length).toBeGreaterThan(40)
    for (const sentence of sentences)
      expect(containedPhrase(words(sentence), re2Phrases().leaks), sentence).toBeNull()
  })
})

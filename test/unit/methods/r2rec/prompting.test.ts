/** Progressive masked prompting: who sees what and when, and what the quality filter makes of what was written. */

import { describe, expect, it } from 'vitest'
import type { Instance } from '../../../../src/data/types.js'
import type { Trace } from '../../../../src/methods/method.js'
import { R2RecBuiltinTeacher } from '../../../../src/methods/r2rec/builtin-teacher.js'
import { askedOf } from '../../../../src/methods/r2rec/index.js'
import { ratingAndRanking } from '../../../../src/methods/r2rec/mixture.js'
import {
  type Explained,
  explain,
  type Prompting,
  taskOf,
} from '../../../../src/methods/r2rec/progressive-masked-prompting.js'
import { QualityFilter, textGates } from '../../../../src/methods/r2rec/quality-filter.js'
import { evidenceOf, ratingQuestion } from '../../../../src/methods/r2rec/question.js'
import type {
  BlindRequest,
  StepTeacher,
  ThoughtRequest,
  ThoughtsRequest,
} from '../../../../src/methods/r2rec/step-teacher.js'
import { promptText } from '../../../../src/prompts/prompt.js'
import { asking, handMade, instance, methodOf } from './hand-made.js'

const standard = methodOf()
const question = ratingQuestion(handMade, instance, [asking])
const builtin = new R2RecBuiltinTeacher(handMade, standard.words, 3)
const task = taskOf(question, 4, (step) => BigInt(step))

/** Writes what the builtin teacher writes and keeps what it was asked. */
class Watched implements StepTeacher {
  readonly name = 'watched'
  readonly temperature = 0
  readonly thoughts: ThoughtRequest[] = []
  readonly whole: ThoughtsRequest[] = []
  readonly blind: BlindRequest[] = []
  readonly batches: number[] = []

  writeThoughts(requests: readonly ThoughtRequest[]) {
    this.thoughts.push(...requests)
    this.batches.push(requests.length)
    return builtin.writeThoughts(requests)
  }
  writeAll(requests: readonly ThoughtsRequest[]) {
    this.whole.push(...requests)
    return builtin.writeAll(requests)
  }
  answerBlind(requests: readonly BlindRequest[]) {
    this.blind.push(...requests)
    return builtin.answerBlind(requests)
  }
}

async function explained(prompting: Prompting, tasks = [task]): Promise<[Watched, Explained[]]> {
  const teacher = new Watched()
  return [teacher, await explain(tasks, teacher, prompting)]
}

const viewOf = ({ question: asked, view }: ThoughtRequest): string =>
  promptText(standard.words.question(handMade, asked, 'reason', view))

describe('progressive masked prompting', () => {
  it('reveals hops one by one, feeds thoughts forward, and shows the answer at the last hop only', async () => {
    const [teacher, [result]] = await explained('progressive')
    expect(teacher.thoughts.map(({ answer }) => answer)).toEqual([null, null, null, 4])
    expect(teacher.thoughts.map(({ thoughts }) => thoughts.length)).toEqual([0, 1, 2, 3])
    expect(teacher.thoughts.map((request) => viewOf(request).match(/\[MASK\]/g)?.length ?? 0)).toEqual([
      3, 2, 1, 0,
    ])
    expect(viewOf(teacher.thoughts[1]!)).toContain('u1 rated Lagoon Orin 4/5\n[MASK]\n[MASK]')
    expect(teacher.thoughts[3]?.thoughts).toEqual(result?.thoughts.slice(0, 3))
    expect(result?.thoughts.map((line) => line.slice(0, 17))).toEqual([
      'Step 1 (u0 - i0):',
      'Step 2 (u1 - i0):',
      'Step 3 (u1 - i1):',
      'Step 4 (u0 - i1):',
    ])
  })

  it('asks again blindly: without the answer and without the thought that may state it', async () => {
    const [teacher, [result]] = await explained('progressive')
    expect(teacher.blind).toHaveLength(1)
    expect(teacher.blind[0]?.thoughts).toEqual(result?.thoughts.slice(0, 3))
    expect(JSON.stringify(teacher.blind[0]?.thoughts)).not.toContain('Step 4')
    // u1's 5 moved by half of 5 - 4.
    expect(result?.blind).toBe(5)
  })

  it('takes a step of all questions in one batch', async () => {
    const bare = taskOf(ratingQuestion(handMade, instance, []), 4, (step) => BigInt(step))
    const [teacher, results] = await explained('progressive', [task, bare, task])
    expect(teacher.batches).toEqual([3, 3, 2, 2])
    expect(results[1]?.thoughts.map((line) => line.slice(0, 6))).toEqual(['Step 1', 'Step 4'])
    expect(results[0]?.thoughts).toEqual(results[2]?.thoughts)
  })

  it('predict_each hides the rating of the hop that is being explained, and shows it from the next on', async () => {
    const [teacher] = await explained('predict_each')
    const [first, second] = teacher.thoughts.map(viewOf)
    expect(first).toContain('u0 rated Lagoon Orin ?/5')
    expect(second).toContain('u0 rated Lagoon Orin 5/5\n(u1 - i0) u1 rated Lagoon Orin ?/5')
  })

  it('one_shot asks for everything at once', async () => {
    const [teacher, [result]] = await explained('one_shot')
    expect(teacher.thoughts).toHaveLength(0)
    expect(teacher.whole).toHaveLength(1)
    expect(result?.thoughts).toHaveLength(4)
  })
})

describe('what a student reads', () => {
  it('holds neither the answer nor guidance, nor a mask, for any rating', () => {
    for (const answer of [1, 2, 3, 4, 5]) {
      const asked: Instance = {
        ...question,
        evidence: { ...evidenceOf(question), answer },
      }
      const same = promptText(standard.prompt(handMade, asked, 'reason'))
      expect(same).toBe(promptText(standard.prompt(handMade, question, 'reason')))
      expect(same).not.toMatch(/note|\[MASK\]/i)
    }
  })

  it('names the target nowhere but in the list of a ranking question', () => {
    for (const wording of ['standard', 'compact'] as const) {
      const method = methodOf({ wording })
      const text = promptText(method.prompt(handMade, method.question(handMade, instance), 'reason'))
      expect(text.match(/Cove Pell/g)).toHaveLength(1)
      expect(text).toMatch(/C02 Cove Pell/)
    }
  })
})

describe('the quality filter', () => {
  const steps = [
    'Step 1 (u0 - i0): u0 gave Lagoon Orin 5 of 5.',
    'Step 2 (u1 - i0): u1 gave Lagoon Orin 4 of 5, so they agree.',
    'Step 3 (u1 - i1): u1 gave Cove Pell 5 of 5.',
    'Step 4 (u0 - i1): Cove Pell should come to 4 of 5.',
  ]
  const failed = (lines: readonly string[], answer = '4', asked = question): string[] => {
    const response = `<think>\n${lines.join('\n')}\n</think>\n<answer>${answer}</answer>`
    return textGates(handMade, asked, response, false).flatMap(({ gate, passed }) => (passed ? [] : [gate]))
  }
  const changed = (place: number, line: string): string[] =>
    steps.map((own, index) => (index === place ? line : own))

  it.each([
    ['a sound trace', steps, '4', []],
    ['an unreadable answer', steps, 'four', ['form', 'right']],
    ['a wrong rating', steps, '2', ['right']],
    ['a missing step', steps.slice(0, 3), '4', ['steps', 'hops']],
    ['steps out of order', [steps[1]!, steps[0]!, steps[2]!, steps[3]!], '4', ['steps']],
    ['the wrong item', changed(1, 'Step 2 (u1 - i0): u1 gave Vale Tamsin 4 of 5.'), '4', ['hops']],
    ['no item', changed(2, 'Step 3 (u1 - i1): u1 liked it.'), '4', ['hops']],
    ['a second item', changed(0, 'Step 1 (u0 - i0): Lagoon Orin and Glade Vell.'), '4', ['hops']],
    [
      'an early estimate',
      changed(1, 'Step 2 (u1 - i0): Lagoon Orin, so u0 would rate it high.'),
      '4',
      ['early'],
    ],
    ['a leak', changed(3, 'Step 4 (u0 - i1): as the true rating says, Cove Pell comes to 4.'), '4', ['leak']],
  ] as const)('%s', (_, lines, answer, gates) => {
    expect(failed(lines, answer)).toEqual(gates)
  })

  it('asks a compact step for the rating of its hop as well', () => {
    const compact = (line: string): string[] => {
      const lines = ['1 Lagoon Orin 5 likes sea', line, '3 Cove Pell 5 likes sea', '4 Cove Pell so sea']
      const response = `<think>${lines.join('\n')}</think><answer>4</answer>`
      return textGates(handMade, question, response, true).flatMap(({ gate, passed }) =>
        passed ? [] : [gate],
      )
    }
    expect(compact('2 Lagoon Orin 4 agree')).toEqual([])
    expect(compact('2 Lagoon Orin 3 agree')).toEqual(['hops'])
    expect(compact('2 Cove Pell 4 agree')).toEqual(['hops'])
  })

  const settings = {
    minTokens: 3,
    maxTokens: 9,
    tolerance: 0,
    largestShare: 0.35,
    required: new Set(['dedupe', 'balance', 'blind']),
  }
  const trace = (id: string, answer: string, query: 'rating' | 'ranking' = 'rating'): Trace => ({
    ...{ instance: id, user: id, history: [], candidates: [], target: 0, reasoning: '', answer },
    ...{ answerItem: null, source: 'B', generator: 'self', temperature: 1, stream: '', tokens: 0 },
    ...{ gates: [], gain: null, kept: true, evidence: { query, ratings: [], chains: [] } },
  })

  it('bounds tokens, compares blind answers within the tolerance', () => {
    const filter = new QualityFilter(settings, [])
    expect([[3, 9], [2, 5], [5, 10], []].map((lengths) => filter.tokens(lengths).passed)).toEqual([
      true,
      false,
      false,
      false,
    ])
    expect([4, 3, null].map((blind) => filter.blind(4, blind).passed)).toEqual([true, false, false])
    const loose = new QualityFilter({ ...settings, tolerance: 1 }, [])
    expect([3, 2].map((blind) => loose.blind(4, blind).passed)).toEqual([true, false])
  })

  it('keeps one rating trace and one ranking trace of an instance', () => {
    const filter = new QualityFilter(settings, [])
    const kept = [
      trace('a', '4'),
      trace('a', '4'),
      trace('a', 'C01', 'ranking'),
      trace('a', 'C01', 'ranking'),
    ].map((one) => filter.judge(one).kept)
    expect(kept).toEqual([true, false, true, false])
  })

  it('lets no rating exceed its share, and goes on where a sitting ended', () => {
    const answers = Array.from({ length: 200 }, (_, k) => (k % 5 === 0 ? String(1 + ((k / 5) % 4)) : '5'))
    const traces = answers.map((answer, k) => trace(`t${k}`, answer))
    const straight = new QualityFilter(settings, [])
    const judged = traces.map((one) => straight.judge(one))
    const kept = judged.filter((one) => one.kept)
    const fives = kept.filter(({ answer }) => answer === '5').length
    expect(kept.length).toBeGreaterThan(30)
    expect(fives / kept.length).toBeLessThanOrEqual(0.35 + 3 / kept.length)
    const resumed = new QualityFilter(settings, judged.slice(0, 100))
    expect(traces.slice(100).map((one) => resumed.judge(one))).toEqual(judged.slice(100))
  })

  it('mixes kinds in the share asked for, and takes all of one kind where the other is missing', () => {
    const many = [
      ...Array.from({ length: 90 }, (_, k) => trace(`r${k}`, '4')),
      ...Array.from({ length: 10 }, (_, k) => trace(`k${k}`, 'C01', 'ranking')),
    ]
    const rankings = (mixed: readonly Trace[]): number =>
      mixed.filter((one) => evidenceOf(askedOf(one)).query === 'ranking').length
    const mixed = ratingAndRanking(many, 0.2, 1)
    expect([mixed.length, rankings(mixed)]).toEqual([50, 10])
    expect(ratingAndRanking(many, 0.2, 1)).toEqual(mixed)
    const other = ratingAndRanking(many, 0.05, 1)
    expect([other.length, rankings(other)]).toEqual([95, 5])
    expect(ratingAndRanking(many.slice(0, 90), 0.2, 1)).toHaveLength(90)
  })
})

describe('the builtin teacher', () => {
  it('writes traces that pass every text gate, in both wordings and without chains', () => {
    for (const wording of ['standard', 'compact'] as const) {
      const method = methodOf({ wording })
      const teacher = new R2RecBuiltinTeacher(handMade, method.words, 5)
      for (const asked of [question, ratingQuestion(handMade, instance, [])]) {
        const { walk } = taskOf(asked, 4, () => 0n)
        const reasoning = teacher.lines(asked, walk, 4)
        const { thinkOpen, thinkClose, answerOpen, answerClose } = method.form
        const response = `${thinkOpen}${reasoning}${thinkClose}${answerOpen}4${answerClose}`
        expect(
          textGates(handMade, asked, response, wording === 'compact').filter(({ passed }) => !passed),
          reasoning,
        ).toEqual([])
      }
    }
  })

  it('says what the ratings bear out', () => {
    const said = (ratings: readonly (number | null)[]): string => {
      const asked = ratingQuestion(handMade, instance, [{ ...asking, ratings }])
      return builtin.lines(asked, taskOf(asked, 4, () => 0n).walk, 4)
    }
    expect(said([5, 4, 5, null])).toMatch(/agree on this|fair guide/)
    expect(said([5, 2, 5, null])).toMatch(/3 points (away|apart)/)
    expect(said([5, 4, 2, null])).toContain('less than the album before it')
    expect(said([5, 4, 4, null])).toContain('the same as the album before it')
  })
})

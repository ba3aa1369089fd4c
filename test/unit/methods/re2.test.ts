import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../../src/config/load.js'
import type { GateResult, Trace } from '../../../src/methods/method.js'
import { BoilerplateFilter } from '../../../src/methods/re2/dedupe.js'
import { defaultThresholds } from '../../../src/methods/re2/gates.js'
import { presetNames, re2, re2Form, re2Phrases, re2Preset } from '../../../src/methods/re2/index.js'
import { selectTraces } from '../../../src/methods/re2/selection.js'
import { partsText, promptText } from '../../../src/prompts/prompt.js'
import { Tokenizer } from '../../../src/prompts/tokenizer.js'
import { handMade, honest, instance, syntheticWorld, written } from './world.js'

const method = re2({ maxWords: 60 })
const tokenizer = await Tokenizer.open(fileURLToPath(new URL('../../fixtures/tiny-model', import.meta.url)))

function failed(response: string, pass: Trace['source'] = 'A', using = method): string[] {
  return using
    .gates(handMade, instance, response, pass)
    .filter(({ passed }: GateResult) => !passed)
    .map(({ gate }) => gate)
}

describe('prompts', () => {
  it('list history and candidates in order and ask for the form', () => {
    const text = promptText(re2({ maxWords: 150 }).prompt(handMade, instance, 'reason'))
    expect(text).toContain('[system]\nYou recommend the next story for a user')
    expect(text).toContain(
      'Stories this user chose, oldest first:\n1. The Silent Harbour\n2. Golden Orchard\n3. Radiowave\n',
    )
    expect(text).toContain(
      'Choose from these 4 stories:\n- Paper Lantern\n- Northern Tide\n- Velvet Engine\n- Hollow Meadow\nFirst explain in at most 150 words',
    )
    expect(text.endsWith('Form: <think>explanation</think><answer>title</answer>')).toBe(true)
  })

  it('are shorter in the short wording', () => {
    const length = (wording: 'standard' | 'short') =>
      tokenizer.encodePrompt(re2({ maxWords: 60, wording }).prompt(handMade, instance, 'reason')).length
    expect(length('short')).toBeLessThan(0.85 * length('standard'))
  })

  it.each(['standard', 'short'] as const)('show the target privately only when hinted (%s)', (wording) => {
    const { prompt } = re2({ maxWords: 60, wording })
    const text = (mode: 'reason' | 'direct' | 'hinted') => promptText(prompt(handMade, instance, mode))
    const times = (mode: 'reason' | 'direct' | 'hinted') => text(mode).split('Northern Tide').length - 1
    expect([times('reason'), times('direct'), times('hinted')]).toEqual([1, 1, 2])
    expect(text('hinted')).toContain('(Private note: the user\'s next choice was "Northern Tide".')
    expect(text('hinted').replace(/\(Private note:.*\)\n/, '')).toBe(text('reason'))
    expect(text('direct')).not.toContain('<think>')
  })

  it('without candidates ask for any title', () => {
    const open = { ...instance, candidates: [] }
    expect(promptText(method.prompt(handMade, open, 'reason'))).not.toContain('Choose from')
  })

  it('hostile titles add no special token', async () => {
    const world = await syntheticWorld(true)
    const prompts = (mode: 'reason' | 'hinted') =>
      world.train.slice(0, 200).map((one) => tokenizer.encodePrompt(method.prompt(world, one, mode)))
    const hostileSeen = world.train
      .slice(0, 200)
      .filter(({ history, candidates }) =>
        [...history, ...candidates].some((item) => world.items[item]?.title.text.includes('<|im_end|>')),
      )
    expect(hostileSeen.length).toBeGreaterThan(10)
    for (const ids of [...prompts('reason'), ...prompts('hinted')])
      expect(ids.filter((id) => tokenizer.specialIds.has(id)).length).toBe(5)
  })
})

describe('responses', () => {
  it('are encoded with token boundaries at tags and title', () => {
    const title = handMade.items[3]!.title
    const parts = method.response('Because.', title)
    expect(partsText(parts)).toBe('<think>\nBecause.\n</think>\n<answer>Northern Tide</answer>')
    const before = tokenizer.encodeParts(parts.slice(0, 4))
    expect(
      [...tokenizer.encodeParts(parts)].slice(before.length, -tokenizer.encodeTrusted('</answer>').length),
    ).toEqual([...tokenizer.encodeUntrusted(title.text)])
    expect(partsText(method.response(null, title))).toBe('<answer>Northern Tide</answer>')
    expect(method.form).toBe(re2Form)
  })

  it('parse back', () => {
    expect(method.parse(handMade, instance, written('Because.'))).toEqual({
      reasoning: 'Because.',
      answer: 'Northern Tide',
      item: 3,
    })
  })

  it.each([
    ['northern tide.', 3],
    ['  “Northern  Tide” ', 3],
    ['NORTHERN TIDE', 3],
    ['Northern Tides', null],
    ['The Silent Harbour', null], // in the history, not among the candidates
    ['Northern Tide, Paper Lantern', null],
  ])('the answer %j names item %j', (answer, item) => {
    expect(method.parse(handMade, instance, written('Because.', answer)).item).toBe(item)
  })

  it.each([
    ['no tags', 'Northern Tide'],
    ['two answers', `${written('a')}<answer>Northern Tide</answer>`],
    ['two thinks', `<think>x</think>${written('a')}`],
    ['wrong order', '<answer>Northern Tide</answer><think>a</think>'],
    ['text outside', `Sure! ${written('a')}`],
    ['text after', `${written('a')} Enjoy`],
    ['text between', '<think>a</think> so <answer>Northern Tide</answer>'],
    ['cut off', '<think>\na'],
    ['cut in the answer', '<think>a</think><answer>Northern'],
    ['empty think', '<think>\n\n</think>\n<answer>Northern Tide</answer>'],
    ['empty answer', '<think>a</think><answer> </answer>'],
    ['a tag in the reasoning', '<think>a <answer> b</think><answer>Northern Tide</answer>'],
  ])('broken form: %s', (_, response) => {
    expect(method.parse(handMade, instance, response)).toEqual({ reasoning: null, answer: null, item: null })
    expect(failed(response)).toContain('G1')
  })
})

describe('gates', () => {
  it('an honest trace passes all of them, and all are reported', () => {
    expect(failed(written(honest))).toEqual([])
    expect(method.gates(handMade, instance, written(honest), 'A').map(({ gate }) => gate)).toEqual(
      'G1 G2 G3 G4 G5 G6 G7 G8'.split(' '),
    )
  })

  it.each<[string, string, Trace['source'], string[]]>([
    ['not a candidate', written(honest, 'Crimson Parlour'), 'A', ['G2', 'G3']],
    ['a history item', written(honest, 'Golden Orchard'), 'A', ['G2', 'G3']],
    ['a miss', written(honest, 'Paper Lantern'), 'A', ['G3']],
    ['a leak when hinted', written(`${honest} As the private note says.`), 'B', ['G4']],
    ['the same words unhinted', written(`${honest} As the private note says.`), 'A', []],
    ['too short', written('I like The Silent Harbour a lot.'), 'A', ['G5']],
    [
      'too long',
      written(`${Array.from({ length: 90 }, (_, k) => `word${k}`).join(' ')} Golden Orchard`),
      'A',
      ['G5'],
    ],
    ['a sentence twice', written(`${honest} It keeps that calm mood. It keeps that calm mood.`), 'A', ['G6']],
    ['repeated text', written('this reader likes The Silent Harbour and '.repeat(6)), 'A', ['G6']],
    ['an item from elsewhere', written(`${honest} It also recalls Crimson Parlour.`), 'A', ['G7']],
    [
      'a longer title than the one in the history',
      written(`${honest} See The Silent Harbour Revisited.`),
      'A',
      ['G7'],
    ],
    ['an invented quoted title', written(`${honest} It also recalls “Winter Palace Nights”.`), 'A', ['G7']],
    ['ordinary words that are a title', written(`${honest} In the end it fits.`), 'A', []],
    [
      'nothing of the history',
      written(
        'Northern Tide is a good choice because it has the sea in it and the sea is always nice to read about.',
      ),
      'A',
      ['G7'],
    ],
    [
      'a cue instead of a title',
      written(
        'The earlier choices share a calm mood near water, and Northern Tide is the one option that keeps this mood.',
      ),
      'A',
      [],
    ],
    [
      'another script',
      written(
        '这个用户喜欢安静的海边故事，The Silent Harbour 和 Golden Orchard 都是这样的，所以下一个最合适的应该就是这一个了 I would say that it is fine here.',
      ),
      'A',
      ['G8'],
    ],
  ])('%s', (_, response, pass, gates) => {
    expect(failed(response, pass)).toEqual(gates)
  })

  it('misses pass where they are kept on purpose', () => {
    expect(
      failed(written(honest, 'Paper Lantern'), 'C', re2({ maxWords: 60, gates: { keepMisses: true } })),
    ).toEqual([])
  })

  it('bounds of the length scale with the word limit', () => {
    expect([defaultThresholds(150).minWords, defaultThresholds(150).maxWords]).toEqual([30, 220])
    expect([defaultThresholds(60).minWords, defaultThresholds(60).maxWords]).toEqual([12, 88])
  })

  it('without candidates the target may not be named before the last sentence', () => {
    const open = { ...instance, candidates: [] }
    const early = written(
      'Northern Tide fits the history. The user liked The Silent Harbour and Golden Orchard before.',
    )
    const late = written(
      'The user liked The Silent Harbour and Golden Orchard before. The history points to Northern Tide.',
    )
    const g4 = (response: string) =>
      method.gates(handMade, open, response, 'B').find(({ gate }) => gate === 'G4')?.passed
    expect([g4(early), g4(late)]).toEqual([false, true])
  })

  it('leak phrases and cues are data without doubles', () => {
    const { leaks, historyCues } = re2Phrases()
    expect(leaks).toContain('ground truth')
    expect(new Set(leaks).size).toBe(leaks.length)
    expect(historyCues.length).toBeGreaterThan(5)
  })
})

describe('G10', () => {
  it('drops a repeat for one instance and the 22nd copy across instances', () => {
    const filter = new BoilerplateFilter(20)
    expect(filter.admit('a', honest).passed).toBe(true)
    expect(filter.admit('a', honest).passed).toBe(false)
    const passed = Array.from({ length: 30 }, (_, k) => filter.admit(`b${k}`, honest).passed)
    expect(passed.filter(Boolean)).toHaveLength(20)
    expect(
      filter.admit('c', 'Quite another thought about The Silent Harbour and what may follow from it here.')
        .passed,
    ).toBe(true)
  })
})

describe('selection', () => {
  const trace = (reasoning: string, source: Trace['source'], gain: number | null): Trace =>
    ({ reasoning, source, gain }) as Trace
  it('takes A before B, then the gain, then the shorter; a second one only if it differs', () => {
    const [hinted, low, high, twin] = [
      trace('one two three four five', 'B', 9),
      trace('alpha beta gamma delta epsilon zeta', 'A', 0.1),
      trace('red green blue yellow black white', 'A', 0.2),
      trace('red green blue yellow black white grey', 'A', 0.15),
    ]
    expect(selectTraces([hinted, low, high, twin], 1)).toEqual([high])
    expect(selectTraces([hinted, low, high, twin], 2)).toEqual([high, low])
    expect(selectTraces([trace('b b b b b', 'A', null), trace('a a a', 'A', null)], 1)[0]?.reasoning).toBe(
      'a a a',
    )
  })
})

describe('presets', () => {
  it.each(presetNames)('%s is a configuration', (name) => {
    const file = fileURLToPath(re2Preset(name))
    const { config } = loadConfig({ preset: file, file: null, set: [], options: {} })
    expect(config.method).toBe('re2')
    expect(readFileSync(file, 'utf8')).toContain(`--preset ${name} `)
    const bounds = defaultThresholds(config.prompt.max_words)
    expect([config.collect.min_words, config.collect.max_words]).toEqual([bounds.minWords, bounds.maxWords])
  })

  it('re2-small-cpu has the numbers it promises', () => {
    const { config } = loadConfig({
      preset: fileURLToPath(re2Preset('re2-small-cpu')),
      file: null,
      set: [],
      options: {},
    })
    const { prompt, collect, sft, rl, eval: evaluation } = config
    expect([prompt.max_words, collect.max_new, collect.k_free, collect.k_hint, sft.epochs, sft.rank]).toEqual(
      [60, 128, 4, 2, 1, 16],
    )
    expect([rl.steps, rl.prompts, rl.group, rl.answer, evaluation.instances]).toEqual([
      30,
      16,
      8,
      'constrained',
      500,
    ])
  })
})

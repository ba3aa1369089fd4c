import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { seeded } from '../../../src/data/random.js'
import { inspectSafetensors } from '../../../src/engine/index.js'
import { parseTrace } from '../../../src/methods/r2rec/interaction-of-thoughts.js'
import { re2 } from '../../../src/methods/re2/index.js'
import { Encoding } from '../../../src/phases/run/encoding.js'
import { Tokenizer } from '../../../src/prompts/tokenizer.js'
import { catalogueDataset } from '../../../src/quickstart/dataset.js'
import { embeddedModelFolder } from '../../../src/quickstart/embedded.js'
import { writeBfloat16 } from '../../../src/quickstart/pretraining/bfloat16.js'
import { kinds, Shelves } from '../../../src/quickstart/pretraining/draws.js'
import { R2RecForms } from '../../../src/quickstart/pretraining/r2rec-forms.js'
import { Re2Forms } from '../../../src/quickstart/pretraining/re2-forms.js'
import { type Stage, stageRate, stages } from '../../../src/quickstart/pretraining/recipe.js'
import { SkillTexts, skillKinds } from '../../../src/quickstart/pretraining/skills.js'
import { type WeighedText, Writer } from '../../../src/quickstart/pretraining/writer.js'
import { everyTitle, World, worldSeed } from '../../../src/quickstart/world.js'

const titles = everyTitle()
const dataset = catalogueDataset(titles)
const tokenizer = await Tokenizer.open(embeddedModelFolder())
const method = re2({ maxWords: 20, wording: 'compact' })
const shelves = new Shelves(titles)
const writer = new Writer(dataset, shelves, new Encoding(dataset, method, tokenizer))
const skills = new SkillTexts(writer)
const re2Forms = new Re2Forms(writer)
const r2recForms = new R2RecForms(writer)
const { skills: mixture, form } = stages.at(-1) as Stage

/** Text with brackets around what is learnt. */
function marked({ ids, weights }: WeighedText): string {
  let text = ''
  ids.forEach((id, place) => {
    const learnt = weights[place] === 1
    if (learnt && weights[place - 1] !== 1) text += '['
    text += tokenizer.decode([id])
    if (learnt && weights[place + 1] !== 1) text += ']'
  })
  return text
}

function itemCalled(title: string): number {
  return titles.findIndex((item) => item.title === title)
}

describe('texts of pre-training', () => {
  it('are the same for the same seed', () => {
    const drawn = () => [
      ...Array.from({ length: 20 }, (_, k) => skills.draw(mixture, seeded(1, k))),
      re2Forms.draw(form, false, seeded(1, 'a')),
      r2recForms.ranking(form, false, seeded(1, 'a')),
      r2recForms.rating(form, false, seeded(1, 'a')),
    ]
    expect(drawn()).toEqual(drawn())
    expect(new Set(drawn().map(marked)).size).toBe(23)
  })

  it('write responses that RE2 reads, learning nothing of the prompt', () => {
    for (let k = 0; k < 50; k++) {
      const text = marked(re2Forms.draw(form, false, seeded(2, k)))
      const [, prompt = '', response = ''] = /^([^[]*)\[([^\]]*)\]$/.exec(text) ?? []
      expect(prompt).toMatch(/^history\n(\+ \w+ \w+\n){8}choose\n(- \w+ \w+\n){20}explain\n\n$/)
      const listed = [...prompt.matchAll(/- (\w+ \w+)/g)].map((match) => match[1])
      const candidates = listed.map((title) => dataset.items.findIndex((item) => item.title.text === title))
      const instance = { id: 'x', user: 'x', history: [], target: candidates[0] as number, candidates }
      const parsed = method.parse(dataset, instance, response.replace('<|end|>', ''))
      expect(parsed.item).not.toBeNull()
      expect(parsed.reasoning).toMatch(/^likes \w+\n\+ \w+ \w+\nand \w+\n\+ \w+ \w+\nso \w+ \w+$/)
    }
  })

  it('name the candidate that matches best where they are told to match', () => {
    for (let k = 0; k < 50; k++) {
      const text = tokenizer.decode(re2Forms.draw({ ...form, match: 1 }, false, seeded(3, k)).ids)
      const [, first = '', second = '', answer = ''] =
        /so (\w+) (\w+)<\/think><answer>([^<]*)/.exec(text) ?? []
      const candidates = [...text.matchAll(/- (\w+ \w+)/g)].map((match) => itemCalled(match[1] as string))
      expect(shelves.best(candidates, first, second)).toContain(itemCalled(answer))
    }
  })

  it('teach one skill a sequence, in the shares of the mixture', () => {
    const shape = {
      facts: /^\w+ \w+ is\[/,
      common: /^history(\n\+ \w+ \w+)+\ncommon\[ \w+\n\]/,
      copy: /^history\[(\n\+ \w+ \w+)+\nchoose(\n- \w+ \w+)+\n\]$/,
      lookUp: /choose(\n- \w+ \w+)+\nso \w+( \w+)?<\/think><answer>\[\w+ \w+<\/answer>\]/,
      ranking: /choose(\nC\d\d \w+ \w+)+\nso \w+( \w+)?<\/think><answer>\[C\d\d > C\d\d > C\d\d<\/answer>\]/,
    }
    const count = 600
    const drawn = Array.from({ length: count }, (_, k) => marked(skills.draw(mixture, seeded(5, k))))
    for (const kind of skillKinds) {
      const share = drawn.filter((text) => shape[kind].test(text)).length / count
      const wanted = mixture.shares[kind]
      // Four standard errors.
      expect(Math.abs(share - wanted), kind).toBeLessThan(4 * Math.sqrt((wanted * (1 - wanted)) / count))
    }
    expect(Object.values(mixture.shares).reduce((sum, share) => sum + share, 0)).toBeCloseTo(1)
  })

  it('walk a shown chain with its own ratings and rank by the values that were named', () => {
    let chains = 0
    for (let k = 0; k < 80; k++) {
      const text = marked(r2recForms.ranking(form, false, seeded(6, k)))
      const [, prompt = '', thought = '', answer = ''] =
        /^([^[]*)\[<think>([^<]*)<\/think><answer>([^<]*)<\/answer><\|end\|>\]$/.exec(text) ?? []
      expect(prompt).toMatch(
        /^history(\n\+ \w+ \w+ [1-5]){5}(\nchain(\n[ab] \w+ \w+ [1-5]){4}){0,3}\nchoose(\nC\d\d \w+ \w+){20}\nexplain\n\n$/,
      )
      const walked =
        /^1 (\w+ \w+ [1-5]) likes \w+ \w+\n2 (\w+ \w+ [1-5]) (agree|differ)\n3 (\w+ \w+ [1-5]) likes \w+ \w+\n4 (\w+ \w+ [1-5]) so \w+ \w+$/.exec(
          thought,
        )
      if (walked) {
        const [, one = '', two = '', verdict, three = '', four = ''] = walked
        expect(prompt).toContain(`\nchain\na ${one}\nb ${two}\nb ${three}\na ${four}\n`)
        expect(verdict).toBe(Math.abs(Number(one.at(-1)) - Number(two.at(-1))) <= 1 ? 'agree' : 'differ')
        chains++
      } else {
        expect(prompt).not.toContain('chain')
        expect(thought).toMatch(/^1 \w+ \w+ [1-5] likes \w+ \w+\n4 \w+ \w+ [1-5] so \w+ \w+$/)
      }
      const [, first = '', second = ''] = /so (\w+) (\w+)$/.exec(thought) ?? []
      const candidates = [...prompt.matchAll(/C\d\d (\w+ \w+)/g)].map((match) =>
        itemCalled(match[1] as string),
      )
      const scores = candidates.map((item) => shelves.match(item, first, second))
      const instance = { id: 'x', user: 'x', history: [], target: candidates[0] as number, candidates }
      const response = `<think>${thought}</think><answer>${answer}</answer>`
      expect(parseTrace(dataset, instance, response, true).ranking).toHaveLength(3)
      expect(tokenizer.encodeParts([answer])).toEqual(
        tokenizer.encodeParts(answer.split(/( > )/).filter((part) => part !== '')),
      )
      const named = answer.split(' > ').map((name) => scores[Number(name.slice(1)) - 1])
      expect(named).toEqual([...scores].sort((a, b) => b - a).slice(0, 3))
    }
    expect(chains).toBeGreaterThan(40)
  })

  it('hide the rating that is asked for, and name what the two titles of a chain share', () => {
    for (let k = 0; k < 60; k++) {
      const text = marked(r2recForms.rating(form, false, seeded(7, k)))
      const asked =
        /\nchain\na (\w+ \w+) ([1-5])\nb \1 ([1-5])\nb (\w+ \w+) ([1-5])\na \4 \?\nrate\n\n\[/.exec(text)
      expect(asked, text).not.toBeNull()
      const [, first = '', own, other, second = '', theirs] = asked ?? []
      const [, named = '', answer] =
        /\n4 \w+ \w+ so ([\w ]+)<\/think><answer>([1-5])<\/answer>/.exec(text) ?? []
      expect([own, other, theirs]).toContain(answer)
      const shared = kinds
        .map((kind) => shelves.value(itemCalled(first), kind))
        .filter((value) => shelves.has(itemCalled(second), value))
      expect(named).toBe(shared.length === 0 ? 'none' : shared.join(' '))
    }
  })

  it('know no users: nothing of this folder reads one, and named titles do not follow popularity', () => {
    const folder = fileURLToPath(new URL('../../../src/quickstart/pretraining/', import.meta.url))
    for (const name of readdirSync(folder)) {
      const source = readFileSync(join(folder, name), 'utf8')
      expect(source, name).not.toMatch(/\.user\(|embeddedDataset|nextProbabilities|WorldUser|popularity/)
    }
    expect(dataset.trainInteractions).toEqual([])
    expect(dataset.userItems).toBeUndefined()
    const popular = new Set(
      new World(worldSeed).items
        .map(({ title, popularity }) => ({ title, popularity }))
        .sort((a, b) => b.popularity - a.popularity)
        .slice(0, 100)
        .map(({ title }) => title),
    )
    const count = 1500
    const named = Array.from({ length: count }, (_, k) =>
      tokenizer.decode(re2Forms.draw(form, true, seeded(4, k)).ids),
    )
    const share = named.filter((text) => popular.has(/<answer>([^<]*)/.exec(text)?.[1] ?? '')).length / count
    // 100 of 2304 titles; four standard errors.
    const expected = 100 / titles.length
    expect(Math.abs(share - expected)).toBeLessThan(4 * Math.sqrt(expected / count))
  })

  it('have a rate that rises, stays, and falls to its last value', () => {
    const stage = {
      ...(stages[0] as Stage),
      steps: 100,
      rate: { peak: 1, warmup: 10, decline: 0.5, last: 0.1 },
    }
    expect(stageRate(stage, 0)).toBeCloseTo(0.1)
    expect(stageRate(stage, 30)).toBe(1)
    expect(stageRate(stage, 75)).toBeCloseTo(0.55)
    expect(stageRate(stage, 100)).toBeCloseTo(0.1)
  })
})

describe('weights in bf16', () => {
  it('are rounded to nearest, ties to even', () => {
    const folder = mkdtempSync(join(tmpdir(), 'bfloat16-'))
    const [from, to] = [join(folder, 'a.safetensors'), join(folder, 'b.safetensors')]
    const values = Float32Array.of(1, 1 + 2 ** -8, 1 + 3 * 2 ** -8, -2.3415927, 0, 1 + 2 ** -8 + 2 ** -20)
    const header = Buffer.from(
      JSON.stringify({ x: { dtype: 'F32', shape: [6], data_offsets: [0, 24] } }).padEnd(64),
    )
    const length = Buffer.alloc(8)
    length.writeBigUInt64LE(64n)
    writeFileSync(from, Buffer.concat([length, header, Buffer.from(values.buffer)]))
    writeBfloat16(from, to)
    expect(inspectSafetensors(to)).toEqual([{ name: 'x', dtype: 'BF16', shape: [6] }])
    const file = readFileSync(to)
    const data = file.subarray(8 + Number(file.readBigUInt64LE(0)))
    const read = Array.from({ length: 6 }, (_, k) => {
      const bits = Buffer.alloc(4)
      bits.writeUInt16LE(data.readUInt16LE(2 * k), 2)
      return bits.readFloatLE(0)
    })
    expect(read).toEqual([1, 1, 1 + 2 ** -6, -2.34375, 0, 1 + 2 ** -7])
    rmSync(folder, { recursive: true })
  })
})

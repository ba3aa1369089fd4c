import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { seeded } from '../../../src/data/random.js'
import { inspectSafetensors } from '../../../src/engine/index.js'
import { re2 } from '../../../src/methods/re2/index.js'
import { Encoding } from '../../../src/phases/encoding.js'
import { Tokenizer } from '../../../src/prompts/tokenizer.js'
import { catalogueDataset } from '../../../src/quickstart/dataset.js'
import { embeddedModelFolder } from '../../../src/quickstart/embedded.js'
import { writeBfloat16 } from '../../../src/quickstart/pretraining/bfloat16.js'
import { Shelves } from '../../../src/quickstart/pretraining/draws.js'
import { type Stage, stageRate, stages } from '../../../src/quickstart/pretraining/recipe.js'
import { PretrainingTexts } from '../../../src/quickstart/pretraining/texts.js'
import { everyTitle, World, worldSeed } from '../../../src/quickstart/world.js'

const titles = everyTitle()
const dataset = catalogueDataset(titles)
const tokenizer = await Tokenizer.open(embeddedModelFolder())
const method = re2({ maxWords: 20, wording: 'compact' })
const texts = new PretrainingTexts(dataset, titles, new Encoding(dataset, method, tokenizer))
const mixture = (stages[1] as Stage).mixture

/** Text with brackets around what is learnt. */
function marked({ ids, weights }: ReturnType<typeof texts.skills>): string {
  let text = ''
  ids.forEach((id, place) => {
    const learnt = weights[place] === 1
    if (learnt && weights[place - 1] !== 1) text += '['
    text += tokenizer.decode([id])
    if (learnt && weights[place + 1] !== 1) text += ']'
  })
  return text
}

describe('texts of pre-training', () => {
  it('are the same for the same seed', () => {
    expect(texts.skills(mixture, seeded(1, 'a'))).toEqual(texts.skills(mixture, seeded(1, 'a')))
    expect(texts.form(mixture, false, seeded(1, 'a'))).toEqual(texts.form(mixture, false, seeded(1, 'a')))
  })

  it('write responses that RE2 reads, learning nothing of the prompt', () => {
    for (let k = 0; k < 50; k++) {
      const text = marked(texts.form(mixture, false, seeded(2, k)))
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
    const shelves = new Shelves(titles)
    const always = { ...mixture, match: 1 }
    for (let k = 0; k < 50; k++) {
      const text = tokenizer.decode(texts.form(always, false, seeded(3, k)).ids)
      const [, first = '', second = '', answer = ''] =
        /so (\w+) (\w+)<\/think><answer>([^<]*)/.exec(text) ?? []
      const indexOf = (title: string) => titles.findIndex((item) => item.title === title)
      const candidates = [...text.matchAll(/- (\w+ \w+)/g)].map((match) => indexOf(match[1] as string))
      expect(shelves.best(candidates, first, second)).toContain(indexOf(answer))
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
      tokenizer.decode(texts.form(mixture, true, seeded(4, k)).ids),
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

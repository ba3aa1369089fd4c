/**
 * Adapters of the real peft, and ours in the real peft (test/fixtures/peft, made by its make.py): every honoured
 * variant of adapter_config.json gives peft's logits, every other one is refused by name, and what this project
 * writes is byte for byte what peft loaded when the expected values were made.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import {
  Adapter,
  Model,
  ReasonrecError,
  sequenceLogprobs as stacked,
  Trainer,
} from '../../src/engine/index.js'
import { makeOurs, ours } from '../fixtures/peft/make-ours.js'
import { loadAdapter, sequenceLogprobs } from './engine.js'
import { readJson, readTensors, Tally, tensor } from './reference.js'

const fixtures = fileURLToPath(new URL('../fixtures/peft', import.meta.url))
const expected = readTensors(fixtures, 'expected.safetensors')
const { sequences, refused } = readJson<{
  readonly sequences: readonly (readonly number[])[]
  readonly refused: Readonly<Record<string, object>>
}>(fixtures, 'cases.json')
/** Float32 against peft's float64: the bound of the project's goal; rounding alone is below 2e-6 here. */
const atol = 1e-5
const tally = new Tally('peft')
const scratch = mkdtempSync(join(tmpdir(), 'reasonrec-peft-'))
afterAll(() => rmSync(scratch, { recursive: true }))

const modelOf = (name: string) => Model.open(join(fixtures, 'models', name))

async function compare(key: string, model: Model, adapter: Adapter | null): Promise<void> {
  const { logits } = await sequenceLogprobs(model, adapter, sequences, true)
  sequences.forEach((_, at) => {
    tally.compare(`${key}.${at}`, logits[at]!, tensor(expected, `${key}.${at}`), atol)
  })
  tally.case()
}

describe('adapters and the real peft', () => {
  it.each(readdirSync(join(fixtures, 'models')))('base model %s', async (name) => {
    await compare(`base.${name}`, await modelOf(name), null)
  })

  it.each(readdirSync(join(fixtures, 'made-by-peft')))('made by peft: %s', async (name) => {
    const model = await modelOf(extname(name).slice(1))
    await compare(
      `made-by-peft.${name}`,
      model,
      await loadAdapter(model, join(fixtures, 'made-by-peft', name)),
    )
  })

  it.each(readdirSync(join(fixtures, 'made-by-peft')))('written again it acts the same: %s', async (name) => {
    const model = await modelOf(extname(name).slice(1))
    const adapter = await loadAdapter(model, join(fixtures, 'made-by-peft', name))
    const copy = join(scratch, name)
    await adapter.save(copy, { baseModel: 'tiny' })
    const again = await loadAdapter(model, copy)
    expect(again.values()).toEqual(adapter.values())
    expect(again.config).toEqual(adapter.config)
    await compare(`made-by-peft.${name}`, model, again)
  })

  it('what this project writes is what peft was given', async () => {
    const folder = join(scratch, 'made-here')
    await makeOurs(folder)
    for (const name of Object.keys(ours))
      for (const file of ['adapter_config.json', 'adapter_model.safetensors'])
        expect(readFileSync(join(folder, name, file)), `${name}/${file}`).toEqual(
          readFileSync(join(fixtures, 'made-here', name, file)),
        )
  })

  it.each(readdirSync(join(fixtures, 'made-here')))('made here, logits of peft: %s', async (name) => {
    const model = await modelOf(extname(name).slice(1))
    await compare(`made-here.${name}`, model, await loadAdapter(model, join(fixtures, 'made-here', name)))
  })

  it('one adapter of two acts like both, whatever their modules', async () => {
    const model = await modelOf('llama')
    const [first, second] = await Promise.all(
      ['rank-pattern.llama', 'layers.llama'].map((name) =>
        loadAdapter(model, join(fixtures, 'made-by-peft', name)),
      ),
    )
    const joined = await Adapter.concatenate(model, first!, second!)
    const both = await sequenceLogprobs(model, joined, sequences, true)
    const pair = await stacked(model, { frozen: first!, trained: second! }, sequences, { logits: true })
    both.logits.forEach((logits, at) => {
      tally.compare('concatenated', logits, pair.logits![at]!, atol)
    })
  })

  it('gradients of mixed ranks agree with finite differences', async () => {
    const model = await modelOf('llama')
    const adapter = await loadAdapter(model, join(fixtures, 'made-by-peft', 'rank-pattern.llama'))
    const [ids = []] = sequences
    const batch = [
      { ids: Int32Array.from(ids), weights: Float32Array.from(ids, (_, t) => (t === 0 ? 0 : 1)) },
    ]
    const trainer = await Trainer.forAdapter(model, { adapter, tokenBudget: 64 })
    await trainer.accumulateSft(batch, 1)
    const gradients = trainer.gradients()
    const start = adapter.values()
    const h = 2 ** -6 // the loss is a float32 sum of about 20: rounding below 4e-6 / h, curvature below 3e-3
    for (const { name, offset, rows, cols } of trainer.layout()) {
      const at = offset + ((7 * cols) % (rows * cols)) + (cols > 1 ? 1 : 0)
      const loss = async (shift: number): Promise<number> => {
        adapter.setValues(start.map((value, index) => (index === at ? value + shift : value)))
        return (await Trainer.forAdapter(model, { adapter, tokenBudget: 64 }))
          .accumulateSft(batch, 1)
          .then((result) => result.loss)
      }
      const difference = ((await loss(h)) - (await loss(-h))) / (2 * h)
      tally.compare(name, [gradients[at]!], [difference], 5e-3 * Math.max(1, Math.abs(difference)))
    }
  })

  it.each(Object.entries(refused))('refused by name: %s', async (name, config) => {
    const dir = join(scratch, `refused-${name}`)
    mkdirSync(dir)
    writeFileSync(join(dir, 'adapter_config.json'), JSON.stringify(config))
    const error = await loadAdapter(await modelOf('llama'), dir).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(ReasonrecError)
    expect((error as ReasonrecError).code).toBe('RR_UNSUPPORTED_ADAPTER')
    const plain = { head: 'lm_head', embedding: 'embed_tokens', dora: 'dora', pissa: 'pissa', olora: 'olora' }
    const key = (plain as Record<string, string>)[name] ?? name.split('-')[0]!
    expect((error as ReasonrecError).toLine()).toContain(key)
    expect((error as ReasonrecError).toLine()).not.toContain('\n')
  })
})

/** Malformed adapter folders: every class is refused in one line, at once, with nothing changed and little allocated. */

import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Adapter, Model } from '../../../src/engine/index.js'
import { expectRefusal } from '../../fixtures/refusal.js'

const peft = fileURLToPath(new URL('../../fixtures/peft', import.meta.url))
const sound = path.join(peft, 'made-by-peft', 'list.llama')
const scratch = mkdtempSync(path.join(tmpdir(), 'reasonrec-malformed-'))
afterAll(() => rmSync(scratch, { recursive: true }))

let model: Model
beforeAll(async () => {
  model = await Model.open(path.join(peft, 'models', 'llama'))
})

function copy(): string {
  const dir = mkdtempSync(path.join(scratch, 'adapter-'))
  cpSync(sound, dir, { recursive: true })
  return dir
}

const soundConfig = JSON.parse(readFileSync(path.join(sound, 'adapter_config.json'), 'utf8')) as object
const unsupported = 'RR_UNSUPPORTED_ADAPTER'

describe('adapter_config.json', () => {
  const texts: [string, string | Buffer, RegExp][] = [
    ['an empty file', '', /JSON/],
    ['half a file', '{"peft_type": "LORA", "r":', /JSON/],
    ['a list', '[]', /LoRA configuration/],
    ['null', 'null', /LoRA configuration/],
    ['a Git LFS pointer', 'version https://git-lfs.github.com/spec/v1\noid sha256:0', /Git LFS pointer/],
    ['a web page', '<!DOCTYPE html><html></html>', /JSON/],
    ['UTF-16', Buffer.from(JSON.stringify(soundConfig), 'utf16le'), /JSON/],
    ['zeros', Buffer.alloc(4096), /JSON/],
    ['deep nesting', `{"a":${'['.repeat(20_000)}${']'.repeat(20_000)}}`, /./],
    ['megabytes of blanks', ' '.repeat(5_000_000), /at most 4000000 bytes/],
  ]
  it.each(texts)('%s', async (_what, text, says) => {
    const dir = copy()
    writeFileSync(path.join(dir, 'adapter_config.json'), text)
    await expectRefusal(dir, () => Adapter.load(model, dir), unsupported, says)
  })

  const changes: [string, object, RegExp][] = [
    ['no peft_type', { peft_type: undefined }, /peft_type/],
    ['another kind of adapter', { peft_type: 'IA3' }, /IA3/],
    ['no rank', { r: undefined }, /\br:/],
    ['rank 0', { r: 0 }, /\br:/],
    ['a negative rank', { r: -4 }, /\br:/],
    ['a fraction as rank', { r: 2.5 }, /\br:/],
    ['a text as rank', { r: '2' }, /\br:/],
    ['an enormous rank', { r: 2 ** 31 }, /\br:/],
    ['alpha 0', { lora_alpha: 0 }, /lora_alpha/],
    ['an infinite alpha', { lora_alpha: 1e308 }, /lora_alpha/],
    ['dropout 1', { lora_dropout: 1 }, /lora_dropout/],
    ['a negative dropout', { lora_dropout: -0.1 }, /lora_dropout/],
    ['no targets', { target_modules: undefined }, /target_modules/],
    ['empty targets', { target_modules: [] }, /target_modules/],
    ['a number among the targets', { target_modules: ['q_proj', 3] }, /target_modules/],
    ['targets that match nothing', { target_modules: ['c_attn'] }, /c_attn/],
    ['an empty pattern', { target_modules: '' }, /target_modules/],
    ['a pattern that does not parse', { target_modules: '(q_proj' }, /\(q_proj/],
    ['a pattern of Python alone', { target_modules: '(?P<x>.*)q_proj' }, /both languages/],
    ['a pattern that takes for ever', { target_modules: '(.*a?)+(q_proj|x)+$' }, /repeats/],
    ['the same, hidden by a class and an escape', { target_modules: '([^)]\\)*(a+))*q' }, /repeats/],
    ['an enormous pattern', { target_modules: 'q'.repeat(20_000) }, /longer than/],
    ['an exclusion that takes for ever', { exclude_modules: '(a*)*b' }, /repeats/],
    ['an exclusion of everything', { exclude_modules: '.*' }, /target_modules/],
    ['layers that are not there', { layers_to_transform: [99] }, /target_modules/],
    ['a negative layer', { layers_to_transform: [-1] }, /layers_to_transform/],
    ['a layer folder that is not there', { layers_to_transform: [0], layers_pattern: 'h' }, /target_modules/],
    ['rank 0 in rank_pattern', { rank_pattern: { q_proj: 0 } }, /rank_pattern/],
    ['a text in alpha_pattern', { alpha_pattern: { q_proj: 'x' } }, /alpha_pattern/],
    ['a rank_pattern that takes for ever', { rank_pattern: { '(q+)+': 2 } }, /repeats/],
    ['a rank_pattern that is a list', { rank_pattern: ['q_proj'] }, /rank_pattern/],
    ['an unknown key that says something', { new_feature: { on: 1 } }, /new_feature/],
    ['a key of control characters', { 'x\n\u001b[31m': 1 }, /x/],
    ['embeddings', { target_modules: ['embed_tokens', 'q_proj'] }, /embed_tokens/],
    ['a start that changes the base', { init_lora_weights: 'corda' }, /corda/],
  ]
  it.each(changes)('%s', async (_what, change, says) => {
    const dir = copy()
    writeFileSync(path.join(dir, 'adapter_config.json'), JSON.stringify({ ...soundConfig, ...change }))
    await expectRefusal(dir, () => Adapter.load(model, dir), unsupported, says)
  })

  it('a pattern that is slow without a nested repetition ends by the clock', async () => {
    const dir = copy()
    const slow = `${'.*'.repeat(25)}!`
    writeFileSync(
      path.join(dir, 'adapter_config.json'),
      JSON.stringify({ ...soundConfig, target_modules: slow }),
    )
    await expectRefusal(dir, () => Adapter.load(model, dir), unsupported, /too long/, 3_000)
  })

  it.each([
    ['missing', (file: string) => rmSync(file)],
    [
      'a folder',
      (file: string) => {
        rmSync(file)
        mkdirSync(file)
      },
    ],
    [
      'a pipe',
      (file: string) => {
        rmSync(file)
        execFileSync('mkfifo', [file])
      },
    ],
    [
      'a link to nothing',
      (file: string) => {
        rmSync(file)
        symlinkSync('/nowhere/at/all', file)
      },
    ],
  ])('that is %s', async (_what, damage) => {
    for (const name of ['adapter_config.json', 'adapter_model.safetensors']) {
      const dir = copy()
      damage(path.join(dir, name))
      await expectRefusal(dir, () => Adapter.load(model, dir), 'RR_ADAPTER_NOT_FOUND', new RegExp(name))
    }
  })
})

describe('adapter_model.safetensors', () => {
  const bytes = readFileSync(path.join(sound, 'adapter_model.safetensors'))
  const headerLength = Number(bytes.readBigUInt64LE(0))
  type Header = Record<string, { dtype: string; shape: number[]; data_offsets: number[] }>
  const data = bytes.subarray(8 + headerLength)
  const first = 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight'

  function file(header: string, body: Buffer = data, claimed?: bigint): Buffer {
    const length = Buffer.alloc(8)
    length.writeBigUInt64LE(claimed ?? BigInt(Buffer.byteLength(header)))
    return Buffer.concat([length, Buffer.from(header), body])
  }
  function edited(change: (header: Header) => void): Buffer {
    const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerLength)) as Header
    change(header)
    return file(JSON.stringify(header))
  }
  const value = (index: number, number: number): Buffer => {
    const changed = Buffer.from(bytes)
    changed.writeFloatLE(number, 8 + headerLength + 4 * index)
    return changed
  }
  const text = bytes.toString('utf8', 8, 8 + headerLength)
  const bad = 'RR_BAD_SAFETENSORS'

  const cases: [string, Buffer, string][] = [
    ['empty', Buffer.alloc(0), bad],
    ['seven bytes', bytes.subarray(0, 7), bad],
    ['a header and nothing else', bytes.subarray(0, 8 + headerLength), bad],
    ['half the data', bytes.subarray(0, bytes.length - 100), bad],
    ['bytes after the data', Buffer.concat([bytes, Buffer.alloc(8)]), bad],
    ['a header longer than the file', file(text, data, 2n ** 40n), bad],
    ['a header length of all ones', file(text, data, 2n ** 64n - 1n), bad],
    ['a header that is no JSON', file('x'.repeat(64)), bad],
    ['a header of another kind', file('[1, 2]'), bad],
    ['a pickle', Buffer.concat([Buffer.from([0x80, 2]), bytes.subarray(2)]), bad],
    ['a zip', Buffer.concat([Buffer.from('PK\u0003\u0004'), bytes.subarray(4)]), bad],
    [
      'a tensor twice',
      file(text.replace(/^\{/, `{"${first}":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},`)),
      bad,
    ],
    ['offsets backwards', edited((h) => h[first]!.data_offsets.reverse()), bad],
    ['offsets that overlap', edited((h) => (h[first]!.data_offsets = [4, 68])), bad],
    ['offsets beyond the file', edited((h) => (h[first]!.data_offsets = [1e12, 1e12 + 64])), bad],
    ['a shape that overflows', edited((h) => (h[first]!.shape = [2 ** 32, 2 ** 32, 2 ** 32])), bad],
    ['a negative dimension', edited((h) => (h[first]!.shape = [-2, -8])), bad],
    ['an unknown type', edited((h) => (h[first]!.dtype = 'F4')), bad],
    ['whole numbers', edited((h) => (h[first]!.dtype = 'I32')), 'RR_BAD_DTYPE'],
    ['another shape', edited((h) => h[first]!.shape.reverse()), 'RR_SHAPE_MISMATCH'],
    ['three dimensions', edited((h) => h[first]!.shape.push(1)), 'RR_SHAPE_MISMATCH'],
    [
      'another name',
      edited((h) => {
        h['base_model.model.lm_head.weight'] = h[first]!
        delete h[first]
      }),
      'RR_MISSING_TENSOR',
    ],
    [
      'names of a training checkpoint',
      file(text.replaceAll('.lora_A.weight', '.lora_A.default.weight')),
      'RR_MISSING_TENSOR',
    ],
    ['NaN', value(5, Number.NaN), 'RR_NON_FINITE_WEIGHTS'],
    ['infinity', value(0, Number.NEGATIVE_INFINITY), 'RR_NON_FINITE_WEIGHTS'],
  ]
  it.each(cases)('%s', async (_what, content, code) => {
    const dir = copy()
    writeFileSync(path.join(dir, 'adapter_model.safetensors'), content)
    await expectRefusal(dir, () => Adapter.load(model, dir), code, /./)
  })

  it('a pickle in its place says how to convert it', async () => {
    const dir = copy()
    rmSync(path.join(dir, 'adapter_model.safetensors'))
    writeFileSync(path.join(dir, 'adapter_model.bin'), 'x')
    await expectRefusal(dir, () => Adapter.load(model, dir), 'RR_PICKLE_REFUSED', /safe_serialization/)
  })

  it('a rank that the file does not have is refused before memory is taken for it', async () => {
    const dir = copy()
    const config = { ...soundConfig, r: 4096, target_modules: 'all-linear' }
    writeFileSync(path.join(dir, 'adapter_config.json'), JSON.stringify(config))
    const wide = await Model.random(
      { ...model.config, hidden: 256, intermediate: 1024, headDim: 128 },
      1n,
      0.1,
    )
    const before = process.memoryUsage().rss
    await expectRefusal(dir, () => Adapter.load(wide, dir), 'RR_MISSING_TENSOR|RR_SHAPE_MISMATCH', /./)
    // An adapter of that rank is 4096 x 3 x 7 pairs of about 800: 270 MB.
    expect(process.memoryUsage().rss - before).toBeLessThan(50_000_000)
  })
})

import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  Adapter,
  inspectSafetensors,
  type JobProgress,
  Model,
  ReasonrecError,
  sequenceLogprobs,
  weightFiles,
} from '../../../src/engine/index.js'
import { someIds, tinyConfig, tinyModel } from './tiny-model.js'

const folder = mkdtempSync(path.join(os.tmpdir(), 'reasonrec-model-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const config = {
  model_type: 'qwen3',
  hidden_size: 64,
  intermediate_size: 96,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 16,
  vocab_size: 300,
  max_position_embeddings: 2048,
  rms_norm_eps: 1e-6,
  tie_word_embeddings: true,
}

/** A folder with a config and the named files. */
function folderWith(name: string, contents: Readonly<Record<string, string>>): string {
  const dir = path.join(folder, name)
  mkdirSync(dir)
  writeFileSync(path.join(dir, 'config.json'), JSON.stringify(config))
  for (const [file, text] of Object.entries(contents)) writeFileSync(path.join(dir, file), text)
  return dir
}

async function refusal(open: () => unknown): Promise<ReasonrecError> {
  try {
    await open()
  } catch (error) {
    if (error instanceof ReasonrecError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

describe('a model folder', () => {
  let model: Model
  let dir: string
  beforeAll(async () => {
    model = await tinyModel()
    dir = folderWith('saved', {})
    await model.save(path.join(dir, 'model.safetensors'))
  })

  it('is opened again with the same bits, counting its tensors', async () => {
    const seen: JobProgress[] = []
    const opened = await Model.open(dir, { onProgress: (progress) => seen.push(progress) })
    const tensors = inspectSafetensors(path.join(dir, 'model.safetensors')).length
    expect(seen.at(-1)).toMatchObject({ done: tensors, total: tensors })
    expect(opened.config).toEqual(tinyConfig)
    expect(opened.parameters).toBe(model.parameters)
    const ids = someIds(40)
    const [first, second] = [
      await sequenceLogprobs(model, {}, [ids]),
      await sequenceLogprobs(opened, {}, [ids]),
    ]
    expect(second.logprobs).toEqual(first.logprobs)
    expect(second.entropies).toEqual(first.entropies)
  })

  it('lists names, dtypes and shapes', () => {
    const tensors = inspectSafetensors(path.join(dir, 'model.safetensors'))
    expect(tensors).toContainEqual({ name: 'model.embed_tokens.weight', dtype: 'F32', shape: [300, 64] })
    expect(tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)).toBe(
      model.parameters,
    )
  })

  it('is refused when weights are truncated', async () => {
    const broken = folderWith('truncated', {})
    const file = path.join(broken, 'model.safetensors')
    writeFileSync(file, readFileSync(path.join(dir, 'model.safetensors')))
    truncateSync(file, 5000)
    expect((await refusal(() => Model.open(broken))).code).toBe('RR_BAD_SAFETENSORS')
  })

  it.each([
    ['pytorch_model.bin', 'RR_PICKLE_REFUSED'],
    ['consolidated.00.pth', 'RR_PICKLE_REFUSED'],
    ['model.pt', 'RR_PICKLE_REFUSED'],
    ['model.ckpt', 'RR_PICKLE_REFUSED'],
    ['model.pickle', 'RR_PICKLE_REFUSED'],
    ['README.md', 'RR_MODEL_FILE_MISSING'],
    ['adapter_model.safetensors', 'RR_MODEL_FILE_MISSING'],
  ])('with only %s is refused with %s', async (file, code) => {
    const error = await refusal(() => Model.open(folderWith(`only-${file}`, { [file]: 'x' })))
    expect(error.code).toBe(code)
    if (code === 'RR_PICKLE_REFUSED') expect(error.details.remedy).toContain('safe_serialization=True')
  })

  it.each([
    ['../outside.safetensors'],
    ['/etc/hostname'],
    ['a/b.safetensors'],
    ['..'],
    ['.hidden.safetensors'],
    ['weights.bin'],
    ['a\\b.safetensors'],
  ])('whose index names %s is refused', async (name) => {
    const index = JSON.stringify({ weight_map: { 'model.norm.weight': name } })
    const hostile = folderWith(`index-${Buffer.from(name).toString('hex')}`, {
      'model.safetensors.index.json': index,
    })
    expect((await refusal(() => weightFiles(hostile))).code).toBe('RR_BAD_WEIGHT_MAP')
  })

  it.each([
    ['nothing', '', 'RR_BAD_MODEL_CONFIG'],
    ['half of an object', '{"weight_map": {', 'RR_BAD_MODEL_CONFIG'],
    ['a Git LFS pointer', 'version https://git-lfs.github.com/spec/v1\noid sha256:00', 'RR_BAD_MODEL_CONFIG'],
    ['a list', '[]', 'RR_BAD_WEIGHT_MAP'],
    ['null', 'null', 'RR_BAD_WEIGHT_MAP'],
    ['no weight_map', '{"metadata": {}}', 'RR_BAD_WEIGHT_MAP'],
    ['an empty weight_map', '{"weight_map": {}}', 'RR_BAD_WEIGHT_MAP'],
    ['a weight_map that is a list', '{"weight_map": ["a.safetensors"]}', 'RR_BAD_WEIGHT_MAP'],
    ['a weight_map that is a text', '{"weight_map": "a.safetensors"}', 'RR_BAD_WEIGHT_MAP'],
    ['numbers for files', '{"weight_map": {"a": 1}}', 'RR_BAD_WEIGHT_MAP'],
    ['objects for files', '{"weight_map": {"a": {"file": "b.safetensors"}}}', 'RR_BAD_WEIGHT_MAP'],
    ['nested lists', `{"weight_map": ${'['.repeat(5000)}${']'.repeat(5000)}}`, 'RR_BAD_WEIGHT_MAP'],
    ['a name with a line end', '{"weight_map": {"a": "b\\n.safetensors/"}}', 'RR_BAD_WEIGHT_MAP'],
    ['an empty name', '{"weight_map": {"a": ""}}', 'RR_BAD_WEIGHT_MAP'],
    ['a name with a zero', '{"weight_map": {"a": "b\\u0000.safetensors"}}', 'RR_BAD_WEIGHT_MAP'],
  ])('whose index is malformed (%s) is refused in one line, at once', async (name, text, code) => {
    const hostile = folderWith(`index-${name.replaceAll(' ', '-')}`, { 'model.safetensors.index.json': text })
    const began = process.cpuUsage()
    const error = await refusal(() => weightFiles(hostile))
    const { user, system } = process.cpuUsage(began) // the processor's time: others may hold us up
    expect((user + system) / 1000).toBeLessThan(50)
    expect(error.code).toBe(code)
    expect(error.toLine()).not.toContain('\n')
    expect(error.toLine().length).toBeLessThan(600)
  })

  it('whose index names a file that is missing is refused', async () => {
    const index = JSON.stringify({ weight_map: { 'model.norm.weight': 'model-00001-of-00002.safetensors' } })
    const error = await refusal(() =>
      weightFiles(folderWith('incomplete', { 'model.safetensors.index.json': index })),
    )
    expect(error.code).toBe('RR_MODEL_FILE_MISSING')
  })

  it('follows links within the cache layout and nowhere else', async () => {
    const snapshot = path.join(folder, 'models--x', 'snapshots', 'abc')
    mkdirSync(path.join(folder, 'models--x', 'blobs'), { recursive: true })
    mkdirSync(snapshot, { recursive: true })
    writeFileSync(path.join(folder, 'models--x', 'blobs', '123'), 'x')
    symlinkSync('../../blobs/123', path.join(snapshot, 'model.safetensors'))
    expect(weightFiles(snapshot)).toHaveLength(1)
    const elsewhere = folderWith('elsewhere', {})
    symlinkSync(path.join(dir, 'model.safetensors'), path.join(elsewhere, 'model.safetensors'))
    expect((await refusal(() => weightFiles(elsewhere))).code).toBe('RR_BAD_WEIGHT_MAP')
    const directory = folderWith('directory', {})
    mkdirSync(path.join(directory, 'model.safetensors'))
    expect((await refusal(() => weightFiles(directory))).code).toBe('RR_BAD_WEIGHT_MAP')
  })

  it('that is not there is refused', async () => {
    expect((await refusal(() => Model.open(path.join(folder, 'nowhere')))).code).toBe('RR_MODEL_NOT_FOUND')
  })
})

describe('an adapter folder', () => {
  const targets = ['q_proj', 'v_proj', 'down_proj'] as const

  it('comes back with the same bits and PEFT names', async () => {
    const model = await tinyModel()
    const adapter = await Adapter.create(model, { rank: 3, alpha: 6, targets, rslora: true }, 5n)
    const values = adapter.values().map((_, i) => Math.sin(i))
    adapter.setValues(values)
    const dir = path.join(folder, 'adapter')
    await adapter.save(dir, { baseModel: 'somewhere/tiny' })
    const json = JSON.parse(readFileSync(path.join(dir, 'adapter_config.json'), 'utf8'))
    expect(json).toMatchObject({
      peft_type: 'LORA',
      task_type: 'CAUSAL_LM',
      bias: 'none',
      r: 3,
      lora_alpha: 6,
      use_rslora: true,
      target_modules: [...targets],
      base_model_name_or_path: 'somewhere/tiny',
    })
    const loaded = await Adapter.load(model, dir)
    expect(loaded.config).toEqual(adapter.config)
    expect(loaded.values()).toEqual(values)
    expect(loaded.layout()[0]!.name).toBe('base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight')
  })

  it('stacked adapters become one of the summed rank that acts like both', async () => {
    const model = await tinyModel()
    const first = await Adapter.create(model, { rank: 2, alpha: 4, targets: ['q_proj', 'down_proj'] }, 5n)
    const second = await Adapter.create(model, { rank: 3, alpha: 3, targets: ['q_proj', 'v_proj'] }, 6n)
    for (const adapter of [first, second])
      adapter.setValues(adapter.values().map((_, i) => 0.05 * Math.cos(i)))
    const both = await Adapter.concatenate(model, first, second)
    expect(both.config).toMatchObject({ rank: 5, targets: ['q_proj', 'v_proj', 'down_proj'] })
    const ids = someIds(30)
    const stacked = await sequenceLogprobs(model, { frozen: first, trained: second }, [ids])
    const one = await sequenceLogprobs(model, { trained: both }, [ids])
    const base = await sequenceLogprobs(model, {}, [ids])
    const distance = (a: Float32Array, b: Float32Array) =>
      a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), 0)
    // The same numbers added in another order: single precision over 29 log-probs of a 2-layer model.
    expect(distance(stacked.logprobs[0]!, one.logprobs[0]!)).toBeLessThan(1e-5)
    expect(distance(stacked.logprobs[0]!, base.logprobs[0]!)).toBeGreaterThan(1e-3)
  })

  it('clones share nothing', async () => {
    const model = await tinyModel()
    const adapter = await Adapter.create(model, { rank: 2, alpha: 4, targets }, 5n)
    const before = adapter.values()
    const copy = await adapter.clone()
    copy.setValues(before.map(() => 1))
    expect(adapter.values()).toEqual(before)
  })

  it.each([
    [{ use_dora: true }, 'use_dora true'],
    [{ peft_type: 'IA3' }, 'IA3'],
    [{ bias: 'all' }, 'bias all'],
    [{ rank_pattern: { q_proj: 0 } }, 'rank_pattern.q_proj'],
    [{ modules_to_save: ['lm_head'] }, 'lm_head'],
    [{ layers_to_transform: [7] }, 'q_proj'],
    [{ target_modules: ['q_proj', 'lm_head'] }, 'lm_head'],
    [{ r: 0 }, 'r'],
  ])('that the engine cannot run is refused by name: %j', async (changes, named) => {
    const dir = mkdtempSync(path.join(folder, 'peft-'))
    const json = {
      peft_type: 'LORA',
      r: 2,
      lora_alpha: 4,
      target_modules: ['q_proj'],
      bias: 'none',
      ...changes,
    }
    writeFileSync(path.join(dir, 'adapter_config.json'), JSON.stringify(json))
    const error = await refusal(async () => Adapter.load(await tinyModel(), dir))
    expect(error.code).toBe('RR_UNSUPPORTED_ADAPTER')
    expect(error.details.got).toContain(named)
  })

  it('made for another model is refused', async () => {
    const adapter = await Adapter.create(await tinyModel(), { rank: 2, alpha: 4, targets }, 5n)
    const other = await tinyModel({ layers: 3 })
    const error = await refusal(() => sequenceLogprobs(other, { trained: adapter }, [someIds(4)]))
    expect(error.code).toBe('RR_ADAPTER_MISMATCH')
  })
})

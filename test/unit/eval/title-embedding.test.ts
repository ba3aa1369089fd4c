/**
 * Grounding by a sentence-embedding model in ONNX. The model is written here byte by byte: a table of vectors, one for each
 * token, so that a text's point is the mean of its tokens' vectors and every likeness can be worked out.
 */

import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { embeddingGrounder, TextEmbedder } from '../../../src/eval/title-embedding.js'
import { Tokenizer } from '../../../src/prompts/tokenizer.js'
import { untrusted } from '../../../src/prompts/untrusted-text.js'

const folder = mkdtempSync(join(tmpdir(), 'embedding-'))
afterAll(() => rmSync(folder, { recursive: true }))
const width = 5
const titles = ['The Silent Harbour', 'Golden Orchard', 'A Silent Night', 'Paper Engine']
let tokenizer: Tokenizer
let table: Float32Array

/** Protocol buffers: a varint field, and a field of bytes. */
function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(Math.floor(value / 128))]
}
const number = (field: number, value: number): number[] => [...varint(field * 8), ...varint(value)]
function bytes(field: number, value: readonly number[] | string | Buffer): Buffer {
  const body = Buffer.from(value as string)
  return Buffer.concat([Buffer.from([...varint(field * 8 + 2), ...varint(body.length)]), body])
}
const message = (...parts: readonly (readonly number[] | Buffer)[]): Buffer =>
  Buffer.concat(parts.map((part) => Buffer.from(part as Buffer)))

/** ModelProto of last_hidden_state = Gather(table, input_ids); onnx.proto names the fields. */
function onnxModel(values: Float32Array): Buffer {
  const shape = (...names: readonly string[]): Buffer =>
    message(...names.map((name) => bytes(1, bytes(2, name))))
  const port = (name: string, type: number, ...dims: readonly string[]): Buffer =>
    message(bytes(1, name), bytes(2, bytes(1, message(number(1, type), bytes(2, shape(...dims))))))
  const [float, int64] = [1, 7]
  const weights = message(
    number(1, values.length / width),
    number(1, width),
    number(2, float),
    bytes(8, 'table'),
    bytes(9, Buffer.from(values.buffer)),
  )
  const gather = message(bytes(1, 'table'), bytes(1, 'input_ids'), bytes(2, 'hidden'), bytes(4, 'Gather'))
  const graph = message(
    bytes(1, gather),
    bytes(2, 'table of vectors'),
    bytes(5, weights),
    bytes(11, port('input_ids', int64, 'batch', 'tokens')),
    bytes(11, port('attention_mask', int64, 'batch', 'tokens')),
    bytes(12, port('hidden', float, 'batch', 'tokens', 'hidden')),
  )
  return message(number(1, 8), bytes(7, graph), bytes(8, message(bytes(1, ''), number(2, 13))))
}

beforeAll(async () => {
  cpSync(fileURLToPath(new URL('../../fixtures/tiny-model', import.meta.url)), folder, { recursive: true })
  tokenizer = await Tokenizer.open(folder)
  table = Float32Array.from({ length: tokenizer.vocabularySize * width }, (_, at) => Math.sin(at * at + 1))
  writeFileSync(join(folder, 'model.onnx'), onnxModel(table))
})

function pointOf(text: string): number[] {
  const ids = [
    ...tokenizer.encodeTrusted('', { addSpecial: true }),
    ...tokenizer.encodeUntrusted(untrusted(text).text),
  ]
  const sum = Array.from({ length: width }, (_, k) =>
    ids.reduce((total, id) => total + (table[id * width + k] as number), 0),
  )
  const length = Math.hypot(...sum)
  return sum.map((value) => value / length)
}

const installed = await import('onnxruntime-node').then(
  () => true,
  () => false,
)
if (!installed) console.log('title embedding: skipped, onnxruntime-node is not installed')

describe.skipIf(!installed)('an embedding model', () => {
  it('gives the mean of its tokens’ vectors, whatever stands beside a text in the batch', async () => {
    const embedder = await TextEmbedder.open(folder)
    const together = await embedder.embed(titles)
    for (const [place, title] of titles.entries()) {
      const alone = (await embedder.embed([title]))[0] as Float32Array
      pointOf(title).forEach((value, k) => {
        expect(together[place]?.[k]).toBeCloseTo(value, 5)
        expect(alone[k]).toBeCloseTo(value, 5)
      })
    }
  })

  it('ranks titles by likeness, an equal one first', async () => {
    const grounder = await embeddingGrounder(
      titles.map((title, id) => ({ id: `${id}`, title: untrusted(title) })),
      folder,
    )
    const text = 'Silent Orchard'
    const likeness = titles.map((title) =>
      pointOf(title).reduce((sum, value, k) => sum + value * (pointOf(text)[k] as number), 0),
    )
    const byLikeness = titles.map((_, item) => item).sort((a, b) => likeness[b]! - likeness[a]!)
    const [ranked, equal, few, none] = await grounder.rank(
      [text, 'paper engine', text, ' '],
      [null, null, new Set([0, 3]), null],
    )
    expect(ranked).toEqual(byLikeness)
    expect(equal?.[0]).toBe(3)
    expect(few).toEqual(byLikeness.filter((item) => item === 0 || item === 3))
    expect(none).toEqual([])
  })

  it('that is not there or does not run is refused in one line', async () => {
    const empty = mkdtempSync(join(folder, 'empty-'))
    await expect(TextEmbedder.open(empty)).rejects.toThrow(
      expect.objectContaining({ code: 'RR_MODEL_NOT_FOUND' }),
    )
    const broken = mkdtempSync(join(folder, 'broken-'))
    cpSync(join(folder, 'tokenizer.json'), join(broken, 'tokenizer.json'))
    writeFileSync(join(broken, 'model.onnx'), 'no model')
    const embedder = await TextEmbedder.open(broken)
    await expect(embedder.embed(['x'])).rejects.toThrow(
      expect.objectContaining({ code: 'RR_MODEL_EMBEDDING' }),
    )
  })
})

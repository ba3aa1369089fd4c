/** The tokenizer of a GGUF file gives the ids of the tokenizer.json that it was made from. */

import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { Tokenizer } from '../../../src/prompts/tokenizer.js'
import { ggufBytes, type Metadata } from '../../fixtures/gguf-writer.js'

const tiny = fileURLToPath(new URL('../../fixtures/tiny-model', import.meta.url))
const folder = mkdtempSync(path.join(os.tmpdir(), 'reasonrec-gguf-tokenizer-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const texts = [
  'Once upon a time, there was a little girl.',
  '  two  blanks\n\n\ttabs 12345 67',
  "it's we'll THEY'RE",
  'é e\u0301 漢字 🎉 ﬁ',
  '<|im_start|>system <|im_end|> <s> </s> <think>x</think>',
  '',
  ' a',
  'a ',
]

interface Json {
  readonly added_tokens: readonly { id: number; content: string; special: boolean }[]
  readonly model: {
    readonly vocab: Record<string, number>
    readonly merges: readonly (string | [string, string])[]
  }
}

/** A byte-level tokenizer.json as GGUF metadata. */
function byteLevel(dir: string, pre: string): Metadata {
  const json = JSON.parse(readFileSync(path.join(dir, 'tokenizer.json'), 'utf8')) as Json
  const entries = [
    ...Object.entries(json.model.vocab),
    ...json.added_tokens.map((t) => [t.content, t.id] as const),
  ]
  const size = Math.max(...entries.map(([, id]) => id)) + 1
  const tokens = Array.from({ length: size }, (_, id) => `[unused${id}]`)
  const types = new Int32Array(size).fill(5)
  for (const [token, id] of entries) {
    tokens[id] = token
    types[id] = 1
  }
  for (const { id, special } of json.added_tokens) types[id] = special ? 3 : 4
  return {
    'general.architecture': 'qwen2',
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': pre,
    'tokenizer.ggml.tokens': tokens,
    'tokenizer.ggml.token_type': types,
    'tokenizer.ggml.merges': json.model.merges.map((m) => (typeof m === 'string' ? m : m.join(' '))),
    'tokenizer.ggml.eos_token_id': json.added_tokens[0]?.id ?? 0,
  }
}

function write(name: string, metadata: Metadata): string {
  const file = path.join(folder, name)
  writeFileSync(file, ggufBytes(metadata, []))
  return file
}

async function same(dir: string, file: string): Promise<void> {
  const [want, got] = [await Tokenizer.open(dir), await Tokenizer.open(file)]
  expect(got.vocabularySize).toBe(want.vocabularySize)
  expect([...got.specialIds].sort()).toEqual([...want.specialIds].sort())
  for (const text of texts) {
    expect(got.encodeTrusted(text), text).toEqual(want.encodeTrusted(text))
    expect(got.encodeTrusted(text, { addSpecial: true }), text).toEqual(
      want.encodeTrusted(text, { addSpecial: true }),
    )
    expect(got.encodeUntrusted(text), text).toEqual(want.encodeUntrusted(text))
    expect(got.decode(want.encodeUntrusted(text)), text).toBe(want.decode(want.encodeUntrusted(text)))
  }
}

describe('the tokenizer of a GGUF file', () => {
  const parity = process.env.REASONREC_PARITY
  const trained = parity ? path.join(parity, 'tokenizer') : null
  if (!trained) console.log('skipped: REASONREC_PARITY is not set, no byte-level tokenizer is compared')

  it.skipIf(!trained)('of the kind gpt2 gives the same ids, by its word rule', async () => {
    const rules = { 'tiny-bpe-qwen': 'qwen2', 'tiny-bpe-gpt2': 'gpt-2' }
    for (const [name, pre] of Object.entries(rules)) {
      const dir = path.join(trained!, name)
      expect(existsSync(dir), dir).toBe(true)
      await same(dir, write(`${name}.gguf`, byteLevel(dir, pre)))
    }
  })

  it('cuts numbers as Llama 3 and SmolLM do', async () => {
    const metadata = byteLevelAlphabet()
    const open = (pre: string) =>
      Tokenizer.open(write(`${pre}.gguf`, { ...metadata, 'tokenizer.ggml.pre': pre }))
    const [llama3, smollm, gpt2] = [await open('llama-bpe'), await open('smollm'), await open('gpt-2')]
    const pieces = (tokenizer: Tokenizer, text: string) =>
      [...tokenizer.encodeTrusted(text)].map((id) => tokenizer.decode([id]))
    expect(pieces(llama3, '12345')).toEqual(['123', '45'])
    expect(pieces(smollm, '123')).toEqual(['1', '2', '3'])
    expect(pieces(gpt2, '12345')).toEqual(['12345'])
    expect(llama3.encodeTrusted('1', { addSpecial: true })[0]).toBe(0) // <s>, where the file does not say
    expect(gpt2.encodeTrusted('1', { addSpecial: true })).toHaveLength(1)
  })

  it('of the kind llama merges by score', async () => {
    const pieces: [string, number, number][] = [
      ['<unk>', 0, 2],
      ['<s>', 0, 3],
      ['</s>', 0, 3],
      ...Array.from({ length: 256 }, (_, byte): [string, number, number] => [
        `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
        0,
        6,
      ]),
      ...['▁', 'a', 'b', 'c'].map((token): [string, number, number] => [token, -100, 1]),
      ['ab', -2, 1],
      ['bc', -1, 1],
      ['▁a', -3, 1],
      ['abc', -4, 1],
    ]
    const metadata: Metadata = {
      'general.architecture': 'llama',
      'tokenizer.ggml.model': 'llama',
      'tokenizer.ggml.tokens': pieces.map(([token]) => token),
      'tokenizer.ggml.scores': Float32Array.from(pieces, ([, score]) => score),
      'tokenizer.ggml.token_type': Int32Array.from(pieces, ([, , type]) => type),
      'tokenizer.ggml.bos_token_id': 1,
      'tokenizer.ggml.eos_token_id': 2,
      'tokenizer.ggml.unknown_token_id': 0,
    }
    const tokenizer = await Tokenizer.open(write('spm.gguf', metadata))
    const names = (text: string) =>
      [...tokenizer.encodeTrusted(text, { addSpecial: true })].map((id) => pieces[id]![0])
    // bc scores best, then the blank joins the a that is left: not ab + c, not the longest.
    expect(names('abc')).toEqual(['<s>', '▁a', 'bc'])
    expect(names('b a')).toEqual(['<s>', '▁', 'b', '▁a'])
    expect(names('é')).toEqual(['<s>', '▁', '<0xC3>', '<0xA9>'])
    expect(tokenizer.decode(tokenizer.encodeTrusted('abc é b'))).toBe('abc é b')
    expect(tokenizer.eosIds).toEqual([2])
    expect(tokenizer.encodeUntrusted('</s>').includes(2)).toBe(false)
  })

  it('of another kind is asked for, and taken from beside the file', async () => {
    const file = write('unknown.gguf', { 'tokenizer.ggml.model': 'bert', 'tokenizer.ggml.tokens': ['a'] })
    await expect(Tokenizer.open(file)).rejects.toMatchObject({
      code: 'RR_TOKENIZER_MISSING',
      details: { got: 'a tokenizer of kind bert' },
    })
    const rule = write('rule.gguf', { ...byteLevelAlphabet(), 'tokenizer.ggml.pre': 'no-such-rule' })
    await expect(Tokenizer.open(rule)).rejects.toMatchObject({
      details: { got: 'word rule no-such-rule', remedy: expect.stringContaining('tokenizer.json') },
    })
    for (const name of ['tokenizer.json', 'tokenizer_config.json'])
      copyFileSync(path.join(tiny, name), path.join(folder, name))
    await same(tiny, file)
  })
})

/** Byte-level tokens of the digits and their runs, so that word rules show. */
function byteLevelAlphabet(): Metadata {
  const digits = [...'12345']
  const runs = ['12', '123', '1234', '12345', '45']
  return {
    'general.architecture': 'llama',
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.tokens': ['<s>', ...digits, ...runs],
    'tokenizer.ggml.token_type': Int32Array.from([3, ...digits.map(() => 1), ...runs.map(() => 1)]),
    'tokenizer.ggml.merges': ['1 2', '12 3', '123 4', '1234 5', '4 5'],
    'tokenizer.ggml.bos_token_id': 0,
  }
}

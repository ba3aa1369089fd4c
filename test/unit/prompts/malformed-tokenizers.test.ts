/** Malformed tokenizer folders and chat templates: every class is refused in one line, at once, with nothing changed. */

import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { Tokenizer } from '../../../src/prompts/tokenizer.js'
import { expectRefusal } from '../../fixtures/refusal.js'

const sound = fileURLToPath(new URL('../../fixtures/tiny-model', import.meta.url))
const scratch = mkdtempSync(path.join(tmpdir(), 'reasonrec-tokenizers-'))
afterAll(() => rmSync(scratch, { recursive: true }))
// The first call loads the encoder's code, which is no part of a refusal.
beforeAll(() => Tokenizer.open(sound).then(() => undefined))

type Json = Record<string, unknown>

function copy(): string {
  const dir = mkdtempSync(path.join(scratch, 'model-'))
  cpSync(sound, dir, { recursive: true })
  return dir
}

function edit(dir: string, name: string, change: (json: Json) => unknown): void {
  const file = path.join(dir, name)
  writeFileSync(file, JSON.stringify(change(JSON.parse(readFileSync(file, 'utf8')) as Json)))
}

const modelOf = (json: Json) => json.model as Json
const nested = (depth: number): unknown => {
  let step: unknown = { type: 'Lowercase' }
  for (let level = 0; level < depth; level++) step = { type: 'Sequence', normalizers: [step] }
  return step
}
const split = (Regex: string) => ({ type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false })
const corrupt = 'RR_TOKENIZER_CORRUPT'

describe('tokenizer.json', () => {
  const texts: [string, string | Buffer, string][] = [
    ['empty', '', corrupt],
    ['cut in the middle', readFileSync(path.join(sound, 'tokenizer.json')).subarray(0, 3000), corrupt],
    ['a Git LFS pointer', 'version https://git-lfs.github.com/spec/v1\n', corrupt],
    ['a web page', '<!DOCTYPE html>', corrupt],
    ['zeros', Buffer.alloc(1000), corrupt],
    ['null', 'null', corrupt],
    ['a list', '[]', corrupt],
    ['deep nesting', `{"model": ${'['.repeat(50_000)}${']'.repeat(50_000)}}`, corrupt],
  ]
  it.each(texts)('%s', async (_what, text, code) => {
    const dir = copy()
    writeFileSync(path.join(dir, 'tokenizer.json'), text)
    await expectRefusal(dir, () => Tokenizer.open(dir), code, /tokenizer\.json/)
  })

  const changes: [string, (json: Json) => unknown, string, RegExp][] = [
    ['no model', (json) => ({ ...json, model: undefined }), corrupt, /"model"/],
    [
      'another kind',
      (json) => ({ ...json, model: { ...modelOf(json), type: 'WordPiece' } }),
      'RR_TOKENIZER_UNSUPPORTED',
      /WordPiece/,
    ],
    [
      'no vocabulary',
      (json) => ({ ...json, model: { ...modelOf(json), vocab: {} } }),
      corrupt,
      /no vocabulary/,
    ],
    [
      'a vocabulary of texts',
      (json) => ({ ...json, model: { ...modelOf(json), vocab: { a: 'b' } } }),
      corrupt,
      /id/,
    ],
    ['a negative id', (json) => ({ ...json, model: { ...modelOf(json), vocab: { a: -1 } } }), corrupt, /id/],
    [
      'an enormous id',
      (json) => ({ ...json, model: { ...modelOf(json), vocab: { a: 2 ** 40 } } }),
      corrupt,
      /id/,
    ],
    [
      'an id twice',
      (json) => ({ ...json, model: { ...modelOf(json), vocab: { a: 1, b: 1 } } }),
      corrupt,
      /share/,
    ],
    ['no merges', (json) => ({ ...json, model: { ...modelOf(json), merges: undefined } }), corrupt, /merges/],
    [
      'merges of three',
      (json) => ({ ...json, model: { ...modelOf(json), merges: [['a', 'b', 'c']] } }),
      corrupt,
      /merge/,
    ],
    [
      'merges of numbers',
      (json) => ({ ...json, model: { ...modelOf(json), merges: [7] } }),
      corrupt,
      /merge/,
    ],
    [
      'a Unigram without scores',
      (json) => ({ ...json, model: { type: 'Unigram', vocab: ['a', 'b'] } }),
      corrupt,
      /score/,
    ],
    ['added tokens that are no list', (json) => ({ ...json, added_tokens: {} }), corrupt, /added tokens/],
    [
      'an added token without id',
      (json) => ({ ...json, added_tokens: [{ content: 'x' }] }),
      corrupt,
      /added token/,
    ],
    [
      'an added token without text',
      (json) => ({ ...json, added_tokens: [{ id: 1, content: '' }] }),
      corrupt,
      /text/,
    ],
    [
      'an unknown step',
      (json) => ({ ...json, pre_tokenizer: { type: 'Unheard' } }),
      corrupt,
      /tokenizer\.json/,
    ],
    ['a step that is a text', (json) => ({ ...json, normalizer: 'NFC' }), corrupt, /tokenizer\.json/],
    ['steps a hundred levels deep', (json) => ({ ...json, normalizer: nested(100) }), corrupt, /levels/],
    [
      'a pattern that takes for ever',
      (json) => ({ ...json, pre_tokenizer: split('(\\w+)+$') }),
      corrupt,
      /for ever/,
    ],
    [
      'a pattern that does not parse',
      (json) => ({ ...json, pre_tokenizer: split('(') }),
      corrupt,
      /tokenizer\.json/,
    ],
  ]
  it.each(changes)('%s', async (_what, change, code, says) => {
    const dir = copy()
    edit(dir, 'tokenizer.json', change)
    await expectRefusal(dir, () => Tokenizer.open(dir), code, says)
  })

  it('a pipe in its place does not block', async () => {
    const dir = copy()
    rmSync(path.join(dir, 'tokenizer.json'))
    execFileSync('mkfifo', [path.join(dir, 'tokenizer.json')])
    await expectRefusal(dir, () => Tokenizer.open(dir), corrupt, /regular/)
  })

  it('nothing in its place', async () => {
    const dir = copy()
    rmSync(path.join(dir, 'tokenizer.json'))
    await expectRefusal(dir, () => Tokenizer.open(dir), 'RR_TOKENIZER_MISSING', /tokenizer\.json/)
  })
})

describe('the files beside it', () => {
  const cases: [string, string, string, RegExp][] = [
    ['tokenizer_config.json', 'half', '{"eos_token": ', /tokenizer_config/],
    ['tokenizer_config.json', 'a list', '[1]', /tokenizer_config/],
    ['tokenizer_config.json', 'a template that is a number', '{"chat_template": 7}', /chat_template/],
    [
      'tokenizer_config.json',
      'a list without templates',
      '{"chat_template": [{"name": "default"}]}',
      /chat_template/,
    ],
    ['tokenizer_config.json', 'a list of numbers', '{"chat_template": [1, 2]}', /chat_template/],
    ['special_tokens_map.json', 'text', 'eos', /special_tokens_map/],
    ['generation_config.json', 'half', '{', /generation_config/],
    ['generation_config.json', 'null', 'null', /generation_config/],
    ['generation_config.json', 'an end that is text', '{"eos_token_id": "2"}', /eos_token_id/],
    ['generation_config.json', 'an end that is half a token', '{"eos_token_id": [1, 2.5]}', /eos_token_id/],
    ['generation_config.json', 'an end that is an object', '{"eos_token_id": {"id": 2}}', /eos_token_id/],
    ['config.json', 'half', '{"model_type": "llama"', /config\.json/],
    ['chat_template.json', 'half', '{"chat_template"', /chat_template\.json/],
  ]
  it.each(cases)('%s: %s', async (name, _what, text, says) => {
    const dir = copy()
    if (name.startsWith('chat_template'))
      edit(dir, 'tokenizer_config.json', (json) => ({ ...json, chat_template: null }))
    writeFileSync(path.join(dir, name), text)
    await expectRefusal(dir, () => Tokenizer.open(dir), corrupt, says)
  })
})

describe('chat templates', () => {
  /** The process that renders has to come up first; on a loaded machine that alone takes seconds. */
  const withProcess = 30_000
  const message = '{% for m in messages %}{{ m.content }}{% endfor %}'
  const cases: [string, string, string, number][] = [
    ['longer than a million characters', 'x'.repeat(1_000_001), 'RR_TEMPLATE_UNSUPPORTED', 200],
    ['that do not parse', '{% if %}', 'RR_TEMPLATE_UNSUPPORTED', withProcess],
    ['that do not end', '{% for m in messages %}', 'RR_TEMPLATE_UNSUPPORTED', withProcess],
    ['that call what is not there', '{{ system("id") }}', 'RR_TEMPLATE_UNSUPPORTED', withProcess],
    ['that include files', '{% include "/etc/passwd" %}', 'RR_TEMPLATE_UNSUPPORTED', withProcess],
    [
      'that reach for the process',
      '{{ messages.constructor.constructor("return process")() }}',
      'RR_TEMPLATE_UNSUPPORTED',
      withProcess,
    ],
    ['that leave the messages out', 'hello', 'RR_TEMPLATE_UNSUPPORTED', withProcess],
    ['that say them twice', `${message}${message}`, 'RR_TEMPLATE_UNSUPPORTED', withProcess],
    [
      'that grow without end',
      `{% for a in range(1000000) %}{{ 'x' * 1000 }}{% endfor %}${message}`,
      'RR_TEMPLATE_(UNSUPPORTED|MEMORY|TIMEOUT|FAILED)',
      withProcess,
    ],
    [
      'that need all memory',
      `{% set x = range(100000000) %}${message}`,
      'RR_TEMPLATE_(UNSUPPORTED|MEMORY|TIMEOUT|FAILED)',
      withProcess,
    ],
  ]
  it.each(cases)('%s', { timeout: 60_000 }, async (_what, template, code, limit) => {
    const dir = copy()
    writeFileSync(path.join(dir, 'chat_template.jinja'), template)
    await expectRefusal(dir, () => Tokenizer.open(dir), code, /chat template/, limit)
  })
})

/** Every kind of bad input: one line with its code, the exit status of its family, and nothing written or lost. */

import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { smallDisk } from '../fixtures/small-disk.js'
import {
  cli,
  quickSettings,
  runArguments,
  workFolder,
  writeSettings,
  writeTinyData,
  writeTinyModel,
} from './command-line.js'

const folder = workFolder()
const disk = smallDisk(1)
let model = ''
let data = ''
let settings = ''

beforeAll(async () => {
  model = await writeTinyModel(join(folder.path, 'model'))
  data = await writeTinyData(join(folder.path, 'data'))
  settings = writeSettings(join(folder.path, 'settings.yaml'), quickSettings)
})

afterAll(() => {
  folder.remove()
  disk?.remove()
})

interface Case {
  readonly what: string
  /** Changes a copy of the sound model and data; returns further arguments. */
  readonly break: (where: {
    readonly model: string
    readonly data: string
    readonly folder: string
  }) => readonly string[] | undefined
  readonly code: string
  readonly status: number
  readonly says?: RegExp
}

const rewrite = (file: string, change: (text: string) => string): void =>
  writeFileSync(file, change(readFileSync(file, 'utf8')))
const truncate = (file: string, bytes: number): void =>
  writeFileSync(file, readFileSync(file).subarray(0, bytes))

const cases: readonly Case[] = [
  {
    what: 'no model folder',
    break: ({ model: dir }) => void rmSync(dir, { recursive: true }),
    code: 'RR_MODEL_NOT_FOUND',
    status: 10,
  },
  {
    what: 'no weights',
    break: ({ model: dir }) => void rmSync(join(dir, 'model.safetensors')),
    code: 'RR_MODEL_FILE_MISSING',
    status: 10,
  },
  {
    what: 'truncated weights',
    break: ({ model: dir }) => truncate(join(dir, 'model.safetensors'), 200_000) as undefined,
    code: 'RR_BAD_SAFETENSORS',
    status: 10,
  },
  {
    what: 'corrupt weights',
    break: ({ model: dir }) => {
      const file = join(dir, 'model.safetensors')
      const bytes = readFileSync(file)
      bytes.fill(0xff, 0, 8)
      writeFileSync(file, bytes)
      return undefined
    },
    code: 'RR_BAD_SAFETENSORS',
    status: 10,
  },
  {
    what: 'pickled weights',
    break: ({ model: dir }) => {
      rmSync(join(dir, 'model.safetensors'))
      writeFileSync(join(dir, 'pytorch_model.bin'), 'x')
      return undefined
    },
    code: 'RR_PICKLE_REFUSED',
    status: 10,
    says: /save_pretrained/,
  },
  {
    what: 'an unknown architecture',
    break: ({ model: dir }) =>
      void rewrite(join(dir, 'config.json'), (text) =>
        text.replace('LlamaForCausalLM', 'MambaForCausalLM').replace('"llama"', '"mamba"'),
      ),
    code: 'RR_UNKNOWN_ARCHITECTURE',
    status: 10,
  },
  {
    what: 'weights of another shape',
    break: ({ model: dir }) =>
      void rewrite(join(dir, 'config.json'), (text) =>
        text.replace('"intermediate_size": 128', '"intermediate_size": 96'),
      ),
    code: 'RR_SHAPE_MISMATCH',
    status: 10,
  },
  {
    what: 'no tokenizer',
    break: ({ model: dir }) => void rmSync(join(dir, 'tokenizer.json')),
    code: 'RR_TOKENIZER_MISSING',
    status: 10,
  },
  {
    what: 'a tokenizer of another model',
    break: ({ model: dir }) =>
      void rewrite(join(dir, 'tokenizer.json'), (text) => {
        const json = JSON.parse(text) as { added_tokens: object[] }
        json.added_tokens.push({
          id: 600,
          content: '<far>',
          special: true,
          single_word: false,
          lstrip: false,
          rstrip: false,
          normalized: false,
        })
        return JSON.stringify(json)
      }),
    code: 'RR_TOKENIZER_MISMATCH',
    status: 10,
  },
  {
    what: 'no data folder',
    break: ({ data: dir }) => void rmSync(dir, { recursive: true }),
    code: 'RR_DATA',
    status: 4,
  },
  {
    what: 'data without interactions',
    break: ({ data: dir }) => void rewrite(join(dir, 'ratings.csv'), (text) => `${text.split('\n')[0]}\n`),
    code: 'RR_DATA',
    status: 4,
  },
  {
    what: 'data with a torn row',
    break: ({ data: dir }) =>
      void rewrite(join(dir, 'ratings.csv'), (text) =>
        text.replace(/^([^\n]*\n[^\n]*\n)[^\n]*\n/, '$1nonsense\n'),
      ),
    code: 'RR_DATA',
    status: 4,
  },
  {
    what: 'data with an unknown item',
    break: ({ data: dir }) =>
      void rewrite(join(dir, 'ratings.csv'), (text) =>
        text.replace(/^([^\n]*\n[^,]*),[^,]*/, '$1,nosuchitem'),
      ),
    code: 'RR_DATA',
    status: 4,
    says: /nosuchitem/,
  },
  {
    what: 'an unknown key',
    break: () => ['--set', 'rl.stepz=3'],
    code: 'RR_UNKNOWN_KEY',
    status: 2,
    says: /did you mean rl\.steps\?/,
  },
  {
    what: 'an unknown key in a file',
    break: ({ folder: dir }) => {
      writeFileSync(join(dir, 'mine.yaml'), 'seed: 1\nsft:\n  epochs: 1\n  bacth: 4\n')
      return ['--config', join(dir, 'mine.yaml')]
    },
    code: 'RR_UNKNOWN_KEY',
    status: 2,
    says: /mine\.yaml:4:3: unknown key sft\.bacth; did you mean sft\.batch\?/,
  },
  { what: 'a value out of range', break: () => ['--set', 'rl.group=1'], code: 'RR_CONFIG_VALUE', status: 2 },
  { what: 'an unknown preset', break: () => ['--preset', 're3'], code: 'RR_USAGE_PRESET', status: 2 },
  { what: 'an unknown option', break: () => ['--modle', 'x'], code: 'RR_USAGE', status: 2 },
  {
    what: 'a model larger than the memory allowed',
    break: () => ['--set', 'model.max_memory=0.0001'],
    code: 'RR_PLAN_MEMORY',
    status: 3,
  },
  {
    what: 'a device that is not there',
    break: () => ['--device', 'cuda'],
    code: 'RR_DEVICE_UNAVAILABLE',
    status: 13,
  },
]

describe('reasonrec run refuses', () => {
  it.concurrent.each(cases)('$what', async ({ what, break: damage, code, status: expected, says }) => {
    const where = join(folder.path, what.replaceAll(' ', '-'))
    mkdirSync(where)
    cpSync(model, join(where, 'model'), { recursive: true })
    cpSync(data, join(where, 'data'), { recursive: true })
    const further = damage({ model: join(where, 'model'), data: join(where, 'data'), folder: where }) ?? []
    const out = join(where, 'out')
    const { status, stderr, stdout } = await cli([
      ...runArguments({
        ...(!further.includes('--config') && { settings }),
        model: join(where, 'model'),
        data: join(where, 'data'),
        out,
      }),
      ...further,
    ])
    expect(stderr.trim().split('\n')).toHaveLength(1)
    expect(stderr).toMatch(new RegExp(`^${code}[A-Z_]*: `))
    expect(status).toBe(expected)
    expect(stdout).toBe('')
    if (says) expect(stderr).toMatch(says)
    expect(existsSync(out)).toBe(false)
  })

  it('a folder with something else in it, and leaves that alone', async () => {
    const out = join(folder.path, 'precious')
    mkdirSync(out)
    writeFileSync(join(out, 'thesis.txt'), 'years of work')
    const { status, stderr } = await cli(runArguments({ settings, model, data, out }))
    expect(stderr).toMatch(/^RR_OUTPUT_NOT_EMPTY: .*thesis\.txt/)
    expect(status).toBe(2)
    expect(readFileSync(join(out, 'thesis.txt'), 'utf8')).toBe('years of work')
  })

  it.runIf(disk)('a disk without room for two checkpoints and the records', async () => {
    const out = join(disk!.path, 'run')
    const { status, stderr } = await cli(runArguments({ settings, model, data, out }))
    expect(stderr).toMatch(/^RR_OUTPUT_DISK_FULL: .*\/run .*expected \d{7,} bytes free.*got \d+ bytes/)
    expect(stderr).toContain(out)
    expect(status).toBe(2)
    expect(existsSync(out)).toBe(false)
  })

  it('a collection that keeps nothing', async () => {
    const out = join(folder.path, 'nothing')
    const { status, stderr } = await cli([
      ...runArguments({ preset: 're2-small-cpu', settings, model, data, out }),
      '--set',
      'collect.fill=none',
    ])
    expect(stderr).toMatch(/^RR_NO_TRACES: .*collect\.fill/m)
    expect(status).toBe(4)
  })

  it('imitate without a run, and resume of a folder that is none', async () => {
    const missing = await cli(['imitate', '--out', join(folder.path, 'none')])
    expect(missing.stderr).toMatch(/^RR_OUTPUT_NO_RUN: /)
    expect(missing.status).toBe(2)
    const resume = await cli(['resume', data])
    expect(resume.stderr).toMatch(/^RR_OUTPUT_NO_RUN: /)
    expect(resume.status).toBe(2)
  })
})

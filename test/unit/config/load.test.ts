import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { canonicalJson, configYaml, loadConfig, readStoredConfig } from '../../../src/config/load.js'
import { configKeys, configSchema } from '../../../src/config/schema.js'
import { ReasonrecError } from '../../../src/engine/errors.js'
import { presetFile } from '../../../src/methods/registry.js'

const folder = mkdtempSync(join(tmpdir(), 'reasonrec-config-'))
afterAll(() => rmSync(folder, { recursive: true }))

const none = { preset: null, file: null, set: [], options: {} } as const

function yaml(name: string, text: string): string {
  const file = join(folder, name)
  writeFileSync(file, text)
  return file
}

function refusal(load: () => unknown): string {
  try {
    load()
  } catch (error) {
    if (error instanceof ReasonrecError) return error.toLine()
    throw error
  }
  throw new Error('nothing was refused')
}

describe('layers', () => {
  it('preset below file below --set below options', () => {
    const preset = yaml('preset.yaml', 'seed: 1\nrl: {steps: 1, group: 4, prompts: 2}\n')
    const file = yaml('file.yaml', 'rl: {steps: 2, group: 5}\n')
    const { config } = loadConfig({
      preset,
      file,
      set: ['rl.steps=3', 'rl.reward.hit=2.5'],
      options: { seed: 9 },
    })
    expect(config.rl).toMatchObject({ steps: 3, group: 5, prompts: 2 })
    expect(config.rl.reward.hit).toBe(2.5)
    expect(config.seed).toBe(9)
  })

  it('--set reads YAML: null, lists, strings', () => {
    const { config } = loadConfig({
      ...none,
      set: ['eval.instances=null', 'rl.eps=[0.1, 0.3]', 'data.noun=board game'],
    })
    expect(config.eval.instances).toBeNull()
    expect(config.rl.eps).toEqual([0.1, 0.3])
    expect(config.data.noun).toBe('board game')
  })

  it('every preset is valid', () => {
    for (const name of ['re2', 're2-small-cpu']) {
      expect(loadConfig({ ...none, preset: presetFile(name) }).config.method).toBe('re2')
    }
  })
})

describe('errors name place and remedy', () => {
  it.each([
    [['rl.stepz=3'], /^RR_UNKNOWN_KEY: --set rl\.stepz=3: unknown key rl\.stepz; did you mean rl\.steps\?$/],
    [['steps=3'], /did you mean rl\.steps\?/],
    [['rl.group=1'], /^RR_CONFIG_VALUE: .*rl\.group.*got 1/],
    [['rl.steps=many'], /^RR_CONFIG_VALUE: .*rl\.steps.*got "many"/],
    [['rl'], /^RR_CONFIG_SET: /],
    [['collect.min_words=50', 'collect.max_words=20'], /^RR_CONFIG_VALUE: .*min_words is above/],
    [['collect.k_free=0', 'collect.k_hint=0'], /^RR_CONFIG_VALUE: .*k_free/],
  ])('%j', (set, expected) => {
    expect(refusal(() => loadConfig({ ...none, set }))).toMatch(expected)
  })

  it('with line and column of a file', () => {
    const file = yaml('wrong.yaml', 'seed: 1\nrl:\n  steps: 3\n  reward:\n    hitt: 1\n')
    expect(refusal(() => loadConfig({ ...none, file }))).toMatch(
      /wrong\.yaml:5:5: unknown key rl\.reward\.hitt; did you mean rl\.reward\.hit\?/,
    )
    const value = yaml('value.yaml', 'rl:\n  steps: -1\n')
    expect(refusal(() => loadConfig({ ...none, file: value }))).toMatch(/^RR_CONFIG_VALUE: .*value\.yaml:2:3/)
    const torn = yaml('torn.yaml', 'rl: {steps: 1\n')
    expect(refusal(() => loadConfig({ ...none, file: torn }))).toMatch(
      /^RR_CONFIG_SYNTAX: .*torn\.yaml:\d+:\d+/,
    )
    expect(refusal(() => loadConfig({ ...none, file: join(folder, 'absent.yaml') }))).toMatch(
      /^RR_CONFIG_MISSING: /,
    )
  })
})

describe('the stored configuration', () => {
  it('reads back to the same values and hash, comments and all', () => {
    const loaded = loadConfig({ ...none, preset: presetFile('re2-small-cpu'), set: ['data.noun="a: b # c"'] })
    const text = configYaml(loaded.config)
    expect(text).toMatch(/steps: 30 # Updates; 0 skips the phase\. \[steps\]/)
    const stored = readStoredConfig(yaml('stored.yaml', text))
    expect(stored).toEqual(loaded)
  })

  it('has a hash that depends on values only', () => {
    const one = loadConfig({ ...none, set: ['rl.steps=3', 'seed=4'] })
    const other = loadConfig({ ...none, file: yaml('order.yaml', 'seed: 4\nrl: {steps: 3}\n') })
    expect(other.hash).toBe(one.hash)
    expect(loadConfig({ ...none, set: ['seed=5'] }).hash).not.toBe(one.hash)
    expect(canonicalJson({ b: [1, null], a: { d: 'x', c: true } })).toBe(
      '{"a":{"c":true,"d":"x"},"b":[1,null]}',
    )
  })
})

describe('the schema', () => {
  it('says for every key what changing it does, and its default passes', () => {
    const keys = configKeys()
    expect(keys.length).toBeGreaterThan(80)
    for (const { path, consequence } of keys) expect(consequence.length, path).toBeGreaterThan(15)
    expect(configSchema.parse(configSchema.parse({}))).toEqual(configSchema.parse({}))
  })
})

describe('the teacher', () => {
  const teacher = (keys: string) => ({ ...none, set: [`teacher={${keys}}`] })
  const server = 'kind: openai, model: m, baseURL: "http://127.0.0.1:8000/v1"'

  it('is one key: self, builtin or a server', () => {
    expect(loadConfig(none).config.teacher.kind).toBe('self')
    expect(loadConfig({ ...none, set: ['teacher.kind=builtin'] }).config.teacher.kind).toBe('builtin')
    expect(loadConfig(teacher(server)).config.teacher).toMatchObject({ kind: 'openai', apiKeyEnv: null })
  })

  it('may still be called collect.regime', () => {
    const old = loadConfig({ ...none, set: ['collect={regime: builtin, chunk: 3}'] })
    const now = loadConfig({ ...none, set: ['teacher.kind=builtin', 'collect.chunk=3'] })
    expect(old).toEqual(now)
  })

  it.each([
    ['kind: openai, model: m', /without teacher.baseURL/],
    ['kind: openai, baseURL: "http://localhost:1/v1"', /without teacher.model/],
    ['kind: openai, model: m, baseURL: "http://10.0.0.7:8000/v1"', /everybody on the way/],
    ['baseURL: "http://127.0.0.1.example.com/v1"', /everybody on the way/],
    [`${server}, max_cost: 1`, /without a price/],
    [
      `${server}, apiKeyEnv: sk-secret-1`,
      /teacher.apiKeyEnv; expected the NAME .* got a value that is not shown/,
    ],
    ['baseURL: "https://me:sk-secret-1@example.com/v1"', /teacher.baseURL; .* got a value that is not shown/],
    ['apiKey: sk-secret-1', /unknown key teacher.apiKey; did you mean teacher.apiKeyEnv/],
  ])('is refused: %s', (keys, why) => {
    const line = refusal(() => loadConfig(teacher(keys)))
    expect(line).toMatch(why)
    expect(line).not.toContain('sk-secret')
  })

  it('may be in the clear where somebody says so, and needs no server to be replayed', () => {
    loadConfig(teacher('kind: openai, model: m, insecure: true, baseURL: "http://10.0.0.7:8000/v1"'))
    const { config } = loadConfig(teacher('kind: openai, model: m, replay: true, ledger: some/where'))
    expect(isAbsolute(config.teacher.ledger ?? '')).toBe(true)
  })
})

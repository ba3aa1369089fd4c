import { describe, expect, it } from 'vitest'
import { describedKeys, presetSummary } from '../../../src/config/describe.js'
import { loadConfig } from '../../../src/config/load.js'
import { configKeys } from '../../../src/config/schema.js'
import { presetFile, presetNames, statedOf } from '../../../src/methods/registry.js'

const configOf = (name: string, set: readonly string[] = []) =>
  loadConfig({ preset: presetFile(name), file: null, set, options: {} }).config

describe('describe', () => {
  it.each(presetNames)('%s: every key once, and a summary without its commands', (name) => {
    const config = configOf(name)
    const keys = describedKeys(config, statedOf(config))
    expect(keys.map(({ path }) => path)).toEqual(configKeys().map(({ path }) => path))
    const what = presetSummary(presetFile(name))
    expect(what.length).toBeGreaterThan(40)
    expect(what).not.toContain('--preset')
  })

  it('tells what a preset sets from what it leaves alone, and what the paper says', () => {
    const config = configOf('re2-quickstart')
    const keys = new Map(describedKeys(config, statedOf(config)).map((one) => [one.path, one]))
    expect(keys.get('rl.steps')).toMatchObject({ value: 120, default: 200, from: 'preset' })
    expect(keys.get('rl.steps')?.stated).toContain('reinforcement learning')
    expect(keys.get('rl.eps')).toMatchObject({ from: 'default', stated: null })
    expect(keys.get('data.candidates')).toMatchObject({ value: 'C20', from: 'default', stated: null })
    const set = describedKeys(configOf('re2-quickstart', ['rl.steps=7']), {})
    expect(set.find(({ path }) => path === 'rl.steps')).toMatchObject({ value: 7, stated: null })
  })

  it('refuses a statement about a key that is not there', () => {
    expect(() => describedKeys(configOf('re2'), { 'rl.stepz': 'something' })).toThrow('rl.stepz')
  })
})

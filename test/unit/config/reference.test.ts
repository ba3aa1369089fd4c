import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { configReference } from '../../../src/config/reference.js'
import { configKeys } from '../../../src/config/schema.js'

const keyOf = (path: string) => configKeys().find((one) => one.path === path)

describe('the reference of the configuration', () => {
  it('is what the schema says', () => {
    const committed = readFileSync(new URL('../../../docs/configuration.md', import.meta.url), 'utf8')
    expect(configReference()).toBe(committed)
  })

  it('gives every key values and a consequence', () => {
    for (const { path, range, consequence } of configKeys()) {
      expect(range, path).not.toBe('')
      expect(consequence, path).not.toBe('')
    }
  })

  it('reads bounds, choices and what may be absent', () => {
    expect(keyOf('rl.group')?.range).toBe('whole number, 2 or more')
    expect(keyOf('rl.group')?.symbol).toBe('G')
    expect(keyOf('rl.temperature')?.range).toBe('number above 0')
    expect(keyOf('rl.agg')?.range).toBe('token_mean, seq_mean_token_mean, seq_mean_token_sum, const_norm')
    expect(keyOf('model.dir')?.range).toBe('text or null')
    expect(keyOf('model.recompute')?.range).toBe('true, false')
  })
})

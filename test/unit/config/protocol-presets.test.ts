/** Presets of published protocols: a file each, which choose no method and no model. */
import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../../src/config/load.js'
import { presetFile } from '../../../src/methods/registry.js'

const loaded = (name: string) =>
  loadConfig({ preset: presetFile(name), file: null, set: [], options: {} }).config

describe('presets of published protocols', () => {
  it('are the published SASRec split on lists and on the catalogue', () => {
    const lists = loaded('sasrec-ml1m')
    expect(lists.data).toMatchObject({ split: 'loo', core: 5, candidates: 'C101', max_hist: 200 })
    expect(lists.baselines.sasrec).toMatchObject({ loss: 'bce', width: 50, heads: 1 })
    const full = loaded('sasrec-ml1m-full')
    expect(full).toEqual({ ...lists, data: { ...lists.data, candidates: 'full' } })
  })
})

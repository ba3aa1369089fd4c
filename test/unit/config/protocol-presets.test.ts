/** Presets of published protocols and of campaigns on them: a file each, which choose no model. */
import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../../src/config/load.js'
import { llmBaselines } from '../../../src/eval/result-row.js'
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

  it('are LastFM with its fixed lists: the same tests under both methods, every baseline beside one of them', () => {
    const counted = loaded('lastfm-llara')
    const [re2, r2rec] = [loaded('lastfm-llara-re2'), loaded('lastfm-llara-r2rec')]
    for (const { data } of [counted, re2, r2rec])
      expect(data).toMatchObject({ split: 'auto', candidates: 'C20', published: 'keep', noun: 'artist' })
    expect([re2.method, r2rec.method]).toEqual(['re2', 'r2rec'])
    expect(re2.eval.instances).toBe(r2rec.eval.instances)
    expect(re2.baselines.rows).toHaveLength(7)
    expect(re2.baselines).toMatchObject({ ...counted.baselines, llm: [...llmBaselines] })
  })
})

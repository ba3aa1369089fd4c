/** The grids of ablations: every row is a configuration that loads, and what several seeds of a row come to. */

import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../../src/config/load.js'
import type { ResultRow } from '../../../src/eval/result-row.js'
import { type Ablation, ablationRow, chosenAblations } from '../../../src/methods/ablation.js'
import { ablationsOf, presetFile } from '../../../src/methods/registry.js'
import type { RunSummary } from '../../../src/phases/run/run-record.js'

const configOf = (preset: string, set: readonly string[] = []) =>
  loadConfig({ preset: presetFile(preset), file: null, set, options: {} })

describe.each(['re2', 're2-quickstart', 'r2rec', 'r2rec-quickstart', 'r2rec-small-cpu'])(
  'the grid of %s',
  (preset) => {
    const grid = ablationsOf(configOf(preset).config)

    it('loads, each row another configuration, and reads runs that are in it', () => {
      const hashes = grid.filter(({ id, run }) => id === run).map(({ set }) => configOf(preset, set).hash)
      // A preset may itself have the number of chains that a row asks for.
      expect(new Set(hashes).size).toBeGreaterThanOrEqual(hashes.length - 1)
      for (const { run, set, id } of grid) {
        const made = grid.find((row) => row.id === run)
        expect(made?.run, `${id} reads ${run}`).toBe(run)
        if (run !== id) expect(set).toEqual([])
      }
    })

    it('makes what its rows read', () => {
      for (const { run, reads, mode, id } of grid) {
        const { config } = configOf(preset, grid.find((row) => row.id === run)?.set)
        const controls: readonly string[] = config.eval.controls
        if (reads.startsWith('answers_only')) expect(controls, id).toContain('answers_only')
        if (/^(shuffled|exchanged|filler)/.test(reads)) expect(controls, id).toContain(reads)
        if (mode === 'pointwise') expect(config.eval.pointwise).toBe(true)
        if (reads === 'internalized') expect(config.rl.steps).toBeGreaterThan(0)
      }
    })
  },
)

it('R2Rec has the rows that its specification lists', () => {
  const ids = ablationsOf(configOf('r2rec').config).map(({ id }) => id)
  const wanted = [
    'full',
    'no_rl',
    'no_sft',
    'no_training',
    'answers_only_rl',
    'no_chains',
    'one_shot',
    'no_filter',
    'open_chains',
  ]
  expect(ids).toEqual(
    expect.arrayContaining([
      ...wanted,
      'chains_0',
      'chains_1',
      'chains_3',
      'chains_5',
      'hit_only',
      'pointwise',
      'shuffled_ratings',
    ]),
  )
})

describe('choosing rows', () => {
  const grid = ablationsOf(configOf('r2rec').config)

  it('keeps the order of the grid', () => {
    expect(chosenAblations(grid, ['open_chains', 'full']).map(({ id }) => id)).toEqual([
      'full',
      'open_chains',
    ])
  })

  it.each([[['fulll']], [[]], [['full', '']]])('refuses %j', (names) => {
    expect(() => chosenAblations(grid, names)).toThrow(expect.objectContaining({ code: 'RR_USAGE_ROWS' }))
  })
})

describe('a row over seeds', () => {
  const ablation: Ablation = { id: 'a', what: 'w', run: 'a', set: [], reads: 'internalized', mode: null }
  const summary = (hr1: number, mode: ResultRow['mode'] = 'think_score'): RunSummary => {
    const means = { hr1, hr5: 0.5, ndcg5: 0.4, mrr: 0.3 }
    const row = {
      id: 'internalized',
      mode,
      n: 40,
      parse_rate: 1,
      ...means,
      lo95: { ...means, hr1: hr1 - 0.1 },
      hi95: { ...means, hr1: hr1 + 0.1 },
    }
    return { run: '/run', table: [row] } as unknown as RunSummary
  }

  it('is the mean, with the bounds of one seed', () => {
    const runs = [0.2, 0.4].map((hr1, seed) => ({ seed, summary: summary(hr1), evalMode: 'think_score' }))
    const row = ablationRow(ablation, runs)
    expect(row).toMatchObject({ id: 'a', what: 'w', seeds: [0, 1], n: 40, mrr: 0.3, hr1_by_seed: [0.2, 0.4] })
    expect([row.hr1, row.lo95.hr1, row.hi95.hr1]).toEqual([
      expect.closeTo(0.3, 12),
      expect.closeTo(0.2, 12),
      expect.closeTo(0.4, 12),
    ])
    expect(row).not.toHaveProperty('hr3')
  })

  it('is refused where the run lacks it', () => {
    const runs = [{ seed: 0, summary: summary(0.2, 'free'), evalMode: 'think_score' }]
    expect(() => ablationRow(ablation, runs)).toThrow(expect.objectContaining({ code: 'RR_DATA_ROW' }))
  })
})

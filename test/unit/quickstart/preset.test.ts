import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../../../src/config/load.js'
import { methodSteps, presetFile } from '../../../src/methods/registry.js'
import { createRun } from '../../../src/methods/session.js'
import { allPhases, runStages } from '../../../src/phases/pipeline.js'

const folder = mkdtempSync(join(tmpdir(), 'quickstart-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const few = [
  'collect.instances=12',
  'collect.k_free=2',
  'collect.keep_misses=true',
  'collect.gates=[G1, G2]',
  'sft.epochs=1',
  'rl.steps=2',
  'rl.prompts=2',
  'rl.group=4',
  'eval.instances=12',
  'eval.free=true',
  'eval.controls=[shuffled_history, answers_only]',
  'report.html=false',
]

async function run(name: string, seed: number) {
  const loaded = loadConfig({ preset: presetFile('re2-quickstart'), file: null, set: few, options: { seed } })
  const silent = { start: () => {}, advance: () => {}, note: () => {}, end: () => {} }
  const watcher = { progress: silent, onSample: () => {}, signal: new AbortController().signal }
  const context = await createRun(loaded, join(folder, name), allPhases, watcher)
  try {
    return await runStages(context, methodSteps(context.config))
  } finally {
    context.run.close()
  }
}

describe('the quickstart preset, a few steps of it', () => {
  it('fills every row of the table from the embedded world and model alone', async () => {
    const summary = await run('first', 3)
    const rows = summary?.table.map(({ id, mode }) => `${id} ${mode}`) ?? []
    expect(new Set(rows)).toEqual(
      new Set([
        'random none',
        'popularity none',
        'item_knn none',
        'oracle none',
        'base think_score',
        'base score',
        'base free',
        'imitated think_score',
        'imitated score',
        'internalized think_score',
        'internalized score',
        'answers_only_sft score',
        'answers_only_rl score',
        'shuffled_history think_score',
      ]),
    )
    for (const { n, hr1, lo95, hi95 } of summary?.table ?? []) {
      expect(n).toBe(12)
      expect(lo95.hr1).toBeLessThanOrEqual(hr1)
      expect(hi95.hr1).toBeGreaterThanOrEqual(hr1)
    }
  }, 60_000)

  it('gives the same bits again with the same seed', async () => {
    await run('again', 3)
    const bytes = (name: string) => readFileSync(join(folder, name, 'adapter', 'adapter_model.safetensors'))
    expect(bytes('again').equals(bytes('first'))).toBe(true)
  }, 60_000)
})

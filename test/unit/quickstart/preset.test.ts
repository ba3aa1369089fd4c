import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../../../src/config/load.js'
import { methodSteps, presetFile } from '../../../src/methods/registry.js'
import { createRun } from '../../../src/methods/session.js'
import { readPredictions } from '../../../src/phases/evaluation/prediction-lines.js'
import { allPhases, runStages } from '../../../src/phases/pipeline.js'
import { scoreBehind } from '../../../src/phases/prediction/predictions.js'
import type { PhaseContext, StageModel } from '../../../src/phases/run/context.js'
import { testInstances } from '../../../src/phases/run/instances.js'
import { imitatedStage, internalizedStage } from '../../../src/phases/run/stage-models.js'
import { untrustedPassage } from '../../../src/prompts/untrusted-text.js'

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
  'eval.controls=[shuffled_history, exchanged_reasoning, filler_reasoning, answers_only]',
  'eval.probes=[frozen_scorer, truncation, sufficiency, perturbation]',
  'eval.popularity_cuts=[1, 5]',
  'report.html=false',
]

async function run(
  name: string,
  seed: number,
  look: (context: PhaseContext) => Promise<void> = async () => {},
) {
  const loaded = loadConfig({ preset: presetFile('re2-quickstart'), file: null, set: few, options: { seed } })
  const silent = { start: () => {}, advance: () => {}, note: () => {}, end: () => {} }
  const watcher = { progress: silent, onSample: () => {}, signal: new AbortController().signal }
  const context = await createRun(loaded, join(folder, name), allPhases, watcher)
  try {
    const summary = await runStages(context, methodSteps(context.config))
    await look(context)
    return summary
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
        'exchanged_reasoning think_score',
        'filler_reasoning think_score',
      ]),
    )
    const { internalized = {}, base = {} } = summary?.quality ?? {}
    for (const name of [
      'frozen_gain',
      'posterior_gain',
      'sufficient_hr1',
      'truncated_50_hr1',
      'self_bleu',
      'arp_at5',
    ])
      expect(internalized[name], name).toBeTypeOf('number')
    expect(base.frozen_gain).toBeUndefined()
    // Behind all of its own words the model stands where it stood when it wrote them.
    const own = summary?.table.find(({ id, mode }) => id === 'internalized' && mode === 'think_score')
    expect(internalized.truncated_100_hr1).toBeCloseTo(own?.hr1 ?? Number.NaN, 12)
    for (const { n, hr1, lo95, hi95 } of summary?.table ?? []) {
      expect(n).toBe(12)
      expect(lo95.hr1).toBeLessThanOrEqual(hr1)
      expect(hi95.hr1).toBeGreaterThanOrEqual(hr1)
    }
  }, 60_000)

  it('gives the same bits again with the same seed, and scores a reasoning alike whoever wrote it', async () => {
    await run('again', 3, async (context) => {
      const tests = testInstances(context.dataset, context.config)
      const linesOf = (row: string) => {
        const lines = readPredictions(context.run).filter(
          (line) => line.row === row && line.mode === 'think_score',
        )
        return new Map(lines.map((line) => [line.instance, line]))
      }
      const [own, exchanged] = [linesOf('internalized'), linesOf('exchanged_reasoning')]
      const stage = await internalizedStage(context, await imitatedStage(context))
      const reasonings = tests.map(({ id }) => own.get(id)?.reasoning ?? '')
      // Behind its own reasoning the model has the scores it has when it thinks.
      const behind = await scoreBehind(context, stage as StageModel, tests, reasonings)
      expect(behind.map(({ scores }) => scores)).toEqual(tests.map(({ id }) => own.get(id)?.scores))
      // Everybody reads another's, and every reasoning is read once.
      const read = tests.map(({ id }) => exchanged.get(id)?.reasoning)
      expect([...read].sort()).toEqual([...reasonings].sort())
      expect(exchanged.size).toBe(12)
      // The filler is full stops, no shorter than the reasoning and longer by less than one more of them.
      const filler = linesOf('filler_reasoning')
      const tokens = (text = ''): number =>
        context.encoding.tokenizer.encodeParts([untrustedPassage(text)]).length
      for (const { id } of tests) {
        const stops = filler.get(id)?.reasoning ?? ''
        expect(stops).toMatch(/^\.( \.)*$/)
        expect(tokens(stops)).toBeGreaterThanOrEqual(tokens(own.get(id)?.reasoning))
        expect(tokens(stops.slice(0, -2))).toBeLessThan(tokens(own.get(id)?.reasoning))
      }
      expect(tests.map(({ id }) => exchanged.get(id)?.scores)).not.toEqual(
        tests.map(({ id }) => own.get(id)?.scores),
      )
    })
    const bytes = (name: string) => readFileSync(join(folder, name, 'adapter', 'adapter_model.safetensors'))
    expect(bytes('again').equals(bytes('first'))).toBe(true)
  }, 60_000)
})

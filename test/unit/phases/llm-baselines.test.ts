/**
 * The field's language-model baselines as named rows: each is asked and trained as its name says, in a run of their own and
 * beside a method, and an interrupted training ends in the same bytes.
 */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadConfig, readStoredConfig } from '../../../src/config/load.js'
import { llmBaselines, type ResultRow } from '../../../src/eval/result-row.js'
import { methodOf } from '../../../src/methods/registry.js'
import { openRun, openTested } from '../../../src/methods/session.js'
import { keptTraces } from '../../../src/phases/collection/traces.js'
import { answeredInstances } from '../../../src/phases/evaluation/answers-only.js'
import { preferredTitle } from '../../../src/phases/evaluation/answers-only-preferences.js'
import { compareRuns } from '../../../src/phases/evaluation/compare-runs.js'
import type { PredictionLine } from '../../../src/phases/evaluation/prediction-lines.js'
import { imitationPlan } from '../../../src/phases/imitation/examples.js'
import { baselinePhases } from '../../../src/phases/pipeline.js'
import { predict } from '../../../src/phases/prediction/predictions.js'
import type { PhaseContext } from '../../../src/phases/run/context.js'
import { readJsonLines } from '../../../src/phases/run/files.js'
import {
  collectInstances,
  shownInstance,
  testInstances,
  trainingParts,
} from '../../../src/phases/run/instances.js'
import { Interrupted } from '../../../src/phases/run/interrupt.js'
import { silentProgress } from '../../../src/phases/run/progress.js'
import type { PairedDifference, RunSummary } from '../../../src/phases/run/run-record.js'
import { baseStage } from '../../../src/phases/run/stage-models.js'
import { randomModel, smallRun } from '../../fixtures/small-run.js'
import { writeSyntheticData } from '../../fixtures/synthetic-data.js'

const folder = mkdtempSync(join(tmpdir(), 'reasonrec-llm-baselines-'))
const straight = join(folder, 'straight')
let set: string[] = []
let summary: RunSummary

beforeAll(async () => {
  const data = join(folder, 'data')
  await writeSyntheticData(data, { users: 40, items: 60, seed: 1, userSplit: true, noun: 'film' })
  const model = await randomModel(join(folder, 'model'))
  set = [
    `model.dir=${model}`,
    `data.dir=${data}`,
    'model.threads=1',
    'data={max_hist: 4, candidates: C8}',
    'prompt.wording=compact',
    'collect={regime: builtin, instances: 24}',
    'sft={epochs: 4, batch: 8, rank: 4, alpha: 8, lr: 0.02, save_every: 5}',
    'rl={steps: 6, prompts: 4, group: 4, max_new: 12, warmup: 0, lr: 0.02, save_every: 4, dynamic_sampling: false}',
    'eval={instances: 6, max_new: 8, chunk: 4}',
    `baselines.llm=[${llmBaselines.join(', ')}]`,
  ]
  summary = (await smallRun({ set, out: straight, phases: baselinePhases })) as RunSummary
}, 120_000)
afterAll(() => rmSync(folder, { recursive: true }))

const rowOf = (table: readonly ResultRow[], name: string): ResultRow =>
  table.find(({ baseline }) => baseline === name) as ResultRow
const curve = (out: string, name: string): number[] =>
  JSON.parse(readFileSync(join(out, `answers-only-${name}`, 'curve.json'), 'utf8'))

async function inRun<T>(out: string, look: (context: PhaseContext) => Promise<T>): Promise<T> {
  const { signal } = new AbortController()
  const context = await openRun(out, { signal, progress: silentProgress, onSample() {} })
  try {
    return await look(context)
  } finally {
    context.run.close()
  }
}

describe('a run of baselines alone', () => {
  it('has the five rows beside the counting ones, and nothing of a method', () => {
    expect(summary.table.map(({ id, mode, baseline }) => [id, mode, baseline])).toEqual([
      ['random', 'none', undefined],
      ['popularity', 'none', undefined],
      ['item_knn', 'none', undefined],
      ['base', 'score', 'zero_shot'],
      ['base', 'think_score', 'zero_shot_cot'],
      ['answers_only_sft', 'score', 'sft_direct'],
      ['answers_only_sdpo', 'score', 'sdpo'],
      ['answers_only_rl', 'score', 'grpo_direct'],
    ])
    const trained = ['answers_only_sft', 'answers_only_sdpo', 'answers_only_rl']
    expect(Object.keys(summary.places ?? {})).toEqual(['base', ...trained])
    expect(summary).toMatchObject({ adapter: null, baselines_only: true, collect: { sampled: 0 } })
    const report = readFileSync(join(straight, 'report.md'), 'utf8')
    for (const name of ['Zero-shot, chain of thought', 'SFT-direct', 'S-DPO', 'GRPO-direct'])
      expect(report).toContain(`| ${name} |`)
    expect(report).not.toMatch(/NaN|Infinity|# Pattern Imitation|Missing or unreadable/)
  })

  it('asks the model as given with reasoning and without', async () => {
    const lines = readJsonLines<PredictionLine>(join(straight, 'predictions.jsonl'))
    await inRun(straight, async (context) => {
      const tests = testInstances(context.dataset, context.config)
      for (const mode of ['score', 'think_score'] as const) {
        const own = lines.filter((line) => line.row === 'base' && line.mode === mode)
        const asked = await predict(context, baseStage(context), mode, tests)
        expect(own.map(({ scores }) => scores)).toEqual(asked.map(({ scores }) => scores))
      }
    })
  })

  it('learns answers, then from preferences and from rewards', () => {
    const sft = curve(straight, 'sft')
    // 24 answers in batches of 8, four times.
    expect(sft).toHaveLength(12)
    expect(sft.at(-1)).toBeLessThan(0.7 * (sft[0] as number))
    const sdpo = curve(straight, 'sdpo')
    // The policy begins as its reference: all D are 0, so -log sigmoid(-log 3) = log 4; fp32 sums.
    expect(sdpo[0]).toBeCloseTo(Math.log(4), 5)
    expect(Math.min(...sdpo)).toBeLessThan(Math.log(4) - 0.05)
    expect(curve(straight, 'rl')).toHaveLength(6)
    const scores = (row: string): unknown =>
      readJsonLines<PredictionLine>(join(straight, 'predictions.jsonl'))
        .filter((line) => line.row === row && line.mode === 'score')
        .map((line) => line.scores)
    const rows = ['base', 'answers_only_sft', 'answers_only_sdpo', 'answers_only_rl'].map(scores)
    expect(new Set(rows.map((row) => JSON.stringify(row))).size).toBe(4)
  })

  it('prefers the true title over others of its list, drawn anew at each step', () =>
    inRun(straight, async (context) => {
      const [first] = trainingParts(context.dataset, context.config).internalization
      const instance = shownInstance(context.dataset, first as (typeof context.dataset.train)[number], 0)
      const choices = context.encoding.choices(instance).map((ids) => ids.join(' '))
      const drawn = [0, 1, 2, 3].map((step) => {
        const group = preferredTitle(context, instance, step)
        const [winner, ...losers] = group?.completions.map(({ ids }) => Array.from(ids).join(' ')) ?? []
        expect(winner).toBe(choices[instance.candidates.indexOf(instance.target)])
        expect(new Set(losers).size).toBe(3)
        for (const loser of losers) {
          expect(choices).toContain(loser)
          expect(loser).not.toBe(winner)
        }
        return losers.sort().join()
      })
      expect(new Set(drawn).size).toBeGreaterThan(1)
    }))

  it('has paired intervals of each against the others and against the best that counts', () => {
    const differences = summary.differences as readonly PairedDifference[]
    const hr1 = differences.filter(({ metric }) => metric === 'hr1')
    expect(hr1).toHaveLength(10 + 5)
    const side = ({ id, mode }: PairedDifference['a']): number =>
      summary.table.find((row) => row.id === id && row.mode === mode)?.hr1 ?? Number.NaN
    for (const { a, b, n, difference, lo95, hi95 } of hr1) {
      expect(difference).toBeCloseTo(side(a) - side(b), 12)
      expect([n, lo95 <= difference, difference <= hi95]).toEqual([6, true, true])
    }
    const counted = summary.table.filter(({ mode }) => mode === 'none').map((row) => row.hr1)
    const against = hr1.filter(({ b }) => b.mode === 'none')
    expect(against.map(({ a }) => a.baseline)).toEqual([...llmBaselines])
    for (const { b } of against) expect(side(b)).toBe(Math.max(...counted))
  })

  it.each([
    ['answers only, SFT', 7],
    ['answers only, RL', 5],
  ])('interrupted in %s it ends in the same bytes', async (stopIn, stopAt) => {
    const out = join(folder, stopIn.replaceAll(/\W/g, ''))
    const phases = baselinePhases
    await expect(smallRun({ set, out, phases, stopIn, stopAt })).rejects.toBeInstanceOf(Interrupted)
    const again: string[] = []
    const resumed = await smallRun({ set, out, onPhase: (phase) => again.push(phase) })
    for (const name of [
      'predictions.jsonl',
      'samples.jsonl',
      ...['sft', 'sdpo', 'rl'].flatMap((arm) =>
        ['adapter_model.safetensors', 'curve.json'].map((file) => `answers-only-${arm}/${file}`),
      ),
    ])
      expect(readFileSync(join(out, name)).equals(readFileSync(join(straight, name))), name).toBe(true)
    expect(resumed?.table).toEqual(summary.table)
    // What was done before is not trained again.
    expect(again[0]).toBe(stopIn)
  })

  it('is compared by the names of its rows', async () => {
    const { config } = readStoredConfig(join(straight, 'config.yaml'))
    const run = {
      path: straight,
      config,
      dataset: await openTested(config),
      metrics: methodOf(config).metrics,
    }
    const choice = (row: string) => ({ row, mode: null })
    const { a, b, differences } = compareRuns(run, run, { a: choice('sdpo'), b: choice('zero_shot_cot') }, 0)
    expect([a.row, a.mode, b.row, b.mode]).toEqual(['answers_only_sdpo', 'score', 'base', 'think_score'])
    const own = summary.differences?.find(
      (d) => d.a.baseline === 'sdpo' && d.b.baseline === 'zero_shot_cot' && d.metric === 'mrr',
    )
    expect(differences.find(({ metric }) => metric === 'mrr')).toMatchObject({
      difference: own?.difference,
      lo95: own?.lo95,
    })
  })
})

it('beside a method nothing is asked or trained twice', async () => {
  const out = join(folder, 'beside')
  const started: string[] = []
  const phases = (phase: string): void => {
    started.push(phase)
  }
  const found = await smallRun({
    set: [...set, 'rl.steps=1', 'eval.controls=[answers_only]', 'baselines.llm=[zero_shot, sft_direct]'],
    out,
    onPhase: phases,
  })
  expect(started.filter((phase) => phase.startsWith('answers'))).toEqual([
    'answers only, SFT',
    'answers only, RL',
  ])
  const keys = readJsonLines<PredictionLine>(join(out, 'predictions.jsonl')).map(
    ({ row, mode, instance }) => `${row} ${mode} ${instance}`,
  )
  expect(new Set(keys).size).toBe(keys.length)
  const table = found?.table ?? []
  expect(rowOf(table, 'zero_shot')).toMatchObject({ id: 'base', mode: 'score' })
  expect(rowOf(table, 'sft_direct')).toMatchObject({ id: 'answers_only_sft' })
  expect(table.find(({ id }) => id === 'answers_only_rl')).not.toHaveProperty('baseline')
  const pairs = found?.differences
    ?.filter(({ metric, a }) => metric === 'hr1' && a.id === 'internalized')
    .map(({ b }) => b.baseline)
  expect(pairs?.filter((name) => name !== undefined).sort()).toEqual(['sft_direct', 'zero_shot'])
})

it('learns the answers of all that Imitation has traces of, filled-up ones too, as often', async () => {
  const out = join(folder, 'filled')
  const collect = 'collect={regime: self, instances: 4, k_free: 1, k_hint: 0, max_new: 8, fill_to: 20}'
  const few = ['rl.steps=0', 'sft.epochs=1', 'eval.instances=2', 'baselines.llm=[sft_direct]']
  await smallRun({ set: [...set, collect, ...few], out })
  await inRun(out, async (context) => {
    const traced = new Set(keptTraces(context.run).map(({ instance }) => instance))
    const learnt = answeredInstances(context).map(({ id }) => id)
    expect(traced.size).toBe(20)
    expect(new Set(learnt).size).toBe(learnt.length)
    for (const id of traced) expect(learnt).toContain(id)
    const asked = collectInstances(context.dataset, context.config).map(({ id }) => id)
    expect(learnt.filter((id) => !traced.has(id) && !asked.includes(id))).toEqual([])
    expect(curve(out, 'sft')).toHaveLength(imitationPlan(context).plan.steps)
  })
})

it.each([
  ['sft_direct', 'sft.epochs=0'],
  ['grpo_direct', 'rl.steps=0'],
  ['sdpo', 'rl.steps=0'],
])('%s with %s is refused before anything is opened', (name, key) => {
  const sources = { preset: null, file: null, options: {} }
  expect(() => loadConfig({ ...sources, set: [`baselines.llm=[${name}]`, key] })).toThrow(key.split('=')[0])
  expect(loadConfig({ ...sources, set: ['baselines.llm=[zero_shot]', key] }).config.baselines.llm).toEqual([
    'zero_shot',
  ])
})

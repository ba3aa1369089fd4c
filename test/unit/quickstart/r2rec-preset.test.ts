/** R2Rec on the embedded world and model, a few steps of its quickstart: every row, every phase, the same bits again. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../../../src/config/load.js'
import type { Trace } from '../../../src/methods/method.js'
import { askedOf } from '../../../src/methods/r2rec/index.js'
import { evidenceOf } from '../../../src/methods/r2rec/question.js'
import { methodSteps, presetFile } from '../../../src/methods/registry.js'
import { createRun, openRun } from '../../../src/methods/session.js'
import { keptTraces } from '../../../src/phases/collection/traces.js'
import { imitationPlan } from '../../../src/phases/imitation/examples.js'
import { allPhases, runStages } from '../../../src/phases/pipeline.js'
import { readJsonLines } from '../../../src/phases/run/files.js'
import type { InternalizeMetrics, MetricsLine } from '../../../src/phases/run/run-record.js'

const folder = mkdtempSync(join(tmpdir(), 'r2rec-quickstart-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const few = [
  'collect.instances=12',
  'collect.k_free=2',
  'collect.chunk=6',
  'collect.fill_below=40',
  'collect.fill_to=40',
  'sft.epochs=1',
  'sft.batch=8',
  'rl.steps=2',
  'rl.prompts=2',
  'rl.group=4',
  'rl.mask_truncated=false',
  'eval.instances=12',
  'model.threads=1',
  'collect.max_new=24',
  'rl.max_new=24',
  'eval.max_new=24',
  'report.html=false',
]

const silent = { start: () => {}, advance: () => {}, note: () => {}, end: () => {} }
const watcher = { progress: silent, onSample: () => {}, signal: new AbortController().signal }

async function run(name: string, seed: number, more: readonly string[] = []) {
  const loaded = loadConfig({
    preset: presetFile('r2rec-quickstart'),
    file: null,
    set: [...few, ...more],
    options: { seed },
  })
  const context = await createRun(loaded, join(folder, name), allPhases, watcher)
  try {
    return await runStages(context, methodSteps(context.config))
  } finally {
    context.run.close()
  }
}

// Two to four seconds of work each, and far more where many share the machine.
describe('the quickstart preset of R2Rec, a few steps of it', { timeout: 180_000 }, () => {
  it('fills every row of the table, with the cut at three', async () => {
    const summary = await run('first', 3)
    expect(new Set(summary?.table.map(({ id, mode }) => `${id} ${mode}`))).toEqual(
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
        'shuffled_ratings think_score',
      ]),
    )
    for (const row of summary?.table ?? []) {
      expect(row.n).toBe(12)
      expect(row.hr3).toBeGreaterThanOrEqual(row.hr1)
      expect(row.hr5).toBeGreaterThanOrEqual(row.hr3 ?? 1)
      expect(row.hi95.ndcg3).toBeGreaterThanOrEqual(row.lo95.ndcg3 ?? 1)
    }
    const random = summary?.table.find(({ id }) => id === 'random')
    expect([random?.hr1, random?.hr3]).toEqual([expect.closeTo(0.05, 12), expect.closeTo(0.15, 12)])
  })

  it('leaves triples whose questions hold no answer', () => {
    const traces = readJsonLines<Trace>(join(folder, 'first/traces.jsonl'))
    const kept = traces.filter((trace) => trace.kept)
    expect(kept.length).toBeGreaterThanOrEqual(20)
    for (const trace of kept) {
      const { query, chains, answer } = evidenceOf(askedOf(trace))
      if (query === 'ranking') continue
      expect(trace.candidates).toEqual([])
      expect(Number(trace.answer)).toBe(answer)
      for (const chain of chains) {
        expect(chain.items.at(-1)).toBe(trace.target)
        expect(chain.ratings.at(-1)).toBeNull()
      }
    }
    expect(new Set(kept.map((trace) => evidenceOf(askedOf(trace)).query))).toContain('rating')
  })

  it('learns from responses alone: no weight on a prompt, all of it on thoughts and answer', async () => {
    const context = await openRun(join(folder, 'first'), watcher)
    try {
      const traces = context.method.mixture(keptTraces(context.run), context.config.seed)
      const { examples, direct, overlong } = imitationPlan(context)
      expect([examples.length, direct, overlong]).toEqual([traces.length, 0, 0])
      for (const { id, ids, weights } of examples) {
        const trace = traces[Number(id.split('#').at(-1))] as Trace
        const prompt = context.encoding.prompt(askedOf(trace), 'reason')
        expect(Array.from(ids.subarray(0, prompt.length))).toEqual(Array.from(prompt))
        expect(weights.subarray(0, prompt.length).every((weight) => weight === 0)).toBe(true)
        expect(weights.subarray(prompt.length).every((weight) => weight === 1)).toBe(true)
        const response = context.tokenizer.decode(ids.subarray(prompt.length))
        expect(response).toContain(`</think><answer>${trace.answer}</answer>`)
      }
    } finally {
      context.run.close()
    }
  })

  it('trains what it sampled', () => {
    const lines = readJsonLines<MetricsLine>(join(folder, 'first/metrics.jsonl')).filter(
      (line): line is InternalizeMetrics => line.phase === 'internalize',
    )
    expect(lines).toHaveLength(2)
    for (const { logprob_mismatch, reward_terms } of lines) {
      expect(logprob_mismatch).toBe(0)
      expect(Object.keys(reward_terms).sort()).toEqual(['answered', 'hit', 'ndcg_top', 'rating', 'steps'])
    }
  })

  it('gives the same bits again with the same seed', async () => {
    await run('again', 3)
    for (const file of ['traces.jsonl', 'predictions.jsonl', 'adapter/adapter_model.safetensors'])
      expect(
        readFileSync(join(folder, 'again', file)).equals(readFileSync(join(folder, 'first', file))),
        file,
      ).toBe(true)
  })

  it.each([
    [
      'one_shot, without chains, free answers',
      ['r2rec.prompting=one_shot', 'r2rec.chains=0', 'rl.answer=free', 'collect.answer=free'],
    ],
    [
      'predict_each, a copy of the adapter, rating prompts',
      ['r2rec.prompting=predict_each', 'rl.adapter=continue', 'r2rec.rating_prompts=0.5', 'rl.prompts=6'],
    ],
    ['the builtin teacher alone, without a filter', ['teacher.kind=builtin', 'r2rec.gates=[form]']],
  ] as const)('runs with %s', async (name, more) => {
    const summary = await run(name, 4, [...more, 'eval.controls=[]', 'eval.free=false', 'eval.direct=false'])
    expect(summary?.table.find(({ id }) => id === 'internalized')?.n).toBe(12)
  })
})

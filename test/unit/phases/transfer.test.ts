/**
 * Trained on one set, tested on another (eval.data): no prompt mixes them, the table is the other set's, and an evaluation
 * that was interrupted ends in the same bytes. The ids of the two sets are the same, so a mix-up would not be an error.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { loadConfig } from '../../../src/config/load.js'
import { openTested, testedConfig } from '../../../src/methods/session.js'
import { baselineTable } from '../../../src/phases/evaluation/baseline-table.js'
import type { PredictionLine } from '../../../src/phases/evaluation/prediction-lines.js'
import { Encoding } from '../../../src/phases/run/encoding.js'
import { readJsonLines } from '../../../src/phases/run/files.js'
import { testInstances } from '../../../src/phases/run/instances.js'
import { Interrupted } from '../../../src/phases/run/interrupt.js'
import { silentProgress } from '../../../src/phases/run/progress.js'
import type { RunSummary, SampleLine } from '../../../src/phases/run/run-record.js'
import { randomModel, smallR2Rec, smallRun } from '../../fixtures/small-run.js'
import { writeSyntheticData } from '../../fixtures/synthetic-data.js'

const folder = mkdtempSync(join(tmpdir(), 'reasonrec-transfer-'))
const [trained, tested] = [join(folder, 'films'), join(folder, 'albums')]
let titles: { readonly films: readonly string[]; readonly albums: readonly string[] }
let shared: string[] = []

beforeAll(async () => {
  const films = await writeSyntheticData(trained, {
    users: 40,
    items: 60,
    seed: 1,
    userSplit: true,
    noun: 'film',
  })
  const albums = await writeSyntheticData(tested, {
    users: 30,
    items: 48,
    seed: 5,
    userSplit: true,
    noun: 'album',
  })
  const renamed = (title: string): string => title.replace(/^The /, 'Our ')
  const items = join(tested, 'items.csv')
  writeFileSync(items, readFileSync(items, 'utf8').replace(/The /g, 'Our '))
  titles = { films: films.titles, albums: albums.titles.map(renamed) }
  const model = await randomModel(join(folder, 'model'))
  shared = [`model.dir=${model}`, `data.dir=${trained}`, `eval.data=${tested}`]
})
afterAll(() => rmSync(folder, { recursive: true }))
afterEach(() => vi.restoreAllMocks())
const { prompt } = Encoding.prototype

/** Prompts by the phase they were made in. */
function recordedPrompts(): { readonly byPhase: Map<string, string[]>; onPhase: (phase: string) => void } {
  const byPhase = new Map<string, string[]>()
  let phase = ''
  vi.spyOn(Encoding.prototype, 'prompt').mockImplementation(function (this: Encoding, ...asked) {
    const ids = prompt.apply(this, asked)
    byPhase.set(phase, [...(byPhase.get(phase) ?? []), this.tokenizer.decode(ids)])
    return ids
  })
  const onPhase = (name: string): void => {
    phase = name
  }
  return { byPhase, onPhase }
}

const shows = (text: string, set: readonly string[]): boolean => set.some((title) => text.includes(title))

function expectApart(byPhase: ReadonlyMap<string, readonly string[]>): void {
  expect(byPhase.get('evaluate')?.length).toBeGreaterThan(0)
  for (const [phase, texts] of byPhase) {
    const [own, other] = phase === 'evaluate' ? [titles.albums, titles.films] : [titles.films, titles.albums]
    for (const text of texts) {
      expect(shows(text, own), `${phase}: ${text}`).toBe(true)
      expect(shows(text, other), `${phase}: ${text}`).toBe(false)
    }
  }
}

describe('an R2Rec run that tests on another set', () => {
  const controls = 'eval.controls=[shuffled_ratings, answers_only]'
  const straight = join(folder, 'straight')
  let byPhase: ReadonlyMap<string, readonly string[]>
  let summary: RunSummary

  beforeAll(async () => {
    const recorded = recordedPrompts()
    const { onPhase } = recorded
    summary = (await smallRun({
      set: [...smallR2Rec, ...shared, controls],
      out: straight,
      onPhase,
    })) as RunSummary
    byPhase = recorded.byPhase
  }, 300_000)

  it('shows no title of the one in prompts about the other', () => {
    // What trains on fixed examples is put together before its phase is told of: Imitation's prompts and those of the control.
    expect([...byPhase.keys()]).toEqual(['collect', 'internalize', 'answers only, RL', 'evaluate'])
    expectApart(byPhase)
    expect(byPhase.get('evaluate')?.some((text) => text.includes('chain'))).toBe(true)
  })

  it('ranks the targets of the other', async () => {
    const { config } = loadConfig({
      preset: null,
      file: null,
      set: [...smallR2Rec, ...shared],
      options: {},
    })
    const dataset = await openTested(config)
    const tests = testInstances(dataset, config)
    const lines = readJsonLines<PredictionLine>(join(straight, 'predictions.jsonl'))
    const own = lines.filter(({ row, mode }) => row === 'internalized' && mode === 'think_score')
    expect(own.map(({ instance }) => instance)).toEqual(tests.map(({ id }) => id))
    for (const { scores } of own) expect(scores).toHaveLength(8)
    const samples = readJsonLines<SampleLine>(join(straight, 'samples.jsonl')).filter(
      ({ phase }) => phase === 'evaluate',
    )
    expect(samples.length).toBeGreaterThan(0)
    for (const { target, candidates, history } of samples) {
      expect(candidates).toContain(target)
      for (const title of [...candidates, ...history]) expect(titles.albums).toContain(title)
    }
    const place = { config: testedConfig(config), dataset, folder, progress: silentProgress }
    const counted = await baselineTable({ ...place, signal: new AbortController().signal })
    for (const row of counted.table)
      expect(summary.table.find(({ id }) => id === row.id)?.mrr, row.id).toBe(row.mrr)
  })

  it('names both sets in the summary, the audit and the report', () => {
    expect(summary).toMatchObject({
      dataset: { name: 'films', items: 60 },
      tested: { name: 'albums', items: 48 },
      audit: { verdict: expect.any(String), trained: { verdict: expect.any(String) } },
    })
    const report = readFileSync(join(straight, 'report.md'), 'utf8')
    expect(report).toContain('trained on films, tested on albums')
    expect(report).toContain('This run follows R2Rec')
    expect(report).toMatch(/albums: chains of 6 tests: [\d.]+ % closed, [\d.]+ % open only/)
    expect(report).not.toContain('RE2')
    expect(report).toMatch(/Test results on albums/)
    expect(report).toMatch(/Verdict on albums: /)
    expect(report).toMatch(/Verdict on films, which only trains: /)
    expect(readFileSync(join(straight, 'config.yaml'), 'utf8')).toContain(`data: ${tested}`)
  })

  it('interrupted in its evaluation ends in the same bytes', async () => {
    const out = join(folder, 'interrupted')
    const set = [...smallR2Rec, ...shared, controls]
    await expect(smallRun({ set, out, stopAt: 8 })).rejects.toBeInstanceOf(Interrupted)
    const before = readJsonLines<PredictionLine>(join(out, 'predictions.jsonl')).length
    expect(before).toBeGreaterThan(0)
    const resumed = await smallRun({ set, out })
    for (const name of ['traces.jsonl', 'predictions.jsonl', 'samples.jsonl'])
      expect(readFileSync(join(out, name), 'utf8'), name).toBe(readFileSync(join(straight, name), 'utf8'))
    expect(readJsonLines(join(out, 'predictions.jsonl')).length).toBeGreaterThan(before)
    expect(resumed?.table).toEqual(summary.table)
  }, 300_000)
})

it('RE2 does the same by the key alone', async () => {
  const { byPhase, onPhase } = recordedPrompts()
  const set = [
    'model.threads=1',
    'data={max_hist: 4, candidates: C8}',
    'prompt.wording=compact',
    'teacher.kind=builtin',
    'collect={instances: 12}',
    'sft={epochs: 1, batch: 8, rank: 2, alpha: 4}',
    'rl.steps=0',
    'eval={instances: 4, max_new: 8}',
  ]
  const summary = await smallRun({ set: [...set, ...shared], out: join(folder, 're2'), onPhase })
  expectApart(byPhase)
  expect(summary?.tested?.name).toBe('albums')
}, 300_000)

it('a run without the key says nothing of another set', async () => {
  const set = [...smallR2Rec, ...shared, 'eval.data=null', 'rl.steps=0', 'eval.direct=false']
  const summary = await smallRun({ set, out: join(folder, 'plain') })
  expect(summary?.dataset.name).toBe('films')
  expect(summary).not.toHaveProperty('tested')
  expect(summary?.audit).not.toHaveProperty('trained')
}, 300_000)

it('a run that imitates nothing collects nothing, and rewards start from the model as it came', async () => {
  const out = join(folder, 'no-sft')
  const set = [...smallR2Rec, ...shared, 'eval.data=null', 'sft.epochs=0', 'eval.controls=[answers_only]']
  const summary = await smallRun({ set, out })
  expect(readFileSync(join(out, 'traces.jsonl'), 'utf8')).toBe('')
  expect(summary?.collect).toMatchObject({ instances: 0, sampled: 0, builtin_share: 0 })
  const rowOf = (row: string) =>
    readJsonLines<PredictionLine>(join(out, 'predictions.jsonl'))
      .filter((line) => line.row === row && line.mode === 'score')
      .map(({ scores }) => scores)
  expect(rowOf('imitated')).toEqual(rowOf('base'))
  expect(rowOf('answers_only_sft')).toEqual(rowOf('base'))
  expect(rowOf('internalized')).toHaveLength(6)
  expect(readFileSync(join(out, 'report.md'), 'utf8')).not.toMatch(/NaN|Infinity/)
}, 300_000)

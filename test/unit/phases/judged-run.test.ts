/** A judge in a run: as a reward term, as an evaluation afterwards, and refused in both where it is blind. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { loadConfig } from '../../../src/config/load.js'
import { ReasonrecError } from '../../../src/engine/index.js'
import type { Calibration } from '../../../src/judge/calibration.js'
import { ChatJudge } from '../../../src/judge/chat-judge.js'
import { type JudgeReport, judgeFile } from '../../../src/judge/judge-report.js'
import type { Trace } from '../../../src/methods/method.js'
import { openDataset } from '../../../src/methods/session.js'
import { judgeRun } from '../../../src/phases/evaluation/judged-run.js'
import { readJsonLines, writeDurably } from '../../../src/phases/run/files.js'
import type { InternalizeMetrics, MetricsLine } from '../../../src/phases/run/run-record.js'
import { judgeLines, judgeSection } from '../../../src/report/judge-text.js'
import { readRun } from '../../../src/report/run-files.js'
import { FaultServer } from '../../fixtures/fault-server.js'
import { blindJudge, recallingJudge } from '../../fixtures/judges.js'
import { smallRun } from '../../fixtures/small-run.js'

vi.setConfig({ testTimeout: 120_000 }) // every answer is synced to the disk, and disks are shared
const folder = mkdtempSync(join(tmpdir(), 'reasonrec-judged-'))
const out = join(folder, 'run')
let good: FaultServer
let blind: FaultServer
let set: string[] = []

beforeAll(async () => {
  set = [
    'model={dir: embedded, threads: 1}',
    'data={dir: embedded, min_hist: 8, max_hist: 8}',
    'prompt={max_words: 30, wording: compact}',
    'collect={answer: constrained, instances: 24, k_free: 4, k_hint: 0, top_p: 1, temperature: 1, max_new: 24, min_words: 6, max_words: 44, fill: none}',
    'sft={epochs: 1, batch: 8, rank: 2, alpha: 4, direct_mix: 0}',
    'rl={steps: 1, prompts: 2, group: 3, max_new: 24, warmup: 1, dynamic_sampling: false}',
    'rl.reward.weights={judge: 0.5}',
    'eval={instances: 6, max_new: 24, chunk: 3}',
    'judge={model: wise, calibration: 8, detection: 0.7, instances: 6, backoff: 0.002}',
  ]
  const sound = new Set<string>()
  good = await FaultServer.start({
    answer: recallingJudge((reasoning, answer, history) => {
      // The traces are there before anybody is judged.
      if (sound.size === 0)
        for (const trace of readJsonLines<Trace>(join(out, 'traces.jsonl')))
          sound.add(JSON.stringify([trace.reasoning, trace.answer, trace.history.length]))
      return sound.has(JSON.stringify([reasoning, answer, history.length]))
    }),
  })
  blind = await FaultServer.start({ answer: blindJudge })
})
afterAll(async () => {
  await good.stop()
  await blind.stop()
  rmSync(folder, { recursive: true })
})

const asking = (server: FaultServer): string[] => [...set, `judge.baseURL="${server.baseURL}"`]

async function reported(server: FaultServer, out: string): Promise<JudgeReport> {
  const { config } = loadConfig({
    preset: join(out, 'config.yaml'),
    file: null,
    set: [`judge.baseURL="${server.baseURL}"`],
    options: {},
  })
  const judge = await ChatJudge.open(
    config,
    join(folder, `ledger-${server === good}`),
    new AbortController().signal,
  )
  try {
    const dataset = await openDataset(config)
    return await judgeRun({ path: out, config, dataset, training: dataset }, judge, [
      'internalized',
      'imitated',
    ])
  } finally {
    await judge.close()
  }
}

async function refusalOf(promise: Promise<unknown>): Promise<ReasonrecError> {
  const error = await promise.then(
    () => new Error('nothing was refused'),
    (thrown: unknown) => thrown,
  )
  if (error instanceof ReasonrecError) return error
  throw error
}

describe('a judge in a run', () => {
  it('rewards rollouts once it has found the faults planted in the traces', async () => {
    await smallRun({ set: asking(good), out })
    const calibration = JSON.parse(
      readFileSync(join(out, 'judge-calibration.json'), 'utf8'),
    ) as Calibration & { judge: string }
    expect([calibration.judge, calibration.traces, calibration.absolute.trusted]).toEqual(['wise', 8, true])
    const steps = readJsonLines<MetricsLine>(join(out, 'metrics.jsonl'))
    const [step] = steps.filter((line): line is InternalizeMetrics => line.phase === 'internalize')
    expect(step?.reward_terms.judge).toBeGreaterThan(0)
    expect(step?.reward_terms.judge).toBeLessThanOrEqual(1)
  })

  it('stops a run before its first step where it is blind', async () => {
    const refused = join(folder, 'refused')
    const error = await refusalOf(smallRun({ set: asking(blind), out: refused }))
    expect(error.code).toBe('RR_JUDGE_UNTRUSTED')
    expect(error.details.got).toContain('boilerplate found in 0 of 8')
    const steps = readJsonLines<{ phase: string }>(join(refused, 'metrics.jsonl')).filter(
      ({ phase }) => phase === 'internalize',
    )
    expect(steps).toEqual([])
  })

  it('grades and compares the rows of a run, and the report shows it', async () => {
    const report = await reported(good, out)
    expect([report.judge, report.instances]).toEqual(['wise', 6])
    expect(report.rows?.map(({ row, n }) => [row, n])).toEqual([
      ['internalized', 6],
      ['imitated', 6],
    ])
    for (const { score, lo95, hi95, grades } of report.rows ?? []) {
      expect(lo95).toBeLessThanOrEqual(score)
      expect(hi95).toBeGreaterThanOrEqual(score)
      expect(score).toBeCloseTo(
        (Object.values(grades).reduce((sum, grade) => sum + grade, 0) / 5 - 1) / 4,
        12,
      )
    }
    const [pair] = report.pairs ?? []
    expect(pair && [pair.a, pair.b, pair.wins + pair.losses + pair.ties]).toEqual([
      'internalized',
      'imitated',
      6,
    ])
    writeDurably(join(out, judgeFile), JSON.stringify(report))
    const { blocks } = judgeSection(await readRun(out))
    expect(blocks.map(({ kind }) => kind)).toEqual(['text', 'table', 'table', 'list'])
    expect(judgeLines(report)[0]).toBe('judge    wise: grades trusted; comparisons trusted')
  })

  it('of a blind judge only its blindness is told', async () => {
    const before = blind.received.length
    const report = await reported(blind, out)
    expect([report.rows, report.pairs]).toEqual([null, null])
    // Calibration alone: 8 traces with 5 faults each, in two orders, and as pairs in two places.
    expect(blind.received.length - before).toBeLessThanOrEqual(2 * (8 + 40) + 2 * 40)
    writeDurably(join(out, judgeFile), JSON.stringify(report))
    const { blocks } = judgeSection(await readRun(out))
    expect(blocks.map(({ kind }) => kind)).toEqual(['text', 'warning', 'table'])
    expect(judgeLines(report).some((line) => line.startsWith('score'))).toBe(false)
    expect(judgeLines(report)).toContain('refused  grades: contradiction found in 0 of 8, 70 % are asked')
  })

  it('leaves a run without one as it is', async () => {
    const plain = await readRun(out)
    expect(judgeSection({ ...plain, judge: null }).blocks).toEqual([])
  })
})

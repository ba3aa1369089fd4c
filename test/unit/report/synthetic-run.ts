/** Writes a run directory as the phases do, every number drawn from a seed, with titles that attack each output. */

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64'
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'
import type { InferenceMode, ResultRow, RowId } from '../../../src/eval/result-row.js'
import type { Trace } from '../../../src/methods/method.js'
import type {
  ImitateMetrics,
  InternalizeMetrics,
  MetricsLine,
  RunSummary,
  SampleLine,
  ValidationMetrics,
} from '../../../src/phases/run/run-record.js'

export const hostileTitles = [
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  '\u001b]0;owned\u0007\u001b[31mred\u001b[0m Album',
  '=cmd()|calc',
  '](javascript:alert(1)) | `tick` **bold**',
  'right\u202eto-left\u200b override',
  '</svg><style>*{display:none}</style>',
]

const plainTitles = [
  'Kind of Blue',
  'The Köln Concert',
  'Blue Train',
  'Head Hunters',
  'A Love Supreme',
  'Time Out',
  'Moanin’',
  'Maiden Voyage',
  'Speak No Evil',
  'Giant Steps',
]

export interface SyntheticOptions {
  readonly seed: number
  readonly imitateSteps?: number
  readonly internalizeSteps?: number
  /** A run that stopped after Pattern Imitation: no summary, no internalization. */
  readonly stopAfterImitate?: boolean
  readonly datasetName?: string
}

export interface SyntheticRun {
  readonly summary: RunSummary
  readonly samples: readonly SampleLine[]
  readonly traces: readonly Trace[]
}

export async function writeSyntheticRun(directory: string, options: SyntheticOptions): Promise<SyntheticRun> {
  const generator = xoroshiro128plus(options.seed)
  const random = (): number => uniformFloat64(generator)
  const imitateSteps = options.imitateSteps ?? 40
  const internalizeSteps = options.internalizeSteps ?? 30
  const imitate = Array.from({ length: imitateSteps }, (_, step) =>
    imitateLine(step + 1, imitateSteps, random),
  )
  const internalize = Array.from({ length: internalizeSteps }, (_, step) =>
    internalizeLine(step + 1, internalizeSteps, random),
  )
  const validations = validationLines(imitateSteps, internalizeSteps, random)
  const collect: MetricsLine = {
    phase: 'collect',
    instances: 120,
    done: 120,
    sampled: 600,
    kept_a: 60,
    kept_b: 20,
    kept_c: 20,
    tokens_per_second: 512.5,
  }
  const samples = ['base', 'imitated', 'internalized'].flatMap((model, place) =>
    sampleLines(model, place, random),
  )
  const traces = traceLines(random)
  const summary = summaryOf(options, random)
  const stopped = options.stopAfterImitate === true
  const metrics: MetricsLine[] = stopped
    ? [collect, ...imitate, ...validations.filter((line) => line.after !== 'internalize')]
    : [collect, ...imitate, ...internalize, ...validations]
  await mkdir(directory, { recursive: true })
  await writeFile(join(directory, 'metrics.jsonl'), jsonLines(metrics))
  await writeFile(
    join(directory, 'samples.jsonl'),
    jsonLines(stopped ? samples.filter((line) => line.model !== 'internalized') : samples),
  )
  await writeFile(join(directory, 'traces.jsonl'), `${jsonLines(traces)}{"torn": tr`)
  await writeFile(
    join(directory, 'config.yaml'),
    'method: re2\ncollect:\n  instances: 120 # <b>bold</b>\nrl:\n  steps: 30\n  group: 8\n',
  )
  if (!stopped) await writeFile(join(directory, 'summary.json'), JSON.stringify(summary))
  return { summary, samples, traces }
}

function jsonLines(lines: readonly object[]): string {
  return lines.map((line) => `${JSON.stringify(line)}\n`).join('')
}

function imitateLine(step: number, steps: number, random: () => number): ImitateMetrics {
  const share = step / steps
  return {
    phase: 'imitate',
    step,
    steps,
    loss: 2.2 * Math.exp(-2.5 * share) + 0.9 + 0.15 * random(),
    grad_norm: 0.6 + 0.5 * random(),
    lr: 2e-4 * Math.min(1, step / 4) * (1 - share + 1 / steps),
    tokens: 4000 + Math.floor(500 * random()),
    tokens_per_second: 800 + 60 * random(),
    ...(step === 7 && { skipped: true }),
  }
}

function internalizeLine(step: number, steps: number, random: () => number): InternalizeMetrics {
  const share = step / steps
  const hit = 0.06 + 0.12 * share + 0.04 * random()
  return {
    phase: 'internalize',
    step,
    steps,
    loss: 0.01 * (random() - 0.5),
    reward: 0.1 + 0.5 * share + 0.2 * random(),
    reward_std: 0.3 + 0.1 * random(),
    reward_terms: {
      hit,
      ndcg_cand: 0.3 + 0.2 * share + 0.03 * random(),
      gain: 0.1 * share + 0.02 * random(),
    },
    hr1: hit,
    parse_rate: 0.8 + 0.15 * share,
    kl: 0.002 * (step - 1) * random(),
    entropy: 1.6 - 0.5 * share + 0.1 * random(),
    ratio_mean: 1,
    clip_ratio_low: 0.01 * random(),
    clip_ratio_high: 0.02 * random(),
    logprob_mismatch: 0,
    frac_reward_zero_std: 0.3 - 0.2 * share,
    completion_length: 70 + 10 * random() - 8 * share,
    grad_norm: 0.2 + 0.2 * random(),
    lr: 1e-5 * Math.min(1, step / 10),
    tokens: 9000,
    tokens_per_second: 310 + 20 * random(),
  }
}

function validationLines(
  imitateSteps: number,
  internalizeSteps: number,
  random: () => number,
): ValidationMetrics[] {
  const line = (
    model: string,
    after: ValidationMetrics['after'],
    step: number,
    hr1: number,
  ): ValidationMetrics => ({
    phase: 'evaluate',
    model,
    after,
    step,
    hr1: hr1 + 0.01 * random(),
    hr5: 0.4,
    ndcg5: 0.3,
    n: 200,
  })
  return [
    line('base', 'base', 0, 0.05),
    line(`imitate@${imitateSteps / 2}`, 'imitate', imitateSteps / 2, 0.08),
    line('imitated', 'imitate', imitateSteps, 0.1),
    line(`internalize@${internalizeSteps / 2}`, 'internalize', internalizeSteps / 2, 0.13),
    line('internalized', 'internalize', internalizeSteps, 0.16),
  ]
}

function sampleLines(model: string, place: number, random: () => number): SampleLine[] {
  return Array.from({ length: 12 }, (_, index) => {
    const hostile = hostileTitles[index % hostileTitles.length]!
    const pick = (offset: number): string => plainTitles[(index + offset) % plainTitles.length]!
    const hit = random() < 0.2 + 0.25 * place
    const target = index < hostileTitles.length ? hostile : pick(5)
    return {
      phase: 'evaluate',
      model,
      step: 0,
      instance: `test/${index}/9`,
      history: [pick(0), hostile, pick(1), pick(2)],
      candidates: [pick(3), target, pick(4), pick(6)],
      target,
      reasoning: `The history moves from ${pick(0)} to ${hostile}; it stays with small groups recorded around 1960, and each later choice is more modal than the one before.\nA record by the same players would be a natural next step.`,
      chains: [
        {
          closed: true,
          hops: ['u0 - i0', 'u1 - i0', 'u1 - i1', 'u0 - i1'].map((hop, step) => ({
            hop,
            title: step < 2 ? hostile : pick(1),
            rating: step === 3 ? null : 4,
            thought: step === 1 ? `both like ${hostile}` : null,
          })),
        },
      ],
      answer: hit ? target : pick(3),
      hit,
    }
  })
}

function traceLines(random: () => number): Trace[] {
  return Array.from({ length: 300 }, (_, index) => {
    const kept = random() < 0.3
    const source = (['A', 'A', 'B', 'C'] as const)[index % 4]!
    const failed = random() < 0.5 ? 'G1' : 'G3'
    return {
      instance: `train/${index % 60}/4`,
      user: `u${index % 60}`,
      history: [1, 2, 3],
      candidates: [4, 5],
      target: 4,
      reasoning: 'because',
      answer: 'x',
      answerItem: 4,
      source,
      generator: source === 'C' ? 'builtin' : 'self',
      temperature: 1,
      stream: `${index}`,
      tokens: 60,
      gates: [
        { gate: 'G1', passed: kept || failed !== 'G1', value: null },
        { gate: 'G3', passed: kept || failed !== 'G3', value: null },
      ],
      gain: null,
      kept,
    }
  })
}

function resultRow(id: RowId, mode: InferenceMode, hr1: number, random: () => number): ResultRow {
  const value = hr1 + 0.003 * random()
  const around = (by: number) => ({
    hr1: value + by,
    hr5: 2 * value + by,
    ndcg5: 1.5 * value + by,
    mrr: 1.3 * value + by,
  })
  return {
    id,
    mode,
    n: 500,
    ...around(0),
    lo95: around(-0.021),
    hi95: around(0.023),
    parse_rate: mode === 'none' ? 1 : 0.93,
  }
}

function summaryOf(options: SyntheticOptions, random: () => number): RunSummary {
  const rows: ResultRow[] = [
    resultRow('random', 'none', 0.05, random),
    resultRow('popularity', 'none', 0.22, random),
    resultRow('item_knn', 'none', 0.41, random),
    resultRow('base', 'think_score', 0.06, random),
    resultRow('base', 'score', 0.07, random),
    resultRow('imitated', 'think_score', 0.11, random),
    resultRow('internalized', 'think_score', 0.17, random),
    resultRow('shuffled_history', 'think_score', 0.15, random),
  ]
  const pair = (a: RowId, b: RowId, difference: number, half: number) => ({
    metric: 'hr1' as const,
    a: { id: a, mode: 'think_score' as const },
    b: { id: b, mode: 'think_score' as const },
    n: 500,
    difference,
    lo95: difference - half,
    hi95: difference + half,
    p: difference > half ? 0.0004 : 0.21,
  })
  return {
    schema: 1,
    run: 'synthetic',
    adapter: 'adapter',
    report: 'report.html',
    seconds: { collect: 812.4, imitate: 403.2, internalize: 1730.9, evaluate: 611 },
    cpu_seconds: 6841,
    world_size: 1,
    config_hash: '5f2c9e0d11aa',
    table: rows,
    differences: [
      pair('imitated', 'base', 0.05, 0.02),
      pair('internalized', 'imitated', 0.06, 0.03),
      pair('internalized', 'base', 0.11, 0.034),
      pair('internalized', 'shuffled_history', 0.02, 0.03),
    ],
    collect: {
      instances: 120,
      sampled: 600,
      kept: { A: 60, B: 20, C: 20 },
      generators: { self: 80, builtin: 20 },
      rejected: { A: { G1: 210, G2: 40, G3: 180, G10: 3 }, B: { G1: 22, G4: 9 } },
      builtin_share: 0.2,
      target_deciles: {
        all: [4, 6, 7, 9, 10, 11, 13, 15, 20, 25],
        A: [0, 1, 2, 3, 4, 6, 8, 9, 12, 15],
        B: [1, 1, 1, 2, 2, 2, 2, 3, 3, 3],
        C: [2, 2, 2, 2, 2, 2, 2, 2, 2, 2],
      },
    },
    dataset: {
      name: options.datasetName ?? 'synthetic-records',
      items: 1200,
      train: 9000,
      valid: 500,
      test: 500,
      notes: ['12 titles merged, e.g. <b>Blue</b>'],
    },
    model: { name: 'tiny-<i>llama</i>', family: 'llama', parameters: 26_000_000, vocab: 6400 },
    environment: { node: 'v20.20.0', isa: 'avx2', threads: '2' },
    quality: {
      base: {
        gain: 0.01,
        grounding_precision: 0.61,
        arp: 180.5,
        aplt: 0.21,
        gini: 0.71,
        candidate_lift: 0.31,
        reasoning_words: 48,
      },
      imitated: {
        gain: 0.05,
        grounding_precision: 0.93,
        arp: 171.2,
        aplt: 0.24,
        gini: 0.66,
        candidate_lift: 0.22,
        reasoning_words: 52,
      },
      internalized: {
        gain: 0.12,
        grounding_precision: 0.95,
        arp: 160.1,
        aplt: 0.27,
        gini: 0.62,
        candidate_lift: 0.15,
        reasoning_words: 44,
      },
    },
    truncated: ['evaluation: 500 of 2,000 tests'],
  }
}

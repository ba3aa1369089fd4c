/** reasonrec ablate on a tiny model: rows that share runs, a second call that runs nothing, and chains in what people see. */

import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  cli,
  type Finished,
  lastJson,
  sha256,
  workFolder,
  writeSettings,
  writeTinyData,
  writeTinyModel,
} from './command-line.js'

interface Row {
  readonly id: string
  readonly seeds: readonly number[]
  readonly n: number
  readonly hr1: number
  readonly hr3: number
  readonly ndcg3: number
  readonly mrr: number
  readonly lo95: { readonly hr1: number }
  readonly hi95: { readonly hr1: number }
  readonly hr1_by_seed: readonly number[]
}

const folder = workFolder()
const out = join(folder.path, 'grid')
const rows = ['full', 'no_rl', 'answers_only_rl', 'shuffled_ratings', 'pointwise']
let model = ''
let data = ''
let settings = ''
let first: Finished
let table: readonly Row[]

const tiny = {
  data: { max_hist: 4, candidates: 'C8' },
  prompt: { wording: 'compact' },
  r2rec: { chains: 2, triples: 1, labels: 3, step_max_new: 12, tolerance: 4, min_tokens: 1 },
  teacher: { kind: 'builtin' },
  collect: { instances: 40, chunk: 20 },
  sft: { epochs: 1, batch: 8, rank: 4, alpha: 8, lr: 1e-3, direct_mix: 0 },
  rl: {
    steps: 2,
    prompts: 2,
    group: 3,
    max_new: 16,
    warmup: 1,
    mask_truncated: false,
    dynamic_sampling: false,
  },
  eval: { instances: 6, max_new: 16, chunk: 3 },
} as const

const ablate = (...more: string[]): Promise<Finished> => {
  const shared = [
    '--preset',
    'r2rec-small-cpu',
    '--config',
    settings,
    '--model',
    model,
    '--data',
    data,
    '--out',
    out,
  ]
  return cli(['ablate', ...shared, ...more])
}

beforeAll(async () => {
  model = await writeTinyModel(join(folder.path, 'model'))
  data = await writeTinyData(join(folder.path, 'data'))
  settings = writeSettings(join(folder.path, 'settings.yaml'), tiny)
  first = await ablate('--rows', rows.join(','), '--json')
  table = first.status === 0 ? lastJson<{ rows: Row[] }>(first.stdout).rows : []
})
afterAll(() => folder.remove())

describe('reasonrec ablate', () => {
  it('prints every row that was asked for, with intervals', () => {
    expect(first.status, first.stderr).toBe(0)
    expect(table.map(({ id }) => id)).toEqual(rows)
    for (const row of table) {
      expect(row).toMatchObject({ seeds: [0], n: 6, hr1_by_seed: [row.hr1] })
      expect(row.lo95.hr1).toBeLessThanOrEqual(row.hr1)
      expect(row.hi95.hr1).toBeGreaterThanOrEqual(row.hr1)
      for (const value of [row.hr1, row.hr3, row.ndcg3, row.mrr]) expect(value).toBeGreaterThanOrEqual(0)
    }
  })

  it('makes a run only where a row has its own', () => {
    for (const name of ['full', 'pointwise'])
      expect(existsSync(join(out, name, 'seed-0', 'summary.json'))).toBe(true)
    for (const name of ['no_rl', 'answers_only_rl', 'shuffled_ratings'])
      expect(existsSync(join(out, name))).toBe(false)
  })

  it('runs nothing twice, and makes up for what is missing', async () => {
    const adapter = join(out, 'full', 'seed-0', 'adapter', 'adapter_model.safetensors')
    const before = [sha256(adapter), sha256(join(out, 'pointwise', 'seed-0', 'predictions.jsonl'))]
    rmSync(join(out, 'full', 'seed-0', 'summary.json'))
    const again = await ablate('--rows', rows.join(','), '--json')
    expect(again.status, again.stderr).toBe(0)
    expect(lastJson<{ rows: Row[] }>(again.stdout).rows).toEqual(table)
    expect([sha256(adapter), sha256(join(out, 'pointwise', 'seed-0', 'predictions.jsonl'))]).toEqual(before)
    const shown = await ablate('--rows', 'full,no_rl')
    expect(shown.stdout).toMatch(/no_rl .*fine-tuned on the traces/)
  })

  it.each<[string, string[], RegExp]>([
    [
      'an unknown row',
      ['--rows', 'everything'],
      /^RR_USAGE_ROWS: there is no row everything; expected full, no_rl/m,
    ],
    ['seeds that are none', ['--rows', 'full', '--seeds', '0,x'], /^RR_USAGE_SEEDS: /m],
    [
      'another configuration',
      ['--rows', 'full', '--set', 'sft.lr=0.5'],
      /^RR_OUTPUT_CONFIG: .*full\/seed-0/m,
    ],
  ])('refuses %s', async (_, args, says) => {
    const { status, stdout, stderr } = await ablate(...args)
    expect(stderr).toMatch(says)
    expect(stdout).toBe('')
    expect(status).toBe(2)
  })
})

describe('what R2Rec shows', () => {
  it('draws the chains in the report, beside what was said', () => {
    const run = join(out, 'full', 'seed-0')
    expect(readFileSync(join(run, 'report.html'), 'utf8')).toMatch(
      /<table class="chain"><caption>u0 - i0 - u1 - i1/,
    )
    expect(readFileSync(join(run, 'report.md'), 'utf8')).toContain('> | hop | rating | title | thought |')
  })

  it('draws them with a recommendation', async () => {
    const args = [
      'recommend',
      '--model',
      model,
      '--data',
      data,
      '--adapter',
      join(out, 'full', 'seed-0', 'adapter'),
    ]
    const user = ['--user', 'u3']
    const { status, stdout, stderr } = await cli([...args, ...user])
    expect(status, stderr).toBe(0)
    expect(stdout).toMatch(/^chain 1, (closed|open): u0 - i0 - u1 - i1/m)
    expect(stdout).toMatch(/^ {2}u1 - i0 {2}[1-5] {2}\S/m)
    const { chains } = lastJson<{ chains: { hops: { hop: string; title: string }[] }[] }>(
      (await cli([...args, ...user, '--json'])).stdout,
    )
    expect(chains.length).toBeGreaterThan(0)
    expect(chains[0]?.hops.map(({ hop }) => hop).slice(0, 3)).toEqual(['u0 - i0', 'u1 - i0', 'u1 - i1'])
  })
})

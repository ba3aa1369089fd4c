/** run on a tiny random model: the files, the JSON of the contract, and the verbs that read a run. */

import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readJsonLines } from '../../src/phases/run/files.js'
import {
  cli,
  type Finished,
  lastJson,
  linesOf,
  quickSettings,
  runArguments,
  sha256,
  workFolder,
  writeSettings,
  writeTinyData,
  writeTinyModel,
} from './command-line.js'

const folder = workFolder()
const out = join(folder.path, 'run')
let model = ''
let data = ''
let settings = ''
let first: Finished

beforeAll(async () => {
  model = await writeTinyModel(join(folder.path, 'model'))
  data = await writeTinyData(join(folder.path, 'data'))
  settings = writeSettings(join(folder.path, 'settings.yaml'), {
    ...quickSettings,
    baselines: { sasrec: { enabled: true, epochs: 2, width: 8 } },
  })
  first = await cli([...runArguments({ preset: 're2-small-cpu', settings, model, data, out }), '--json'])
})

afterAll(() => folder.remove())

interface Row {
  readonly id: string
  readonly mode: string
  readonly n: number
  readonly hr1: number
  readonly parse_rate: number
  readonly lo95: Record<string, number>
  readonly hi95: Record<string, number>
}
interface Summary {
  readonly schema: number
  readonly run: string
  readonly adapter: string
  readonly report: string
  readonly seconds: Record<string, number>
  readonly cpu_seconds: number
  readonly world_size: number
  readonly config_hash: string
  readonly table: readonly Row[]
  readonly differences: readonly {
    readonly metric: string
    readonly a: { readonly id: string }
    readonly b: { readonly id: string }
    readonly difference: number
  }[]
  readonly collect: {
    readonly instances: number
    readonly kept: Record<string, number>
    readonly builtin_share: number
  }
}

describe('reasonrec run', () => {
  it('ends with status 0 and one JSON object of the contract last on stdout', () => {
    expect(first.stderr).not.toMatch(/RR_/)
    expect(first.status).toBe(0)
    const summary = lastJson<Summary>(first.stdout)
    expect(first.stdout.trim().split('\n')).toHaveLength(1)
    expect(summary).toMatchObject({
      schema: 1,
      run: out,
      adapter: join(out, 'adapter'),
      report: join(out, 'report.html'),
      world_size: 1,
    })
    expect(Object.keys(summary.seconds).sort()).toEqual(['collect', 'evaluate', 'imitate', 'internalize'])
    expect(Object.values(summary.seconds).every((seconds) => seconds > 0)).toBe(true)
    expect(summary.config_hash).toMatch(/^[0-9a-f]{64}$/)
    expect(summary.cpu_seconds).toBeGreaterThan(0)
    expect(summary.table.slice(0, 7).map(({ id }) => id)).toEqual([
      'random',
      'popularity',
      'item_knn',
      'sasrec',
      'base',
      'imitated',
      'internalized',
    ])
    for (const row of summary.table) {
      expect(row.n).toBe(6)
      // A mean of six equal values may be rounded.
      expect(row.lo95.hr1).toBeLessThanOrEqual(row.hr1 + 1e-12)
      expect(row.hi95.hr1).toBeGreaterThanOrEqual(row.hr1 - 1e-12)
    }
  })

  it('leaves the files of a run', () => {
    for (const name of [
      'config.yaml',
      'metrics.jsonl',
      'traces.jsonl',
      'samples.jsonl',
      'predictions.jsonl',
      'summary.json',
      'report.html',
      'adapter/adapter_config.json',
      'adapter/adapter_model.safetensors',
      'reference-adapter/adapter_model.safetensors',
    ]) {
      expect(existsSync(join(out, name)), name).toBe(true)
    }
    expect(existsSync(join(out, '.lock'))).toBe(false)
    expect(linesOf(join(out, 'metrics.jsonl'), 'imitate')).toBe(5)
    expect(linesOf(join(out, 'metrics.jsonl'), 'internalize')).toBe(2)
  })

  it('fills up with the builtin teacher and says so', () => {
    const { collect } = lastJson<Summary>(first.stdout)
    expect(collect.instances).toBe(24)
    expect(collect.kept.A! + collect.kept.B! + collect.kept.C!).toBe(16)
    expect(first.stderr).toMatch(/builtin teacher wrote \d+ of 16/)
  })

  it('keeps training instances in traces and tests in predictions', () => {
    const traces = readJsonLines<{ instance: string }>(join(out, 'traces.jsonl'))
    const predictions = readJsonLines<{ instance: string }>(join(out, 'predictions.jsonl'))
    expect(traces.every(({ instance }) => instance.startsWith('train/'))).toBe(true)
    expect(predictions.every(({ instance }) => instance.startsWith('test/'))).toBe(true)
    // Three models, with and without reasoning, six tests each.
    expect(predictions).toHaveLength(36)
  })

  it('gives the same adapter and table again, in another folder and on one thread', async () => {
    const again = join(folder.path, 'again')
    const { status, stdout } = await cli([
      ...runArguments({ preset: 're2-small-cpu', settings, model, data, out: again }),
      '--json',
      '--threads',
      '1',
    ])
    expect(status).toBe(0)
    expect(sha256(join(again, 'adapter/adapter_model.safetensors'))).toBe(
      sha256(join(out, 'adapter/adapter_model.safetensors')),
    )
    expect(lastJson<Summary>(stdout).table).toEqual(lastJson<Summary>(first.stdout).table)
    for (const name of ['traces.jsonl', 'predictions.jsonl'])
      expect(readFileSync(join(again, name), 'utf8')).toBe(readFileSync(join(out, name), 'utf8'))
  })

  it('refuses the folder of a finished run', async () => {
    const { status, stderr } = await cli(runArguments({ settings, model, data, out }))
    expect(status).toBe(2)
    expect(stderr).toMatch(/^RR_OUTPUT_NOT_EMPTY: .*reasonrec resume/m)
  })

  it('resume of a finished run changes nothing and prints the same rows', async () => {
    const before = sha256(join(out, 'adapter/adapter_model.safetensors'))
    const { status, stdout } = await cli(['resume', out, '--json'])
    expect(status).toBe(0)
    expect(lastJson<Summary>(stdout).table).toEqual(lastJson<Summary>(first.stdout).table)
    expect(sha256(join(out, 'adapter/adapter_model.safetensors'))).toBe(before)
  })
})

describe('verbs that read a run', () => {
  it('compare gives the differences that the summary states, and refuses runs on other candidates', async () => {
    const rows = ['--row', 'internalized', '--row-b', 'imitated']
    const { status, stdout, stderr } = await cli(['compare', out, out, ...rows, '--json'])
    expect(stderr).toBe('')
    expect(status).toBe(0)
    const compared = lastJson<Pick<Summary, 'differences'> & { n: number }>(stdout)
    expect(compared.n).toBe(6)
    const stated = lastJson<Summary>(first.stdout).differences.filter(
      ({ a, b }) => a.id === 'internalized' && b.id === 'imitated',
    )
    expect(stated).toHaveLength(4)
    for (const { metric, difference } of stated)
      expect(compared.differences.find((one) => one.metric === metric)?.difference).toBeCloseTo(
        difference,
        12,
      )

    const altered = join(folder.path, 'altered')
    cpSync(out, altered, { recursive: true })
    const config = readFileSync(join(out, 'config.yaml'), 'utf8')
    expect(config).toMatch(/cand_seed: 0/)
    writeFileSync(join(altered, 'config.yaml'), config.replace('cand_seed: 0', 'cand_seed: 1'))
    const refused = await cli(['compare', out, altered])
    expect(refused.status).toBe(4)
    expect(refused.stderr).toMatch(/^RR_DATA_UNPAIRED: the two runs rank different candidates; .*\n$/)
  })

  it('recommend prints reasoning and a ranking of the given candidates', async () => {
    const { status, stdout, stderr } = await cli([
      'recommend',
      '--model',
      model,
      '--adapter',
      join(out, 'adapter'),
      '--history',
      'A Road|The Sea|Night',
      '--candidates',
      'Dawn|Dusk|Noon',
      '--json',
    ])
    expect(stderr).toBe('')
    expect(status).toBe(0)
    const { reasoning, ranking } = lastJson<{
      reasoning: string
      ranking: { title: string; share: number }[]
    }>(stdout)
    expect(typeof reasoning).toBe('string')
    expect(ranking.map(({ title }) => title).sort()).toEqual(['Dawn', 'Dusk', 'Noon'])
    expect(ranking.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 6)
  })

  it('recommend takes a user of the data', async () => {
    const { status, stdout } = await cli([
      'recommend',
      '--model',
      model,
      '--adapter',
      join(out, 'adapter'),
      '--data',
      data,
      '--user',
      'u1',
      '--json',
    ])
    expect(status).toBe(0)
    const { history, ranking } = lastJson<{ history: string[]; ranking: { title: string }[] }>(stdout)
    expect(history.length).toBeGreaterThanOrEqual(3)
    expect(ranking).toHaveLength(20)
    expect(ranking.some(({ title }) => history.includes(title))).toBe(false)
  })

  it('inspect logprobs gives 20 tokens for each position', async () => {
    const { status, stdout } = await cli([
      'inspect',
      'logprobs',
      '--model',
      model,
      '--adapter',
      join(out, 'adapter'),
      '--ids',
      '1,5,9',
      '--json',
    ])
    expect(status).toBe(0)
    const { next } = lastJson<{ next: { logprob: number | null; top: [number, number][] }[] }>(stdout)
    expect(next).toHaveLength(3)
    expect(next[2]!.logprob).toBeNull()
    for (const { top } of next) {
      expect(top).toHaveLength(20)
      expect(top.every(([, logprob], index) => index === 0 || logprob <= top[index - 1]![1])).toBe(true)
    }
    const own = next[0]!.top.find(([id]) => id === 5)
    if (own) expect(own[1]).toBeCloseTo(next[0]!.logprob!, 5)
  })

  it('report writes the page again', async () => {
    const { status, stdout } = await cli(['report', out, '--json'])
    expect(status).toBe(0)
    expect(existsSync(lastJson<{ report: string }>(stdout).report)).toBe(true)
  })

  it('doctor passes its self test', async () => {
    const { status, stdout } = await cli(['doctor', '--json'])
    const facts = lastJson<{
      ok: boolean
      self_test: { passed: boolean; detail: string }
      backends: { name: string; available: boolean; paths?: { device: string }[] }[]
    }>(stdout)
    expect(facts.self_test).toMatchObject({ passed: true })
    expect(facts.backends[0]).toMatchObject({ name: 'cpu', available: true })
    expect(facts.backends[1]).toMatchObject({ name: 'cuda', available: false })
    expect(facts.backends[1]!.paths!.map(({ device }) => device)).toContain('unrun')
    expect(status).toBe(0)
  })
})

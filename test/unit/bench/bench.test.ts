/** The bench: its arithmetic on made-up times, and one tiny case as a user runs it, with and without its peers. */

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import type { BenchRow, Measure, Timing } from '../../../bench/contract.js'
import { exponentOf, interleaved, median, rowOf, spreadOf } from '../../../bench/measure.js'
import { randomGraph } from '../../../bench/random-graph.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))

interface Report {
  readonly rows: readonly BenchRow[]
  readonly missing: readonly { readonly case: string; readonly peer: string; readonly reason: string }[]
}

function bench(args: readonly string[], environment: Record<string, string> = {}) {
  return spawnSync(process.execPath, ['--import', 'tsx', 'bench/run.ts', ...args], {
    cwd: root,
    env: { ...process.env, ...environment },
    encoding: 'utf8',
  })
}

/** Runs that take these times, in turn. */
function runs(...seconds: readonly number[]): () => Promise<Timing> {
  let next = 0
  return async () => {
    const time = seconds[next++ % seconds.length]!
    return { units: 10, seconds: time, cpuSeconds: 2 * time }
  }
}

const measure: Measure = {
  id: 'X 5',
  what: 'x',
  unit: 'tok/s',
  roofline: 40,
  run: runs(1),
  request: () => ({}),
}
const effort = { rounds: 3, limit: 1000 }
const rival = { title: 'rival 1.0', file: 'rival' }
const quiet = { busy: false, agree: null }

describe('a row', () => {
  it('holds rates of the shortest runs, both ratios and the goal', async () => {
    const both = await interleaved(runs(1, 0.5, 0.55, 0.6), runs(3, 1, 1.2, 1.1), effort)
    expect(both.ours.times[0]).toBe(0.05)
    const goal = { what: '', of: 'ratio', must: 2, stretch: 3 } as const
    expect(rowOf(measure, both, rival, goal, quiet)).toEqual({
      id: 'X 5',
      what: 'x',
      ours: 20,
      peer: 10,
      peer_name: 'rival 1.0',
      unit: 'tok/s',
      ratio: 2,
      ratio_median: expect.closeTo(2, 10),
      roofline: 0.5,
      must: 2,
      stretch: 3,
      met: true,
      noisy: false,
      agree: null,
      ours_cpu: 10,
      peer_cpu: 5,
      rounds: 3,
    })
    const ours = { ...goal, of: 'ours', must: 21 } as const
    expect(rowOf(measure, { ...both, peer: null }, null, ours, quiet)).toMatchObject({
      met: false,
      ratio: null,
      peer: null,
    })
    expect(rowOf(measure, { ...both, peer: null }, null, goal, quiet).met).toBeNull()
    expect(rowOf(measure, both, rival, goal, { ...quiet, busy: true }).noisy).toBe(true)
  })

  it('alternates, tries scattered runs again and keeps the calmest', async () => {
    const order: string[] = []
    const side = (name: string, run: () => Promise<Timing>) => () => {
      order.push(name)
      return run()
    }
    // After the run that does not count: scattered, scattered less, calm.
    const ours = runs(9, 1, 2, 3, 1, 1.5, 2, 1, 1.1, 1.2)
    const calm = await interleaved(side('a', ours), side('b', runs(1)), effort)
    expect(order.slice(0, 8).join('')).toBe('abababab')
    expect(calm.ours.times[2]).toBe(0.12)
    expect(spreadOf(calm)).toBeCloseTo(0.1, 10)
    const wild = await interleaved(runs(9, 1, 2, 3), null, effort)
    expect(rowOf(measure, wild, null, undefined, quiet)).toMatchObject({ noisy: true, met: null, must: null })
  })

  it('counts the first run of what takes a large part of the time there is, and stops at the limit', async () => {
    let runs = 0
    const slow = async (): Promise<Timing> => {
      runs++
      await new Promise((resolve) => setTimeout(resolve, 30))
      return { units: 1, seconds: 1, cpuSeconds: 1 }
    }
    const found = await interleaved(slow, null, { rounds: 7, limit: 0.05 })
    expect(runs).toBe(2)
    expect(found.ours.times).toHaveLength(2)
    runs = 0
    expect((await interleaved(slow, null, { rounds: 1, limit: 0, warm: false })).ours.times).toHaveLength(1)
    expect(runs).toBe(1)
  })

  it('takes its goal by the peer, and of memory the less', () => {
    const side = (...bytes: number[]) => ({ times: bytes.map(() => 1), cpu: bytes.map(() => 1), bytes })
    const runs = { ours: side(2 ** 30, 2 ** 31), peer: side(2 ** 32, 2 ** 33) }
    const goal = { what: '', of: 'share', must: { rival: 0.25, other: 0.1 }, stretch: 0.2 } as const
    const memory = { ...measure, unit: 'GiB', roofline: null }
    const row = rowOf(memory, runs, rival, goal, quiet)
    expect(row).toMatchObject({ ours: 1, peer: 4, ratio: 0.25, must: 0.25, stretch: 0.2, met: true })
    expect(rowOf(memory, runs, { ...rival, file: 'other' }, goal, quiet).met).toBe(false)
    expect(rowOf(memory, runs, { ...rival, file: 'third' }, goal, quiet).met).toBeNull()
  })

  it('fits the exponent of a power', () => {
    expect(exponentOf([1, 2, 8].map((x) => ({ x, seconds: 3 * x ** 1.5 })))).toBeCloseTo(1.5, 10)
  })

  it('takes the middle of an even number of runs', () => {
    expect([median([3, 1, 2]), median([4, 1, 3, 2])]).toEqual([2, 2.5])
  })
})

describe('the generated graph', () => {
  it('has the shape asked for and no data behind it', () => {
    const shape = { users: 600, items: 400, edges: 30_000 }
    const graph = randomGraph(shape, 17n)
    expect(graph.itemsOf).toHaveLength(30_000)
    expect(graph.offsets.at(-1)).toBe(30_000)
    const degrees = Array.from(
      { length: graph.users },
      (_, user) => graph.offsets[user + 1]! - graph.offsets[user]!,
    )
    expect(Math.min(...degrees)).toBeGreaterThanOrEqual(4)
    const rises = (edge: number): boolean => graph.itemsOf[edge]! > graph.itemsOf[edge - 1]!
    const begins = new Set(graph.offsets)
    expect([...graph.itemsOf.keys()].filter((edge) => !begins.has(edge) && !rises(edge))).toEqual([])
    expect(randomGraph(shape, 17n).itemsOf).toEqual(graph.itemsOf)
  })
})

describe('npm run bench', () => {
  it('measures the tiny case against every peer that is there, and both compute the same', {
    timeout: 120_000,
  }, () => {
    const { status, stdout, stderr } = bench([
      '--case',
      'chains',
      '--size',
      'tiny',
      '--wait',
      '0',
      '--rounds',
      '2',
      '--json',
    ])
    expect(stderr).not.toContain('follows another law')
    expect(status, stderr).toBe(0)
    const { rows, missing } = JSON.parse(stdout.trim().split('\n').at(-1)!) as Report
    const peers = 2 - missing.length
    expect(rows.map(({ id }) => id)).toEqual(
      ['chains', 'chains-history', 'chains-tuned'].flatMap((id) => Array.from({ length: peers }, () => id)),
    )
    for (const row of rows) {
      expect(row).toMatchObject({ unit: 'chains/s', agree: true, roofline: null, met: row.ours >= row.must! })
      expect(row.ratio).toBeCloseTo(row.ours / row.peer!, 6)
      expect(row.peer_name).toMatch(/^(TypeScript|numpy)/)
    }
  })

  it('measures start-up from the built library to the first token', { timeout: 60_000 }, () => {
    const args = ['--case', 'start-up', '--peer', 'none', '--size', 'tiny', '--wait', '0', '--rounds', '1']
    const { status, stdout, stderr } = bench([...args, '--json'])
    expect(status, stderr).toBe(0)
    const { rows } = JSON.parse(stdout.trim().split('\n').at(-1)!) as Report
    expect(rows.map(({ id }) => id)).toEqual(['C15 bf16', 'C15 fp32'])
    for (const row of rows) {
      expect(row).toMatchObject({ unit: 'starts/s', peer: null, met: null })
      expect(row.ours).toBeGreaterThan(0)
      expect(row.ours_cpu).toBeGreaterThan(0)
    }
  })

  it('names a peer that is not installed, and shows ours alone', { timeout: 60_000 }, () => {
    const args = ['--peer', 'chains-scipy', '--size', 'tiny', '--wait', '0', '--rounds', '1']
    const absent = { REASONREC_PYTHON: '/nowhere/python' }
    const { rows, missing } = JSON.parse(bench([...args, '--json'], absent).stdout) as Report
    expect(missing).toEqual([
      { case: 'chains', peer: 'chains-scipy', reason: expect.stringContaining('ENOENT') },
    ])
    expect(rows).toHaveLength(3)
    for (const row of rows)
      expect(row).toMatchObject({ peer: null, peer_name: null, ratio: null, agree: null })
    expect(bench(args, absent).stdout).toMatch(/chains: chains-scipy is not installed/)
  })

  it.each([
    [['--case', 'nothing'], /^RR_USAGE_BENCH: there is no case nothing.*chains/],
    [['--peer', 'torch'], /^RR_USAGE_BENCH: gemm has no peer torch/],
    [['--sise', 'tiny'], /^RR_USAGE/],
  ])('refuses %j', (args, says) => {
    const { status, stderr } = bench(args)
    expect(stderr).toMatch(says)
    expect(status).toBe(2)
  })
})

import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { decimated } from '../../../src/board/decimate.js'
import { RunSeries } from '../../../src/board/run-series.js'

const folder = mkdtempSync(join(tmpdir(), 'board-series-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const file = join(folder, 'metrics.jsonl')
const line = (record: object): string => `${JSON.stringify(record)}\n`

describe('curves of a growing file', () => {
  it('reads on, leaves a torn line for later, flattens records, starts again where lines were cut', () => {
    const series = new RunSeries(folder)
    expect(series.read(100)).toEqual({ version: 0, series: {} })

    const second = line({ phase: 'internalize', step: 2, steps: 9, kl: 0.5, reward_terms: { hit: 1 } })
    writeFileSync(file, line({ phase: 'imitate', step: 1, steps: 4, loss: 3 }) + second.slice(0, 20))
    expect(series.read(100).series).toEqual({ 'imitate.loss': { x: [1], y: [3] } })
    appendFileSync(file, second.slice(20) + line({ phase: 'imitate', step: 2, steps: 4, loss: 2 }))
    const { series: all, version } = series.read(100)
    expect(all).toEqual({
      'imitate.loss': { x: [1, 2], y: [3, 2] },
      'internalize.kl': { x: [2], y: [0.5] },
      'internalize.reward_terms.hit': { x: [2], y: [1] },
    })
    expect(series.read(100).version).toBe(version)

    const at = { phase: 'evaluate', after: 'internalize', n: 5 }
    writeFileSync(
      file,
      line({ ...at, model: 'internalize@10', step: 10, hr1: 0.2 }) +
        line({ ...at, model: 'base', step: 0, hr1: 0.1 }),
    )
    expect(series.read(100).series).toEqual({ 'internalize.valid.hr1': { x: [10], y: [0.2] } })
  })

  it('takes titles of many bytes that lie across the pieces it reads', () => {
    const text = 'ü'.repeat(3_000_000)
    writeFileSync(
      file,
      line({ phase: 'collect', done: 1, note: text, kept_a: 7 }) +
        line({ phase: 'collect', done: 2, kept_a: 8 }),
    )
    expect(new RunSeries(folder).read(10).series).toEqual({ 'collect.kept_a': { x: [1, 2], y: [7, 8] } })
  })

  it('sends 100,000 points as 2,000, the spikes among them', () => {
    const x = Array.from({ length: 100_000 }, (_, i) => i)
    const y = x.map((i) => (i === 34_567 ? 9 : i === 76_543 ? -9 : Math.sin(i / 500)))
    const shown = decimated({ x, y }, 2000)
    expect(shown.x.length).toBeLessThanOrEqual(2000)
    expect(shown.x.length).toBeGreaterThan(1000)
    expect([shown.x[0], shown.x.at(-1)]).toEqual([0, 99_999])
    expect(shown.y[shown.x.indexOf(34_567)]).toBe(9)
    expect(shown.y[shown.x.indexOf(76_543)]).toBe(-9)
    expect(shown.x.every((value, i) => i === 0 || value > (shown.x[i - 1] as number))).toBe(true)
    expect(decimated({ x: [1, 2], y: [3, 4] }, 2)).toEqual({ x: [1, 2], y: [3, 4] })
  })
})

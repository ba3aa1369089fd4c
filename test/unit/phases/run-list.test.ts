import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../../../src/config/load.js'
import { allPhases } from '../../../src/phases/pipeline.js'
import { RunDirectory } from '../../../src/phases/run/run-directory.js'
import { listedRun, listRuns } from '../../../src/phases/run/run-list.js'

const folder = mkdtempSync(join(tmpdir(), 'run-list-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function made(name: string, seed: number): RunDirectory {
  const loaded = loadConfig({ preset: null, file: null, set: [], options: { seed } })
  return RunDirectory.create(join(folder, name), loaded, allPhases)
}

describe('runs of a folder', () => {
  it('says which run is at work, stopped, done or damaged, whatever the depth', () => {
    const working = made('working', 1)
    working.begin('collect')

    const stopped = made('grid/no_gain/seed-2', 2)
    stopped.begin('collect')
    stopped.finish('collect')
    stopped.close()

    const done = made('done', 3)
    for (const phase of allPhases) {
      done.begin(phase)
      done.finish(phase)
    }
    done.close()
    const row = (id: string, hr1: number) => ({ id, hr1 })
    const table = [row('base', 0.2), row('imitated', 0.3), row('internalized', 0.4), row('item_knn', 0.9)]
    writeFileSync(join(done.path, 'summary.json'), JSON.stringify({ table }))

    const damaged = made('damaged', 4)
    damaged.close()
    writeFileSync(join(damaged.path, 'state.json'), '{"schema": 1, "pl')
    mkdirSync(join(folder, 'no run'))

    const runs = new Map(listRuns(folder).map((run) => [run.path, run]))
    expect(runs.size).toBe(4)
    expect(runs.get(working.path)).toMatchObject({ status: 'running', seed: 1, method: 're2', hr1: null })
    expect(runs.get(stopped.path)).toMatchObject({ status: 'stopped', seed: 2, done: ['collect'] })
    expect(runs.get(done.path)).toMatchObject({ status: 'done', done: allPhases, hr1: 0.4 })
    expect(runs.get(damaged.path)).toMatchObject({ status: 'damaged', plan: [] })
    expect(runs.get(stopped.path)?.bytes).toBeGreaterThan(1000)
    working.close()
    expect(listedRun(working.path).status).toBe('stopped')
  })

  it('refuses a folder that is not there', () => {
    expect(() => listRuns(join(folder, 'nowhere'))).toThrow(
      expect.objectContaining({ code: 'RR_DATA_NO_RUN' }),
    )
  })
})

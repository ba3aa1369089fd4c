/** The verbs round a run: presets, describe, init, runs. */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config/load.js'
import { RunDirectory } from '../../src/phases/run/run-directory.js'
import { cli, workFolder } from './command-line.js'

const work = workFolder()
afterAll(work.remove)

describe('presets, describe, init', () => {
  it('lists presets and describes one', async () => {
    const listed = await cli(['presets', '--json'])
    const { presets } = JSON.parse(listed.stdout) as { presets: { name: string; method: string }[] }
    expect(presets.map(({ name }) => name)).toEqual(expect.arrayContaining(['re2', 'r2rec-quickstart']))
    const described = await cli(['describe', 're2-quickstart', '--keys', 'rl.steps'])
    expect(described.stdout).toMatch(/^rl\.steps: 120 {2}\(default 200; whole number.*\n(.*\n)* +paper: /)
    const unknown = await cli(['describe', 're3'])
    expect(unknown.status).not.toBe(0)
    expect(unknown.stderr).toMatch(/^RR_USAGE_PRESET/)
  })

  it('writes a configuration that reads back as the preset, once', async () => {
    const file = join(work.path, 'mine.yaml')
    const args = ['init', file, '--preset', 're2-small-cpu', '--set', 'rl.steps=7']
    expect((await cli(args)).status).toBe(0)
    expect(readFileSync(file, 'utf8')).toMatch(
      /^# yaml-language-server: \$schema=\.\/reasonrec\.schema\.json\n/,
    )
    const schema = JSON.parse(readFileSync(join(work.path, 'reasonrec.schema.json'), 'utf8'))
    expect(schema.properties.rl.properties.steps.type).toBe('integer')
    const both = ['--config', file, '--json', '--changed']
    const [read, asked] = await Promise.all([
      cli(['describe', 're2', ...both]),
      cli(['describe', 're2-small-cpu', '--set', 'rl.steps=7', '--json', '--changed']),
    ])
    expect(JSON.parse(read.stdout).keys).toEqual(JSON.parse(asked.stdout).keys)
    const again = await cli(args)
    expect(again.stderr).toMatch(/^RR_OUTPUT_NOT_EMPTY/)
  }, 20_000)
})

describe('runs', () => {
  it('shows and removes a run, and neither a folder of something else nor a run at work', async () => {
    const loaded = loadConfig({ preset: null, file: null, set: [], options: {} })
    const run = RunDirectory.create(join(work.path, 'run'), loaded, ['collect'])
    const busy = await cli(['runs', 'rm', run.path, '--yes'])
    expect(busy.stderr).toMatch(/^RR_OUTPUT_IN_USE/)
    run.close()
    expect((await cli(['runs', 'ls', work.path])).stdout).toContain('stopped')
    expect((await cli(['runs', 'show', run.path])).stdout).toContain(`reasonrec resume ${run.path}`)
    expect((await cli(['runs', 'rm', run.path])).stderr).toMatch(/^RR_USAGE_CONFIRM/)
    expect(existsSync(run.path)).toBe(true)
    expect((await cli(['runs', 'rm', run.path, '--yes'])).status).toBe(0)
    expect(existsSync(run.path)).toBe(false)
    const other = join(work.path, 'thesis')
    mkdirSync(other)
    writeFileSync(join(other, 'chapter.txt'), 'years of work')
    expect((await cli(['runs', 'rm', other, '--yes'])).stderr).toMatch(/^RR_OUTPUT_NO_RUN/)
    expect(existsSync(join(other, 'chapter.txt'))).toBe(true)
  }, 30_000)
})

import { spawn } from 'node:child_process'
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadConfig } from '../../../src/config/load.js'
import { JsonLines, readJsonLines, writeDurably } from '../../../src/phases/run/files.js'
import { lockDirectory } from '../../../src/phases/run/lock.js'
import { RunDirectory } from '../../../src/phases/run/run-directory.js'

let folder = ''
const loaded = loadConfig({ preset: null, file: null, set: [], options: {} })
const line = (done: number) =>
  ({
    phase: 'collect',
    instances: 9,
    done,
    sampled: 0,
    kept_a: 0,
    kept_b: 0,
    kept_c: 0,
    tokens_per_second: 1,
  }) as const

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'reasonrec-run-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe('a run directory', () => {
  it('cuts records back to the last safe point', () => {
    const out = join(folder, 'run')
    const run = RunDirectory.create(out, loaded, ['collect'])
    run.begin('collect')
    run.metrics(line(1))
    run.commit('collect', 1)
    run.metrics(line(2))
    run.append('traces', { half: 'done' })
    run.close()
    const again = RunDirectory.open(out)
    expect(again.begin('collect').next).toBe(1)
    expect(readJsonLines(join(out, 'metrics.jsonl'))).toEqual([line(1)])
    expect(readJsonLines(join(out, 'traces.jsonl'))).toEqual([])
    again.finish('collect')
    again.close()
    expect(RunDirectory.open(out).isDone('collect')).toBe(true)
  })

  it('refuses what it did not make, and a run that is there', () => {
    writeFileSync(join(folder, 'thesis.txt'), 'x')
    expect(() => RunDirectory.create(folder, loaded, [])).toThrow(
      expect.objectContaining({ code: 'RR_OUTPUT_NOT_EMPTY' }),
    )
    expect(existsSync(join(folder, 'checkpoints'))).toBe(false)
    const out = join(folder, 'run')
    RunDirectory.create(out, loaded, []).close()
    expect(() => RunDirectory.create(out, loaded, [])).toThrow(/not empty/)
    expect(() => RunDirectory.open(join(folder, 'none'))).toThrow(
      expect.objectContaining({ code: 'RR_OUTPUT_NO_RUN' }),
    )
  })

  it('has one owner', () => {
    const out = join(folder, 'run')
    const run = RunDirectory.create(out, loaded, [])
    expect(() => RunDirectory.open(out)).toThrow(expect.objectContaining({ code: 'RR_OUTPUT_IN_USE' }))
    expect(() => RunDirectory.requireFree(out)).toThrow(expect.objectContaining({ code: 'RR_OUTPUT_IN_USE' }))
    run.close()
    RunDirectory.open(out).close()
  })

  it('says so where a record lost bytes that a checkpoint counts on', () => {
    const out = join(folder, 'run')
    const run = RunDirectory.create(out, loaded, ['collect'])
    run.begin('collect')
    run.metrics(line(1))
    run.commit('collect', 1)
    run.close()
    writeFileSync(join(out, 'metrics.jsonl'), '')
    const again = RunDirectory.open(out)
    expect(() => again.begin('collect')).toThrow(expect.objectContaining({ code: 'RR_RUN_DAMAGED' }))
    again.close()
  })
})

describe('locks', () => {
  it('of a process that was killed are taken over', async () => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
    writeFileSync(join(folder, '.lock'), JSON.stringify({ pid: child.pid, host: hostname(), started: '' }))
    expect(() => lockDirectory(folder)).toThrow(/is in use/)
    child.kill('SIGKILL')
    await new Promise((resolve) => child.on('close', resolve))
    const lock = lockDirectory(folder)
    expect(JSON.parse(readFileSync(join(folder, '.lock'), 'utf8'))).toMatchObject({ pid: process.pid })
    lock.release()
    expect(existsSync(join(folder, '.lock'))).toBe(false)
  })

  it.runIf(process.platform === 'linux')('of a process whose id was given out again are taken over', () => {
    writeFileSync(join(folder, '.lock'), JSON.stringify({ pid: process.pid, host: hostname(), started: '1' }))
    lockDirectory(folder).release()
  })

  it('of another host, and torn ones', () => {
    writeFileSync(join(folder, '.lock'), JSON.stringify({ pid: 1, host: 'elsewhere', started: '' }))
    expect(() => lockDirectory(folder)).toThrow(/is in use/)
    writeFileSync(join(folder, '.lock'), '{"pi')
    lockDirectory(folder).release()
  })
})

describe('files', () => {
  it('a torn last line is cut when the file is opened', () => {
    const file = join(folder, 'lines.jsonl')
    const lines = new JsonLines(file)
    lines.append({ a: 1 })
    lines.close()
    appendFileSync(file, '{"a":2,"b":"tor')
    expect(readJsonLines(file)).toEqual([{ a: 1 }])
    const again = new JsonLines(file)
    again.append({ a: 3 })
    again.close()
    expect(readJsonLines(file)).toEqual([{ a: 1 }, { a: 3 }])
  })

  it('a line that is no JSON is an error with its number', () => {
    const file = join(folder, 'lines.jsonl')
    writeFileSync(file, '{"a":1}\nnonsense\n')
    expect(() => readJsonLines(file)).toThrow(/lines\.jsonl:2/)
  })

  it('a durable write replaces whole', () => {
    const file = join(folder, 'state.json')
    writeDurably(file, 'one')
    writeDurably(file, 'two')
    expect(readFileSync(file, 'utf8')).toBe('two')
    expect(() => writeDurably(join(folder, 'no', 'such'), 'x')).toThrow(
      expect.objectContaining({ code: 'RR_OUTPUT_WRITE' }),
    )
  })
})

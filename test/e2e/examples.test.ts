/** docs/examples as a reader runs them, with sizes that take seconds. */

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { embeddedDataset } from '../../src/quickstart/dataset.js'
import './built-cli.js'
import { type Finished, finished, workFolder } from './command-line.js'

const work = workFolder()
afterAll(work.remove)
const root = fileURLToPath(new URL('../..', import.meta.url))

function example(name: string, args: readonly string[]): Promise<Finished> {
  const file = join(root, 'docs/examples', name)
  return finished(spawn(process.execPath, [file, ...args], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] }))
}

describe('docs/examples', () => {
  it('train, train again, recommend', async () => {
    const out = join(work.path, 'run')
    const keys = {
      'collect.instances': 24,
      'collect.k_free': 4,
      'sft.epochs': 1,
      'rl.steps': 2,
      'rl.prompts': 2,
      'eval.instances': 12,
      'eval.controls': [],
    }
    const args = [out, ...Object.entries(keys).map(([key, value]) => `${key}=${JSON.stringify(value)}`)]
    const first = await example('train.mjs', args)
    expect(first.stderr).toBe('')
    expect(first.stdout).toMatch(/^internalized \(think_score\): HR@1 [01]\.\d{3} \[/m)
    expect(existsSync(join(out, 'adapter', 'adapter_model.safetensors'))).toBe(true)
    const again = await example('train.mjs', args)
    expect(again.stdout).toBe(first.stdout)
    const other = await example('train.mjs', [...args, 'seed=3'])
    expect(other.stderr).toContain('RR_OUTPUT_CONFIG')

    const { items } = embeddedDataset()
    const titles = items.slice(0, 10).map(({ title }) => title.text)
    const told = await example('recommend.mjs', [
      out,
      titles.slice(0, 6).join('|'),
      titles.slice(6).join('|'),
    ])
    const lines = told.stdout.trim().split('\n')
    const ranked = lines.slice(-4).map((line) => line.slice(9))
    expect([...ranked].sort()).toEqual(titles.slice(6).sort())
    expect(lines.length).toBeGreaterThan(4)
  }, 60_000)
})

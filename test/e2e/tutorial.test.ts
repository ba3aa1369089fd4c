/** Every command of docs/tutorial.md in its order, as written but for the folder and, in the run, for sizes that take seconds. */

import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { builtCli } from './built-cli.js'
import { finished, workFolder } from './command-line.js'

const work = workFolder()
afterAll(work.remove)
const root = fileURLToPath(new URL('../..', import.meta.url))

const small = [
  'collect.instances=24',
  'collect.k_free=4',
  'collect.keep_misses=true',
  'sft.epochs=1',
  'rl.steps=2',
  'rl.prompts=2',
  'eval.instances=12',
]

/** The blocks of commands, a command a line. */
function commands(): string[] {
  const text = readFileSync(join(root, 'docs/tutorial.md'), 'utf8')
  return [...text.matchAll(/```sh\n([^`]*)```/g)].flatMap((match) => (match[1] as string).trim().split('\n'))
}

describe('docs/tutorial.md', () => {
  it('works as written', async () => {
    const all = commands()
    expect(all.length).toBeGreaterThan(9)
    for (const command of all) {
      const local = command
        .replaceAll('tutorial/', `${work.path}/`)
        .replace(/^npx reasonrec/, `node ${builtCli}`)
        .replace(/^(node \S+ run )/, `$1${small.map((pair) => `--set ${pair} `).join('')}`)
        .replaceAll('docs/examples', join(root, 'docs/examples'))
      const { status, stderr } = await finished(
        spawn('sh', ['-c', local], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] }),
      )
      expect(status, `${command}\n${stderr}`).toBe(0)
    }
    // What was promised lies there.
    const report = readFileSync(join(work.path, 'runs/first/report.html'), 'utf8')
    expect(report).toContain('leak')
    expect(readFileSync(join(work.path, 'merged/config.json'), 'utf8')).toContain('hidden_size')
  }, 120_000)
})

/**
 * The command line that the end-to-end tests start: dist/, as a user has it. `npm test` has built it; a
 * single file run by itself after an edit of src/ builds it here, once before all files.
 */

import { spawnSync } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
export const builtCli = join(root, 'dist/cli/main.js')

/** vitest's globalSetup. */
export function setup(): void {
  if (isFresh()) return
  console.log('building dist/, which is older than src/')
  const { status, stdout, stderr } = spawnSync('npm', ['run', '--silent', 'build:ts'], {
    cwd: root,
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`npm run build:ts failed:\n${stdout}${stderr}`)
}

function isFresh(): boolean {
  const built = statSync(builtCli, { throwIfNoEntry: false })?.mtimeMs ?? 0
  return readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .every((entry) => statSync(join(entry.parentPath, entry.name)).mtimeMs <= built)
}

/** Last step of `npm run build:ts`: copies what tsc leaves behind (templates, presets, .mjs) into dist and makes the bin executable. */

import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../', import.meta.url))
const source = path.join(root, 'src')
const target = path.join(root, 'dist')

for (const entry of readdirSync(source, { recursive: true, withFileTypes: true })) {
  const file = path.join(entry.parentPath, entry.name)
  if (
    !entry.isFile() ||
    /(^tsconfig\.json|\.m?ts|\.md)$/.test(entry.name) ||
    file === fileURLToPath(import.meta.url)
  )
    continue
  const copy = path.join(target, path.relative(source, file))
  mkdirSync(path.dirname(copy), { recursive: true })
  copyFileSync(file, copy)
}
const bin = path.join(target, 'cli', 'main.js')
if (existsSync(bin)) chmodSync(bin, 0o755)

/** Both builds compile the files of native/sources.txt, no more and no fewer. */

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { nativeSources } from '../../../src/engine/build-addon.mjs'
import { engineInfo } from '../../../src/engine/index.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const hasCmake = spawnSync('cmake', ['--version']).status === 0
if (!hasCmake) console.log('skipped: cmake is not installed, its list of files is not compared')

describe('native/sources.txt', () => {
  it('names every C++ file of native/ but those of the CUDA library and its emulator, each once', () => {
    const present = readdirSync(path.join(root, 'native'), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.cpp'))
      .map((name) => `native/${name.split(path.sep).join('/')}`)
      .filter((name) => !name.startsWith('native/backend/cuda/emu/'))
    expect([...nativeSources()].sort()).toEqual(present.sort())
  })

  it.skipIf(!hasCmake)('is what CMake compiles into the addon', () => {
    const out = mkdtempSync(path.join(os.tmpdir(), 'reasonrec-cmake-'))
    try {
      const cmake = spawnSync('cmake', ['-S', root, '-B', out], { encoding: 'utf8' })
      expect(cmake.status, cmake.stderr).toBe(0)
      const commands = JSON.parse(readFileSync(path.join(out, 'compile_commands.json'), 'utf8')) as {
        file: string
        command: string
      }[]
      // The addon's own two targets: tests and benches compile some of the files once more.
      const inNative = path.join(root, 'native') + path.sep
      const compiled = commands.filter(
        ({ file, command }) => file.startsWith(inNative) && /\breasonrec(_core)?\.dir\b/.test(command),
      )
      expect(compiled.map(({ file }) => path.relative(root, file)).sort()).toEqual(
        [...nativeSources()].sort(),
      )
      for (const { command } of compiled) expect(command).toContain('-ffp-contract=off')
    } finally {
      rmSync(out, { recursive: true, force: true })
    }
  })

  it.skipIf(!hasCmake)('is enough for CMake in a package, which carries no tests', () => {
    const out = mkdtempSync(path.join(os.tmpdir(), 'reasonrec-package-'))
    try {
      for (const name of ['native', 'CMakeLists.txt', 'package.json', 'node_modules'])
        symlinkSync(path.join(root, name), path.join(out, name))
      const cmake = spawnSync('cmake', ['-S', out, '-B', path.join(out, 'build')], { encoding: 'utf8' })
      expect(cmake.status, cmake.stderr).toBe(0)
    } finally {
      rmSync(out, { recursive: true, force: true })
    }
  })

  it('is what binding.gyp compiles', () => {
    const gyp = readFileSync(path.join(root, 'binding.gyp'), 'utf8')
    const sources = [...gyp.matchAll(/"sources": \["<!@\(([^)]+)\)"\]/g)].map((match) => match[1]!)
    expect(sources).toHaveLength(1)
    const printed = spawnSync('sh', ['-c', sources[0]!], { cwd: root, encoding: 'utf8' })
      .stdout.trim()
      .split(/\s+/)
    expect(printed).toEqual(nativeSources())
    expect(gyp).toContain('-ffp-contract=off')
  })
})

describe('the built addon', () => {
  it('carries the version of package.json', () => {
    const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
      version: string
    }
    expect(engineInfo().version).toBe(version)
  })

  it('offers the portable instruction set everywhere', () => {
    const { isa, isas } = engineInfo()
    expect(isas).toContain('scalar')
    expect(isas).toContain(isa)
  })
})

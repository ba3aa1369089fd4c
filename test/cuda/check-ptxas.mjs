/**
 * Registers, spills and shared memory of every CUDA kernel, as ptxas reports them, against what is written
 * down in ptxas.json. More spilled bytes or more registers than written down are a failure with the compiler
 * they were written down with, and not compared with another; fewer is a line. Run by `npm run check:cuda`, which builds the
 * library first; where it was not built, the check says so and ends well.
 *
 *   --write   write down what was found
 */

import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const here = path.dirname(fileURLToPath(import.meta.url))
const reports = path.join(here, '../../build/cmake/cuda')
const table = path.join(here, 'ptxas.json')

/** "gemm_kernel<bf16, float, 128, 128, 4, 2> sm_90" of a mangled name. */
function readable(mangled, arch) {
  const { stdout } = spawnSync('c++filt', [mangled], { encoding: 'utf8' })
  const name = (stdout ?? mangled)
    .trim()
    .replace(/\(anonymous namespace\)::/g, '')
    .replace(/reasonrec::cuda::/g, '')
    .replace(/_GLOBAL__N_[^:]*::/g, '')
    .replace(/__nv_bfloat16/g, 'bf16')
    .replace(/^void /, '')
  let depth = 0
  let end = name.length
  for (let i = 0; i < name.length; ++i) {
    if (name[i] === '<') ++depth
    if (name[i] === '>') --depth
    if (name[i] === '(' && depth === 0) {
      end = i
      break
    }
  }
  return `${name.slice(0, end)} ${arch}`
}

/** Kernel and architecture -> { registers, spills (bytes stored and loaded), shared (bytes) }. */
function readReports() {
  const kernels = {}
  for (const file of readdirSync(reports).filter((name) => name.endsWith('.ptxas'))) {
    let current
    for (const line of readFileSync(path.join(reports, file), 'utf8').split('\n')) {
      const entry = /Compiling entry function '(\S+)' for '(\S+)'/.exec(line)
      if (entry) current = kernels[readable(entry[1], entry[2])] = { registers: 0, spills: 0, shared: 0 }
      if (!current) continue
      const spills = /(\d+) bytes spill stores, (\d+) bytes spill loads/.exec(line)
      if (spills) current.spills = Number(spills[1]) + Number(spills[2])
      const used = /Used (\d+) registers(?:.*?(\d+) bytes smem)?/.exec(line)
      if (used) {
        current.registers = Number(used[1])
        current.shared = Number(used[2] ?? 0)
      }
    }
  }
  return Object.fromEntries(Object.entries(kernels).sort(([a], [b]) => (a < b ? -1 : 1)))
}

function compiler() {
  const { stdout } = spawnSync('nvcc', ['--version'], { encoding: 'utf8' })
  return /release (\S+),/.exec(stdout ?? '')?.[1] ?? 'unknown'
}

function main() {
  if (!existsSync(reports)) {
    process.stdout.write('check:cuda skipped: the CUDA library was not built here\n')
    return 0
  }
  const found = readReports()
  if (process.argv.includes('--write')) {
    const lines = Object.entries(found).map(
      ([name, facts]) =>
        `    ${JSON.stringify(name)}: { "registers": ${facts.registers}, "spills": ${facts.spills}, "shared": ${facts.shared} }`,
    )
    writeFileSync(
      table,
      `{\n  "command": "npm run check:cuda -- --write",\n  "nvcc": "${compiler()}",\n  "kernels": {\n${lines.join(',\n')}\n  }\n}\n`,
    )
    return 0
  }
  const written = JSON.parse(readFileSync(table, 'utf8'))
  const same = written.nvcc === compiler()
  let failures = 0
  for (const [name, now] of Object.entries(found)) {
    const before = written.kernels[name]
    if (!before) {
      process.stdout.write(`${name}: not written down (npm run check:cuda -- --write)\n`)
      ++failures
    } else if (same && (now.spills > before.spills || now.registers > before.registers)) {
      process.stdout.write(`${name}: ${JSON.stringify(now)}, written down ${JSON.stringify(before)}\n`)
      ++failures
    } else if (same && (now.spills < before.spills || now.registers < before.registers))
      process.stdout.write(`${name}: better than written down\n`)
  }
  for (const name of Object.keys(written.kernels))
    if (!found[name]) {
      process.stdout.write(`${name}: written down, but not compiled\n`)
      ++failures
    }
  process.stdout.write(
    `${Object.keys(found).length} kernels compiled by nvcc ${compiler()}, ${failures} worse than written down\n`,
  )
  return failures === 0 ? 0 : 1
}

process.exitCode = main()

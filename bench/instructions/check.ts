/**
 * npm run check:instructions [-- --write]: what the kernels cost, counted without a clock, against expected.json.
 *
 *   callgrind     instructions of one call of each kernel, scalar and AVX2; at most 2 % more than the table says
 *   inner loops   instructions, multiply-adds, loads and spills per step of the products, from the disassembly; no more
 *                 instructions, loads or spills than the table says and as many multiply-adds
 *
 * Counts belong to one compiler: with another one, or without valgrind or objdump, a part is skipped, and says why.
 * --write takes what is counted now for the table.
 */

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { countedInstructions } from './callgrind.js'
import { type InnerLoop, innerLoops } from './disassembly.js'

interface Expected {
  readonly compiler: string
  readonly callgrind: Readonly<Record<string, Readonly<Record<string, number>>>>
  readonly loops: Readonly<Record<string, Readonly<Record<string, InnerLoop>>>>
}

const root = fileURLToPath(new URL('../../', import.meta.url))
const table = path.join(root, 'bench/instructions/expected.json')
const slack = 0.02
const counted = ['scalar', 'avx2']
const disassembled = ['avx2', 'avx512', 'avx512bf16']

let [passed, failed, skipped] = [0, 0, 0]

function skip(what: string, why: string): void {
  skipped++
  process.stdout.write(`skip  ${what}: ${why}\n`)
}

function judge(what: string, problem: string | null): void {
  if (problem === null) passed++
  else failed++
  if (problem !== null) process.stdout.write(`FAIL  ${what}: ${problem}\n`)
}

function installed(program: string): boolean {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0
}

/** The compiler whose code is looked at, after building what is measured; null where it cannot be built. */
function builtBy(): string | null {
  const build = ['src/engine/build-addon.mjs', '--kernel-calls', '--compiler']
  const { status, stdout } = spawnSync(process.execPath, build, {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  return status === 0 && stdout.trim() !== '' ? stdout.trim() : null
}

function countCalls(expected: Expected['callgrind'], write: boolean): Expected['callgrind'] {
  if (!installed('valgrind')) {
    skip('callgrind', 'valgrind is not installed')
    return expected
  }
  const program = path.join(root, 'build/cmake/reasonrec_kernel_calls')
  const all: Record<string, Record<string, number>> = {}
  for (const isa of counted) {
    const counts = countedInstructions(program, isa)
    if (!counts) {
      skip(`callgrind, ${isa}`, 'this machine cannot run it')
      if (expected[isa]) all[isa] = expected[isa]
      continue
    }
    all[isa] = counts
    if (!write) compareCounts(isa, counts, expected[isa] ?? {})
  }
  return all
}

function compareCounts(isa: string, counts: Record<string, number>, expected: Record<string, number>): void {
  for (const [name, instructions] of Object.entries(counts)) {
    const wanted = expected[name]
    const ratio = instructions / (wanted ?? Number.NaN)
    if (wanted !== undefined && ratio < 1 - slack)
      process.stdout.write(`less  ${isa}, ${name}: ${instructions} instructions, the table says ${wanted}\n`)
    judge(
      `${isa}, ${name}`,
      wanted === undefined
        ? 'not in the table'
        : ratio <= 1 + slack
          ? null
          : `${instructions} instructions, the table says ${wanted}`,
    )
  }
  for (const name of Object.keys(expected)) if (!(name in counts)) judge(`${isa}, ${name}`, 'was not counted')
}

function readLoops(expected: Expected['loops'], write: boolean): Expected['loops'] {
  if (!installed('objdump')) {
    skip('inner loops', 'objdump is not installed')
    return expected
  }
  const all: Record<string, Record<string, InnerLoop>> = {}
  for (const isa of disassembled) {
    const folder = path.join(root, 'build/cmake/CMakeFiles/reasonrec_core.dir/native/backend/cpu')
    const object = path.join(folder, `${isa}.cpp.o`)
    if (!existsSync(object)) {
      skip(`inner loops, ${isa}`, `${path.relative(root, object)} is not there`)
      if (expected[isa]) all[isa] = expected[isa]
      continue
    }
    const loops = innerLoops(object)
    all[isa] = loops
    if (!write) compareLoops(isa, loops, expected[isa] ?? {})
  }
  return all
}

function compareLoops(
  isa: string,
  loops: Record<string, InnerLoop>,
  expected: Readonly<Record<string, InnerLoop>>,
): void {
  for (const name of new Set([...Object.keys(loops), ...Object.keys(expected)])) {
    const [got, wanted] = [loops[name], expected[name]]
    const within =
      got &&
      wanted &&
      got.fmas === wanted.fmas &&
      got.instructions <= wanted.instructions &&
      got.loads <= wanted.loads &&
      got.spills <= wanted.spills
    judge(
      `${isa}, inner loop, ${name}`,
      within
        ? null
        : `${JSON.stringify(got ?? 'no loop')}, the table says ${JSON.stringify(wanted ?? 'nothing')}`,
    )
  }
}

/** A loop per line. */
function tableText(found: Expected): string {
  const lines = JSON.stringify(found, null, 2).replace(
    /\{\s+("instructions"[^}]*?)\s+\}/g,
    (_, fields: string) => {
      return `{ ${fields.replaceAll(/\s*\n\s*/g, ' ')} }`
    },
  )
  return `${lines}\n`
}

function main(write: boolean): number {
  const expected = JSON.parse(readFileSync(table, 'utf8')) as Expected
  const compiler = builtBy()
  if (compiler === null) skip('instructions', 'the native code could not be built with cmake')
  else if (process.arch !== 'x64') skip('instructions', `the table is of x64, this is ${process.arch}`)
  else if (!write && compiler !== expected.compiler)
    skip('instructions', `the table is of ${expected.compiler}, this is ${compiler}`)
  else {
    const callgrind = countCalls(expected.callgrind, write)
    const loops = readLoops(expected.loops, write)
    if (write) writeFileSync(table, tableText({ compiler, callgrind, loops }))
  }
  process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`)
  if (failed > 0)
    process.stdout.write(
      'where more is meant: npm run check:instructions -- --write, and say why in the commit\n',
    )
  return failed > 0 ? 1 : 0
}

process.exitCode = main(process.argv.includes('--write'))

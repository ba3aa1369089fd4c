/** The inner loops of the products as compiled: what one step of K costs, read from the disassembly. */

import { spawnSync } from 'node:child_process'

/** Of one pass of the loop. */
export interface InnerLoop {
  readonly instructions: number
  /** Multiply-adds of vectors, whatever they multiply. */
  readonly fmas: number
  /** Instructions that read memory, broadcasts and operands included. */
  readonly loads: number
  /** Instructions that touch the stack: spilled registers. */
  readonly spills: number
}

interface Instruction {
  readonly address: number
  readonly text: string
}

const multiplyAdd = /^v(fmadd|dpbf16|dpbusd)/

/** Inner loops of the products in an object file of one instruction set. */
export function innerLoops(object: string): Record<string, InnerLoop> {
  const { status, stdout, stderr } = spawnSync('objdump', ['-d', '--no-show-raw-insn', '-C', object], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  })
  if (status !== 0) throw new Error(`objdump ended with ${status}: ${stderr.slice(-500)}`)
  return loopsOf(stdout)
}

/** The same from objdump's text: loops of gemm_micro by form, rows and panels. */
export function loopsOf(disassembly: string): Record<string, InnerLoop> {
  const found: Record<string, InnerLoop> = {}
  for (const block of disassembly.split('\n\n')) {
    const name = /gemm_micro<(\d+), (\d+), [\w:]*::(\w+(?:<\w+>)?) ?>/.exec(block.trim().split('\n', 1)[0]!)
    const loop = name && densestLoop(instructionsOf(block))
    if (loop) found[`${formNames[name[3]!] ?? name[3]} ${name[1]}x${name[2]}`] = loop
  }
  return Object.fromEntries(Object.entries(found).sort(([a], [b]) => (a < b ? -1 : 1)))
}

const formNames: Readonly<Record<string, string>> = {
  'Plain<false>': 'plain',
  'Plain<true>': 'plain, A by columns',
  Widened: 'widened',
  Pairs: 'pairs',
}

function instructionsOf(block: string): Instruction[] {
  return block.split('\n').flatMap((line) => {
    const parts = /^\s*([0-9a-f]+):\s+(.*?)\s*$/.exec(line)
    return parts ? [{ address: Number.parseInt(parts[1]!, 16), text: parts[2]! }] : []
  })
}

/** Of all ranges that end with a jump back to their beginning, the one richest in multiply-adds. */
function densestLoop(all: readonly Instruction[]): InnerLoop | null {
  let best: InnerLoop | null = null
  for (const { address, text } of all) {
    const jump = /^j\w+\s+([0-9a-f]+)/.exec(text)
    const target = jump ? Number.parseInt(jump[1]!, 16) : Number.POSITIVE_INFINITY
    if (target > address) continue
    const body = all.filter((one) => one.address >= target && one.address <= address)
    const loop = {
      instructions: body.length,
      fmas: body.filter(({ text: t }) => multiplyAdd.test(t)).length,
      loads: body.filter(({ text: t }) => readsMemory(t)).length,
      spills: body.filter(({ text: t }) => /\((%rsp|%rbp)/.test(t)).length,
    }
    if (loop.fmas > 0 && (!best || loop.fmas * best.instructions > best.fmas * loop.instructions)) best = loop
  }
  return best
}

/** AT&T order: an operand in memory that is not the last one is read; compare and test read theirs wherever it is. */
function readsMemory(text: string): boolean {
  const [operation = '', operands = ''] = text.split(/\s+(.*)/)
  if (/^(lea|prefetch|j|call)/.test(operation)) return false
  const last = operands.lastIndexOf('(')
  if (last < 0) return false
  const ends = /\)(\{[^}]*\})*$/.test(operands)
  return !ends || /^(cmp|test|add|sub)/.test(operation)
}

/** The machine a table was made on, and whether it is quiet enough to measure on. */

import { execFileSync } from 'node:child_process'
import { cpus, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'
import { engineInfo } from '../src/engine/index.js'

export interface Machine {
  readonly cpu: string
  readonly cores: number
  /** GiB. */
  readonly memory: number
  readonly isa: string
  readonly threads: number
  readonly node: string
  readonly commit: string | null
  readonly date: string
}

export function thisMachine(): Machine {
  const { isa, threads } = engineInfo()
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memory: Math.round(totalmem() / 2 ** 30),
    isa,
    threads,
    node: process.version,
    commit: commit(),
    date: new Date().toISOString(),
  }
}

function commit(): string | null {
  const cwd = fileURLToPath(new URL('.', import.meta.url))
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], {
      cwd,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
  } catch {
    return null
  }
}

/** Share of all cores' time that was idle during `milliseconds`. */
export async function idleShare(milliseconds: number): Promise<number> {
  const ticks = () => {
    const times = cpus().map((cpu) => cpu.times)
    const idle = times.reduce((sum, time) => sum + time.idle, 0)
    return {
      idle,
      all: times.reduce((sum, { user, nice, sys, irq, idle: own }) => sum + user + nice + sys + irq + own, 0),
    }
  }
  const before = ticks()
  await new Promise((resolve) => setTimeout(resolve, milliseconds))
  const after = ticks()
  return after.all > before.all ? (after.idle - before.idle) / (after.all - before.all) : 1
}

const quiet = 0.9
const lookFor = 3000

/** Waits until nine tenths of the cores are idle, `minutes` at most; says whether they are. */
export async function lull(minutes: number, say: (text: string) => void): Promise<boolean> {
  const end = Date.now() + 60_000 * minutes
  for (let told = false; ; ) {
    const idle = await idleShare(minutes > 0 ? lookFor : 300)
    if (idle >= quiet) return true
    if (Date.now() >= end) return false
    if (!told)
      say(
        `the machine is busy (${Math.round(100 * idle)} % idle): waiting up to ${minutes} minutes for a lull`,
      )
    told = true
  }
}

/** The machine a table was made on, and whether it is quiet enough to measure on. */

import { execFileSync } from 'node:child_process'
import { cpus, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'
import { engineInfo, machineCeilings } from '../src/engine/index.js'
import type { Ceilings } from './contract.js'

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
const lookFor = 1000

/**
 * Waits for lulls: until nine tenths of the cores are idle. The minutes are those of a whole run, so that a machine
 * that never rests delays it once.
 */
export class Lull {
  private left: number
  private readonly say: (text: string) => void

  constructor(minutes: number, say: (text: string) => void) {
    this.left = 60_000 * minutes
    this.say = say
  }

  /** Whether the machine is quiet now, or came to be while there was time to wait. */
  async come(): Promise<boolean> {
    for (let told = false; ; ) {
      const begin = Date.now()
      const idle = await idleShare(this.left > 0 ? lookFor : 300)
      if (idle >= quiet) return true
      if (this.left <= 0) return false
      if (!told)
        this.say(
          `the machine is busy (${Math.round(100 * idle)} % idle): waiting up to ${(this.left / 60_000).toFixed(1)} minutes for a lull`,
        )
      told = true
      this.left -= Date.now() - begin
    }
  }
}

const readBytes = 512 * 2 ** 20

/** Of this machine now; `times` more than once, each ceiling's best; `seconds` for each of the four. */
export async function measureCeilings(times: number, seconds: number): Promise<Ceilings> {
  let best: Ceilings = { read: 0, fp32: 0, bf16: 0, int8: 0 }
  for (let time = 0; time < times; time++) best = bestOf(best, await machineCeilings(seconds, readBytes))
  return best
}

export function bestOf(a: Ceilings, b: Ceilings): Ceilings {
  return {
    read: Math.max(a.read, b.read),
    fp32: Math.max(a.fp32, b.fp32),
    bf16: Math.max(a.bf16, b.bf16),
    int8: Math.max(a.int8, b.int8),
  }
}

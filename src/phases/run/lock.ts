/**
 * One writer per run directory: a file naming the process that holds it. A lock whose process is gone
 * (kill -9, power loss) is taken over at once; process ids that were given out again are told apart by the
 * start time where the system shows it.
 */

import { existsSync, linkSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { ReasonrecError } from '../../engine/errors.js'

interface Owner {
  readonly pid: number
  readonly host: string
  /** Start time in clock ticks since boot (Linux), empty elsewhere. */
  readonly started: string
}

export interface RunLock {
  release(): void
}

export function lockDirectory(directory: string): RunLock {
  const file = join(directory, '.lock')
  const claim = join(directory, `.lock.${process.pid}`)
  const mine = JSON.stringify({
    pid: process.pid,
    host: hostname(),
    started: startTime(process.pid),
  } satisfies Owner)
  writeFileSync(claim, mine)
  try {
    for (let attempt = 0; attempt < 3; attempt++) {
      try {
        // A link either appears whole or fails: no reader sees half an owner.
        linkSync(claim, file)
        return { release: () => releaseLock(file, mine) }
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      }
      removeStale(directory, file)
    }
    throw inUse(directory, 'another process')
  } finally {
    unlinkSync(claim)
  }
}

/** Is a live process writing here? */
export function isHeld(directory: string): boolean {
  const owner = parseOwner(readIfThere(join(directory, '.lock')) ?? '')
  return owner !== null && isAlive(owner)
}

function removeStale(directory: string, file: string): void {
  const seen = readIfThere(file)
  if (seen === null) return
  const owner = parseOwner(seen)
  if (owner && isAlive(owner)) throw inUse(directory, `process ${owner.pid} on ${owner.host}`)
  const aside = `${file}.stale.${process.pid}`
  try {
    renameSync(file, aside)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  // Someone else may have replaced the stale lock in between: then theirs goes back.
  const moved = readIfThere(aside)
  if (moved !== null && moved !== seen && !existsSync(file)) linkSync(aside, file)
  unlinkSync(aside)
}

function releaseLock(file: string, mine: string): void {
  if (readIfThere(file) === mine) unlinkSync(file)
}

function readIfThere(file: string): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return null
  }
}

function parseOwner(text: string): Owner | null {
  try {
    const owner = JSON.parse(text) as Partial<Owner>
    return typeof owner.pid === 'number'
      ? { pid: owner.pid, host: owner.host ?? '', started: owner.started ?? '' }
      : null
  } catch {
    return null
  }
}

function isAlive(owner: Owner): boolean {
  if (owner.host !== hostname()) return true
  try {
    process.kill(owner.pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
  return owner.started === '' || startTime(owner.pid) === owner.started
}

/** Field 22 of /proc/PID/stat; the name in field 2 may hold blanks, so count from its closing bracket. */
function startTime(pid: number): string {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? ''
  } catch {
    return ''
  }
}

function inUse(directory: string, who: string): ReasonrecError {
  return new ReasonrecError('RR_OUTPUT_IN_USE', `the output directory ${directory} is in use`, {
    got: who,
    remedy: `wait for it, choose another --out, or delete ${join(directory, '.lock')} if that process is gone`,
  })
}

/**
 * An export folder appears whole or not at all: it is built beside its place under a temporary name, verified
 * there, and renamed. A folder that holds anything already is never touched.
 */

import { mkdirSync, readdirSync, renameSync, rmdirSync, rmSync, statSync } from 'node:fs'
import path from 'node:path'
import { ReasonrecError } from '../engine/index.js'

/** Whether an empty folder is there already. @throws RR_OUTPUT_EXISTS where anything else is */
export function requireFree(out: string): boolean {
  const target = path.resolve(out)
  const found = statSync(target, { throwIfNoEntry: false })
  if (found && !(found.isDirectory() && readdirSync(target).length === 0)) {
    throw new ReasonrecError('RR_OUTPUT_EXISTS', `${target} exists already`, {
      expected: 'a new folder, or an empty one',
      remedy: 'choose another --out',
    })
  }
  return found !== undefined
}

/** Runs `build` in a temporary folder that becomes `out`. @throws RR_OUTPUT_EXISTS, RR_WRITE_FAILED */
export async function intoFolder<T>(out: string, build: (folder: string) => Promise<T>): Promise<T> {
  const target = path.resolve(out)
  const found = requireFree(target)
  const temporary = `${target}.tmp-${process.pid}`
  try {
    mkdirSync(path.dirname(target), { recursive: true })
    rmSync(temporary, { recursive: true, force: true })
    mkdirSync(temporary)
    const result = await build(temporary)
    if (found) rmdirSync(target)
    renameSync(temporary, target)
    return result
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true })
    if (error instanceof ReasonrecError || !(error as NodeJS.ErrnoException).syscall) throw error
    throw new ReasonrecError(
      'RR_WRITE_FAILED',
      `${target} was not written`,
      { got: (error as Error).message, remedy: 'check free space and permissions' },
      { cause: error },
    )
  }
}

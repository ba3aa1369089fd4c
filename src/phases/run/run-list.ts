/** Runs of a folder as they stand, read without taking their locks: a run in progress is not disturbed. */

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { readStoredConfig } from '../../config/load.js'
import { ReasonrecError } from '../../engine/errors.js'
import { isHeld } from './lock.js'
import { isRunDirectory, readRunState } from './run-directory.js'
import type { Phase, RunSummary } from './run-record.js'

export interface ListedRun {
  readonly path: string
  readonly method: string | null
  readonly seed: number | null
  /** A process works on it, it can be resumed, it is done, or its files cannot be read. */
  readonly status: 'running' | 'stopped' | 'done' | 'damaged'
  readonly plan: readonly Phase[]
  readonly done: readonly Phase[]
  /** Wall seconds of all phases and sittings. */
  readonly seconds: number
  /** HR@1 of the last trained model in its main mode, where the run was evaluated. */
  readonly hr1: number | null
  /** Milliseconds since 1970: the last change of its state. */
  readonly changed: number
  readonly bytes: number
}

/** Every run directly or deeper in `folder`, newest first. @throws RR_DATA_NO_RUN where there is no such folder */
export function listRuns(folder: string): ListedRun[] {
  const root = resolve(folder)
  if (!existsSync(root) || !statSync(root).isDirectory())
    throw new ReasonrecError('RR_DATA_NO_RUN', `there is no folder ${root}`, {
      expected: 'a folder with runs in it',
      remedy: 'give the folder that holds the runs',
    })
  return runFolders(root, 4)
    .map(listedRun)
    .sort((a, b) => b.changed - a.changed)
}

export function listedRun(path: string): ListedRun {
  const state = readRunState(path)
  const stages = state?.stages ?? {}
  const done = (state?.plan ?? []).filter((phase) => stages[phase]?.status === 'done')
  const config = storedConfig(path)
  const whole = state !== null && config !== null
  const ended = whole && done.length === state.plan.length
  return {
    path,
    method: config?.method ?? null,
    seed: config?.seed ?? null,
    status: isHeld(path) ? 'running' : ended ? 'done' : whole ? 'stopped' : 'damaged',
    plan: state?.plan ?? [],
    done,
    seconds: Object.values(stages).reduce((sum, stage) => sum + stage.seconds, 0),
    hr1: lastHitRatio(path),
    changed: statSync(join(path, 'state.json')).mtimeMs,
    bytes: folderBytes(path),
  }
}

function runFolders(folder: string, depth: number): string[] {
  if (isRunDirectory(folder)) return [folder]
  if (depth === 0) return []
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== 'node_modules' && !entry.name.startsWith('.'))
    .flatMap((entry) => runFolders(join(folder, entry.name), depth - 1))
}

function storedConfig(path: string) {
  try {
    return readStoredConfig(join(path, 'config.yaml')).config
  } catch {
    return null
  }
}

function lastHitRatio(path: string): number | null {
  const file = join(path, 'summary.json')
  if (!existsSync(file)) return null
  try {
    const { table } = JSON.parse(readFileSync(file, 'utf8')) as Partial<RunSummary>
    const trained = table?.filter(({ id }) => id === 'internalized' || id === 'imitated') ?? []
    return (trained.find(({ id }) => id === 'internalized') ?? trained[0])?.hr1 ?? null
  } catch {
    return null
  }
}

function folderBytes(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0)
}

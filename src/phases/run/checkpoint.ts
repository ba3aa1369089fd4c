/**
 * Atomic checkpoints. A save writes .tmp-<step>-<pid>/ with its files, fsyncs each, writes MANIFEST.json
 * (size and sha256 of each), fsyncs, renames to step-XXXXXXXX, fsyncs the parent, and only then prunes,
 * keeping two verified ones. The loader walks newest to oldest, verifies, and moves a bad one aside
 * (quarantine-...) saying why.
 */

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { ReasonrecError } from '../../engine/errors.js'
import { freeSpaceText, fsyncPath, refusalText, sha256File, writeDurably } from './files.js'
import type { Offsets } from './run-directory.js'

/** What every state.json says; the rest is its owner's. */
export interface Stepped {
  /** Finished updates; the work continues with this step. */
  readonly step: number
}

/** state.json of a training phase's checkpoint: everything that is not a tensor. Random numbers need no state: they are keyed. */
export interface CheckpointState extends Stepped {
  readonly phase: string
  readonly config_hash: string
  readonly offsets: Offsets
  readonly skipped: number
  /** Where they are steered from step to step: the next step's. */
  readonly weights?: { readonly beta: number; readonly entropy: number }
  readonly versions: Readonly<Record<string, string>>
}

interface Manifest {
  readonly files: Readonly<Record<string, { readonly size: number; readonly sha256: string }>>
}

export interface Checkpoint<State extends Stepped = CheckpointState> {
  readonly path: string
  readonly state: State
}

const kept = 2
const manifestName = 'MANIFEST.json'
const stateName = 'state.json'

export class CheckpointStore<State extends Stepped = CheckpointState> {
  readonly directory: string
  private failures = 0

  /** `warn` is told about a save that failed and about a checkpoint that was moved aside. */
  constructor(
    directory: string,
    private readonly warn: (text: string) => void,
  ) {
    this.directory = directory
    mkdirSync(directory, { recursive: true })
    for (const name of readdirSync(directory))
      if (name.startsWith('.tmp-')) rmSync(join(directory, name), { recursive: true, force: true })
  }

  /**
   * `writeTensors` puts its files into the folder it is given. A failed save leaves the previous
   * checkpoint and lets training go on (the answer is false); the third in a row is an error.
   */
  async save(state: State, writeTensors: (folder: string) => Promise<void>): Promise<boolean> {
    const temporary = join(this.directory, `.tmp-${state.step}-${process.pid}`)
    try {
      mkdirSync(temporary)
      await writeTensors(temporary)
      writeDurably(join(temporary, stateName), `${JSON.stringify(state)}\n`)
      this.publish(temporary, join(this.directory, stepName(state.step)))
      this.failures = 0
    } catch (error) {
      rmSync(temporary, { recursive: true, force: true })
      this.failures++
      const got = refusalText(error)
      if (this.failures >= 3) {
        throw new ReasonrecError(
          'RR_OUTPUT_WRITE',
          `three checkpoints in a row could not be written to ${this.directory}`,
          {
            got: `${got}; ${freeSpaceText(this.directory)}`,
            remedy: 'free space, then continue with: reasonrec resume',
          },
          { cause: error },
        )
      }
      this.warn(
        `checkpoint ${state.step} not written to ${this.directory} (${got}; ${freeSpaceText(this.directory)}); training goes on`,
      )
      return false
    }
    this.prune()
    return true
  }

  /** The newest checkpoint that verifies, or null. */
  latest(): Checkpoint<State> | null {
    for (const name of this.names().reverse()) {
      const path = join(this.directory, name)
      const problem = verify(path)
      if (problem === null)
        return { path, state: JSON.parse(readFileSync(join(path, stateName), 'utf8')) as State }
      const aside = join(this.directory, `quarantine-${name}-${process.pid}`)
      renameSync(path, aside)
      this.warn(`checkpoint ${name} is damaged (${problem}); moved to ${aside}, the one before it is used`)
    }
    return null
  }

  private publish(temporary: string, final: string): void {
    const files: Record<string, { size: number; sha256: string }> = {}
    for (const name of readdirSync(temporary).sort()) {
      const file = join(temporary, name)
      fsyncPath(file)
      files[name] = { size: statSync(file).size, sha256: sha256File(file) }
    }
    writeDurably(join(temporary, manifestName), `${JSON.stringify({ files } satisfies Manifest)}\n`)
    fsyncPath(temporary)
    // The same step can be there from a run that was killed after its save: equal work, replace it.
    if (existsSync(final)) rmSync(final, { recursive: true })
    renameSync(temporary, final)
    fsyncPath(this.directory)
  }

  private prune(): void {
    for (const name of this.names().slice(0, -kept))
      rmSync(join(this.directory, name), { recursive: true, force: true })
  }

  /** Oldest first. */
  private names(): string[] {
    return readdirSync(this.directory)
      .filter((name) => /^step-\d{8}$/.test(name))
      .sort()
  }
}

function stepName(step: number): string {
  return `step-${String(step).padStart(8, '0')}`
}

/** Null if sound, else what is wrong. */
function verify(path: string): string | null {
  try {
    const manifest = JSON.parse(readFileSync(join(path, manifestName), 'utf8')) as Manifest
    if (!(stateName in manifest.files)) return `${manifestName} does not name ${stateName}`
    for (const [name, { size, sha256 }] of Object.entries(manifest.files)) {
      const file = join(path, name)
      if (!existsSync(file)) return `${name} is missing`
      const found = statSync(file).size
      if (found !== size) return `${name} has ${found} bytes instead of ${size}`
      if (sha256File(file) !== sha256) return `${name} has another sha256`
    }
    return null
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

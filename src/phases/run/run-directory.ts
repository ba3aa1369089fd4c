/**
 * The folder of a run (--out): configuration as run, append-only records, checkpoints, adapters, report.
 *   config.yaml  state.json  traces.jsonl  metrics.jsonl  samples.jsonl  predictions.jsonl
 *   checkpoints/<phase>/step-XXXXXXXX/   reference-adapter/   adapter/   summary.json   report.html
 * A metrics or samples line that cannot be written is lost with a warning; a trace or prediction is an error.
 * state.json says which stage is done and where each record file stood at its last safe point, so that a
 * resumed run cuts the lines of work that will be done again.
 */

import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { configYaml, type LoadedConfig, readStoredConfig } from '../../config/load.js'
import { ReasonrecError } from '../../engine/errors.js'
import { JsonLines, writeDurably } from './files.js'
import { lockDirectory, type RunLock } from './lock.js'
import type { MetricsLine, Phase, SampleLine } from './run-record.js'

const records = ['traces', 'metrics', 'samples', 'predictions'] as const
export type RecordName = (typeof records)[number]
/** Told about what was lost without ending the run. */
type Warn = (text: string) => void

/** Bytes of each record file at a safe point. */
export type Offsets = Readonly<Record<RecordName, number>>

export interface StageState {
  readonly status: 'running' | 'done'
  /** Where the records stood when the stage began. */
  readonly began: Offsets
  /** The next unit of work (a chunk) for stages without checkpoints. */
  readonly next: number
  /** Where the records stood after the last finished unit. */
  readonly offsets: Offsets
  /** Wall and CPU seconds over all sittings. */
  readonly seconds: number
  readonly cpuSeconds: number
}

interface RunState {
  readonly schema: 1
  readonly config_hash: string
  /** The stages this run is to go through; `resume` does those that are not done. */
  readonly plan: readonly Phase[]
  readonly stages: Partial<Readonly<Record<Phase, StageState>>>
}

const stateFile = 'state.json'

export class RunDirectory {
  readonly path: string
  readonly loaded: LoadedConfig
  private state: RunState
  private readonly lock: RunLock
  private readonly lines: Readonly<Record<RecordName, JsonLines>>
  /** Records that lost a line, each told about once. */
  private readonly lossy = new Set<RecordName>()
  private sitting = { phase: null as Phase | null, wall: 0, cpu: 0 }

  private constructor(
    path: string,
    loaded: LoadedConfig,
    state: RunState,
    lock: RunLock,
    private readonly warn: Warn,
  ) {
    this.path = path
    this.loaded = loaded
    this.state = state
    this.lock = lock
    const open = (name: RecordName): JsonLines => new JsonLines(join(path, `${name}.jsonl`))
    this.lines = {
      traces: open('traces'),
      metrics: open('metrics'),
      samples: open('samples'),
      predictions: open('predictions'),
    }
  }

  /** Throws where `create` would, before anything costly is opened. */
  static requireFree(path: string): void {
    refuseForeign(resolve(path))
  }

  /** A new or empty folder. A folder that holds anything else is left alone. */
  static create(
    path: string,
    loaded: LoadedConfig,
    plan: readonly Phase[],
    warn: Warn = warning,
  ): RunDirectory {
    const directory = resolve(path)
    refuseForeign(directory)
    mkdirSync(join(directory, 'checkpoints'), { recursive: true })
    const lock = lockDirectory(directory)
    try {
      if (existsSync(join(directory, stateFile))) throw notEmpty(directory, 'a run')
      writeDurably(join(directory, 'config.yaml'), configYaml(loaded.config))
      const state: RunState = { schema: 1, config_hash: loaded.hash, plan, stages: {} }
      writeDurably(join(directory, stateFile), stateText(state))
      return new RunDirectory(directory, loaded, state, lock, warn)
    } catch (error) {
      lock.release()
      throw error
    }
  }

  /** A folder that `create` made, with the configuration it was made with. */
  static open(path: string, warn: Warn = warning): RunDirectory {
    const directory = resolve(path)
    if (!isRunDirectory(directory)) {
      throw new ReasonrecError('RR_OUTPUT_NO_RUN', `${directory} holds no run`, {
        expected: 'a folder with config.yaml and state.json',
        remedy: 'give the --out folder of a run',
      })
    }
    const lock = lockDirectory(directory)
    try {
      const state = JSON.parse(readFileSync(join(directory, stateFile), 'utf8')) as RunState
      return new RunDirectory(directory, readStoredConfig(join(directory, 'config.yaml')), state, lock, warn)
    } catch (error) {
      lock.release()
      throw error
    }
  }

  file(...parts: readonly string[]): string {
    return join(this.path, ...parts)
  }

  get plan(): readonly Phase[] {
    return this.state.plan
  }

  addToPlan(phase: Phase): void {
    if (this.plan.includes(phase)) return
    this.state = { ...this.state, plan: [...this.plan, phase] }
    writeDurably(this.file(stateFile), stateText(this.state))
  }

  stage(phase: Phase): StageState | null {
    return this.state.stages[phase] ?? null
  }

  isDone(phase: Phase): boolean {
    return this.stage(phase)?.status === 'done'
  }

  /** Starts a stage, or cuts the records back to the safe point `resumeAt` (default: its last unit). */
  begin(phase: Phase, resumeAt?: Offsets): StageState {
    const known = this.stage(phase)
    const offsets = known ? (resumeAt ?? known.offsets) : this.offsets()
    if (known) for (const name of records) this.lines[name].truncate(offsets[name])
    this.sitting = { phase, wall: performance.now(), cpu: cpuSeconds() }
    return this.write(
      phase,
      known
        ? { ...known, status: 'running', offsets }
        : { status: 'running', began: offsets, next: 0, offsets, seconds: 0, cpuSeconds: 0 },
    )
  }

  /** A finished unit: everything appended so far stays, also after a kill. */
  commit(phase: Phase, next: number): void {
    const state = this.requireStage(phase)
    this.write(phase, { ...this.clocked(phase, state), next, offsets: this.syncedOffsets() })
  }

  finish(phase: Phase): void {
    const state = this.requireStage(phase)
    this.write(phase, { ...this.clocked(phase, state), status: 'done', offsets: this.syncedOffsets() })
    this.sitting = { ...this.sitting, phase: null }
  }

  /** Adds the time of this sitting without a safe point (an interruption). */
  pause(phase: Phase): void {
    const state = this.stage(phase)
    if (state && this.sitting.phase === phase) this.write(phase, this.clocked(phase, state))
  }

  metrics(line: MetricsLine): void {
    this.lossily('metrics', (lines) => lines.append(line))
  }

  sample(line: SampleLine): void {
    this.lossily('samples', (lines) => lines.append(line))
  }

  append(name: 'traces' | 'predictions', line: object): void {
    this.lines[name].append(line)
  }

  /** Record sizes, after an fsync of each. */
  syncedOffsets(): Offsets {
    for (const name of ['traces', 'predictions'] as const) this.lines[name].sync()
    for (const name of ['metrics', 'samples'] as const) this.lossily(name, (lines) => lines.sync())
    return this.offsets()
  }

  close(): void {
    for (const name of records) this.lines[name].close()
    this.lock.release()
  }

  /** Writing for a person to read never ends the work. */
  private lossily(name: 'metrics' | 'samples', write: (lines: JsonLines) => void): void {
    try {
      write(this.lines[name])
    } catch (error) {
      if (this.lossy.has(name)) return
      this.lossy.add(name)
      const got = error instanceof ReasonrecError ? error.details.got : String(error)
      this.warn(
        `${this.lines[name].file} cannot be written (${got}); its lines are lost meanwhile, the work goes on`,
      )
    }
  }

  private offsets(): Offsets {
    const size = (name: RecordName): number => this.lines[name].size()
    return {
      traces: size('traces'),
      metrics: size('metrics'),
      samples: size('samples'),
      predictions: size('predictions'),
    }
  }

  private requireStage(phase: Phase): StageState {
    const state = this.stage(phase)
    if (!state) throw new ReasonrecError('RR_RUN_STAGE', `stage ${phase} was not begun`)
    return state
  }

  private clocked(phase: Phase, state: StageState): StageState {
    if (this.sitting.phase !== phase) return state
    const wall = performance.now()
    const cpu = cpuSeconds()
    const clocked = {
      ...state,
      seconds: state.seconds + (wall - this.sitting.wall) / 1000,
      cpuSeconds: state.cpuSeconds + cpu - this.sitting.cpu,
    }
    this.sitting = { phase, wall, cpu }
    return clocked
  }

  private write(phase: Phase, stage: StageState): StageState {
    this.state = { ...this.state, stages: { ...this.state.stages, [phase]: stage } }
    writeDurably(this.file(stateFile), stateText(this.state))
    return stage
  }
}

/** Where a run stands, without taking its lock; null where the file cannot be read. */
export function readRunState(path: string): Pick<RunState, 'plan' | 'stages'> | null {
  try {
    return JSON.parse(readFileSync(join(path, stateFile), 'utf8')) as RunState
  } catch {
    return null
  }
}

export function isRunDirectory(path: string): boolean {
  return existsSync(join(path, stateFile)) && existsSync(join(path, 'config.yaml'))
}

function warning(text: string): void {
  process.emitWarning(text)
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

function stateText(state: RunState): string {
  return `${JSON.stringify(state, null, 1)}\n`
}

function refuseForeign(directory: string): void {
  if (!existsSync(directory)) return
  if (!statSync(directory).isDirectory()) throw notEmpty(directory, 'a file')
  // A lock first: a live run answers "in use", not "not empty".
  if (isRunDirectory(directory)) {
    lockDirectory(directory).release()
    throw notEmpty(directory, 'a run')
  }
  const content = readdirSync(directory)
  // What a run killed in its first instant leaves behind.
  const ours = new Set(['.lock', 'checkpoints', 'config.yaml'])
  const [foreign] = content.filter(
    (name) => !ours.has(name) && !name.endsWith('.tmp') && !name.startsWith('.lock.'),
  )
  if (foreign !== undefined) throw notEmpty(directory, foreign)
}

function notEmpty(directory: string, got: string): ReasonrecError {
  return new ReasonrecError('RR_OUTPUT_NOT_EMPTY', `the output directory ${directory} is not empty`, {
    expected: 'a new or empty folder',
    got,
    remedy:
      got === 'a run'
        ? `continue it with: reasonrec resume ${directory}, or choose another --out`
        : 'choose another --out',
  })
}

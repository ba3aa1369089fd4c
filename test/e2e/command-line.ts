/**
 * The command line as a user runs it: a child process, its exit status, what it printed. Models are the
 * tiny fixture with random weights (written at test time), data are made up.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import { Model, readModelConfig } from '../../src/engine/index.js'
import { writeSyntheticData } from '../fixtures/synthetic-data.js'
import { builtCli } from './built-cli.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const tinyModel = join(root, 'test/fixtures/tiny-model')

export interface Finished {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A folder that is gone after the tests of a file; call the second part in afterAll. */
export function workFolder(): { readonly path: string; readonly remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'reasonrec-e2e-'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

export function start(args: readonly string[], environment: Record<string, string> = {}): ChildProcess {
  return spawn(process.execPath, [builtCli, ...args], {
    cwd: root,
    env: { ...process.env, NO_COLOR: '1', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

export function finished(child: ChildProcess): Promise<Finished> {
  let stdout = ''
  let stderr = ''
  child.stdout?.on('data', (piece: Buffer) => {
    stdout += piece.toString()
  })
  child.stderr?.on('data', (piece: Buffer) => {
    stderr += piece.toString()
  })
  return new Promise((resolve) => child.on('close', (status) => resolve({ status, stdout, stderr })))
}

export function cli(args: readonly string[], environment: Record<string, string> = {}): Promise<Finished> {
  return finished(start(args, environment))
}

/** What a run is made from and where it goes. */
export interface RunPlace {
  readonly model: string
  readonly data: string
  readonly out: string
  readonly settings?: string
  readonly preset?: string
}

/** `reasonrec run` with its options. */
export function runArguments({ preset, settings, model, data, out }: RunPlace): string[] {
  return [
    'run',
    ...(preset === undefined ? [] : ['--preset', preset]),
    ...(settings === undefined ? [] : ['--config', settings]),
    '--model',
    model,
    '--data',
    data,
    '--out',
    out,
  ]
}

/** Waits until a run's metrics hold `count` lines of a phase, then sends the signal. */
export async function signalAt(
  child: ChildProcess,
  run: string,
  phase: string,
  count: number,
  signal: NodeJS.Signals,
): Promise<Finished> {
  const end = finished(child)
  const file = join(run, 'metrics.jsonl')
  while (isRunning(child) && linesOf(file, phase) < count)
    await new Promise((resolve) => setTimeout(resolve, 5))
  child.kill(signal)
  return end
}

export function isRunning({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode === null && signalCode === null
}

export function linesOf(file: string, phase: string): number {
  return existsSync(file)
    ? readFileSync(file, 'utf8')
        .split('\n')
        .filter((line) => line.startsWith(`{"phase":"${phase}"`)).length
    : 0
}

export function sha256(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex')
}

/** The last line of stdout, which is the one JSON object of --json. */
export function lastJson<T>(stdout: string): T {
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as T
}

export async function writeTinyModel(path: string, seed = 3n): Promise<string> {
  mkdirSync(path, { recursive: true })
  cpSync(tinyModel, path, { recursive: true })
  const model = await Model.random(readModelConfig(path), seed, 0.1)
  await model.save(join(path, 'model.safetensors'))
  return path
}

export async function writeTinyData(path: string): Promise<string> {
  await writeSyntheticData(path, { users: 40, items: 60, seed: 1, userSplit: true, noun: 'film' })
  return path
}

/** JSON is YAML. */
/**
 * A model in `folder` that was taught the form: random weights, every one trained on collected traces, so that rollouts
 * are well-formed often enough for policy gradients to flow.
 */
export async function writeTaughtModel(folder: string, teaching: object, data: string): Promise<string> {
  const taught = join(folder, 'taught')
  const teach = writeSettings(join(folder, 'teach.yaml'), teaching)
  const random = await writeTinyModel(join(folder, 'random'))
  for (const verb of ['collect', 'imitate']) {
    const options = verb === 'collect' ? ['--config', teach, '--model', random, '--data', data] : []
    await succeeded(cli([verb, ...options, '--out', taught]))
  }
  return join(taught, 'imitated-model')
}

/** Its end, which is a good one. */
export async function succeeded(run: Promise<Finished>): Promise<Finished> {
  const end = await run
  expect(end.stderr).not.toMatch(/RR_/)
  expect(end.status).toBe(0)
  return end
}

export function writeSettings(file: string, settings: object): string {
  writeFileSync(file, JSON.stringify(settings))
  return file
}

/** Every phase in a few seconds on a random model. */
export const quickSettings = {
  prompt: { max_words: 30 },
  collect: { instances: 24, k_free: 2, k_hint: 1, max_new: 16, chunk: 8, fill_to: 16 },
  sft: { epochs: 1, batch: 4, rank: 4, alpha: 8, lr: 1e-3, save_every: 2 },
  rl: { steps: 2, prompts: 2, group: 3, max_new: 12, warmup: 1, save_every: 1, mask_truncated: false },
  eval: { instances: 6, max_new: 12, chunk: 4 },
} as const

/**
 * Peers: programs under peers/, started once and asked line by line. A .ts or .mjs file runs under this Node, a .py file
 * under REASONREC_PYTHON or python3. One that is not there, or says that something of its own is missing, is not
 * installed; one that does not answer in time is ended.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { ReasonrecError } from '../src/engine/index.js'

export class Peer {
  /** With versions, as it names itself. */
  readonly title: string
  /** Its file under peers/, without the ending. */
  readonly file: string
  private readonly child: ChildProcess
  private readonly lines: AsyncIterator<string>

  private readonly complaint: () => string

  private constructor(
    title: string,
    file: string,
    child: ChildProcess,
    lines: AsyncIterator<string>,
    complaint: () => string,
  ) {
    this.title = title
    this.file = file
    this.complaint = complaint
    this.child = child
    this.lines = lines
  }

  /** The started peer, or why there is none. */
  static async start(name: string, threads: number): Promise<Peer | { readonly missing: string }> {
    const command = commandOf(name)
    if (!command) return { missing: `no file peers/${name}` }
    const child = spawn(command[0], command[1], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, OMP_NUM_THREADS: String(threads), OPENBLAS_NUM_THREADS: String(threads) },
    })
    let complaint = ''
    child.stderr?.on('data', (piece: Buffer) => {
      complaint = `${complaint}${piece.toString()}`.slice(-2000)
    })
    const failed = new Promise<null>((resolve) => {
      child.once('error', (error) => {
        complaint += error.message
        resolve(null)
      })
    })
    // A peer that ends while it is written to is found out by its missing answer.
    child.stdin?.on('error', () => {})
    const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
    const first = await Promise.race([lines.next(), failed])
    const hello =
      first === null || first.done ? null : (JSON.parse(first.value) as { name?: string; missing?: string })
    if (hello?.name !== undefined) return new Peer(hello.name, name, child, lines, () => lastLine(complaint))
    child.kill()
    return { missing: hello?.missing ?? (lastLine(complaint) || 'it did not start') }
  }

  /** One request, one answer. @throws RR_BENCH_PEER where it ends, is silent too long or answers with an error */
  async ask<T>(request: object, minutes = silence): Promise<T> {
    this.child.stdin?.write(`${JSON.stringify(request)}\n`)
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 60_000 * minutes)
    const line = await this.lines.next()
    clearTimeout(timer)
    const ended = `it ended, or was silent for ${minutes} minutes: ${this.complaint()}`
    const answer = line.done ? { error: ended } : (JSON.parse(line.value) as T & { error?: string })
    if (typeof answer.error !== 'string') return answer as T
    throw new ReasonrecError('RR_BENCH_PEER', `${this.title} failed`, { got: answer.error })
  }

  stop(): void {
    this.child.stdin?.end()
    this.child.kill()
  }
}

/** Minutes. */
const silence = 15

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? ''
}

function commandOf(name: string): readonly [string, string[]] | null {
  const file = (ending: string): string =>
    fileURLToPath(new URL(`./peers/${name}.${ending}`, import.meta.url))
  if (existsSync(file('ts'))) return [process.execPath, ['--import', 'tsx', file('ts')]]
  if (existsSync(file('mjs'))) return [process.execPath, [file('mjs')]]
  if (existsSync(file('py'))) return [process.env.REASONREC_PYTHON ?? 'python3', [file('py')]]
  return null
}

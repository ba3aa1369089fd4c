/**
 * Peers: programs under peers/, started once and asked line by line. A .ts file runs under this Node, a .py file under
 * REASONREC_PYTHON or python3. One that is not there, or says that something of its own is missing, is not installed.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { ReasonrecError } from '../src/engine/index.js'

export class Peer {
  /** With versions, as it names itself. */
  readonly title: string
  private readonly child: ChildProcess
  private readonly lines: AsyncIterator<string>

  private constructor(title: string, child: ChildProcess, lines: AsyncIterator<string>) {
    this.title = title
    this.child = child
    this.lines = lines
  }

  /** The started peer, or why there is none. */
  static async start(name: string, threads: number): Promise<Peer | { readonly missing: string }> {
    const command = commandOf(name)
    if (!command) return { missing: `no file peers/${name}.ts or .py` }
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
    if (hello?.name !== undefined) return new Peer(hello.name, child, lines)
    child.kill()
    return { missing: hello?.missing ?? complaint.trim().split('\n').at(-1) ?? 'it did not start' }
  }

  /** One request, one answer. @throws RR_BENCH_PEER where it ends or answers with an error */
  async ask<T>(request: object): Promise<T> {
    this.child.stdin?.write(`${JSON.stringify(request)}\n`)
    const line = await this.lines.next()
    const answer = line.done ? { error: 'it ended' } : (JSON.parse(line.value) as T & { error?: string })
    if (typeof answer.error !== 'string') return answer as T
    throw new ReasonrecError('RR_BENCH_PEER', `${this.title} failed`, { got: answer.error })
  }

  stop(): void {
    this.child.stdin?.end()
    this.child.kill()
  }
}

function commandOf(name: string): readonly [string, string[]] | null {
  const file = (ending: string): string =>
    fileURLToPath(new URL(`./peers/${name}.${ending}`, import.meta.url))
  if (existsSync(file('ts'))) return [process.execPath, ['--import', 'tsx', file('ts')]]
  if (existsSync(file('py'))) return [process.env.REASONREC_PYTHON ?? 'python3', [file('py')]]
  return null
}

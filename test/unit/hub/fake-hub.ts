/**
 * A hub on loopback that speaks what the Hugging Face hub speaks (model information, tree, resolve with ranges and
 * redirects) and can be told to misbehave. Every request is kept, with its authorisation.
 */

import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Request {
  readonly url: string
  readonly host: string
  readonly authorization: string | undefined
  readonly range: string | undefined
}

/** Answers a request itself and says true, or leaves it to the honest hub. */
export type Behaviour = (request: IncomingMessage, response: ServerResponse, hub: FakeHub) => boolean

export const commit = '0123456789abcdef0123456789abcdef01234567'

export class FakeHub {
  readonly requests: Request[] = []
  behaviour: Behaviour = () => false
  /** Replaces the entries of the tree. */
  tree: ((entries: object[]) => unknown) | null = null

  private constructor(
    private readonly server: Server,
    readonly files: Map<string, Buffer>,
    /** Names listed with SHA-256, as large files are. */
    private readonly large: ReadonlySet<string>,
  ) {
    server.on('request', (request: IncomingMessage, response: ServerResponse) =>
      this.answer(request, response),
    )
  }

  static async start(files: Map<string, Buffer>, large: ReadonlySet<string>): Promise<FakeHub> {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return new FakeHub(server, files, large)
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections()
    await new Promise((resolve) => this.server.close(resolve))
  }

  entries(): object[] {
    return [...this.files].map(([path, content]) => {
      const oid = createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex')
      const sha256 = createHash('sha256').update(content).digest('hex')
      const lfs = { oid: sha256, size: content.length, pointerSize: 130 }
      return { type: 'file', path, size: content.length, oid, ...(this.large.has(path) && { lfs }) }
    })
  }

  send(
    response: ServerResponse,
    status: number,
    headers: Record<string, string>,
    body: Buffer | string,
  ): true {
    response.writeHead(status, headers)
    response.end(body)
    return true
  }

  /** The file a resolve request asks for. */
  asked(request: IncomingMessage): string | undefined {
    return /^\/[^/]+\/[^/]+\/resolve\/[^/]+\/(.+)$/.exec(decodeURIComponent(request.url ?? ''))?.[1]
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const { url = '', headers } = request
    const { host = '', authorization, range } = headers
    this.requests.push({ url, host, authorization, range })
    if (this.behaviour(request, response, this)) return
    const json = { 'content-type': 'application/json' }
    if (/^\/api\/models\/[^/]+\/[^/]+\/revision\//.test(url))
      return void this.send(response, 200, json, JSON.stringify({ _id: '1', id: 'org/tiny', sha: commit }))
    if (/^\/api\/models\/[^/]+\/[^/]+\/tree\//.test(url))
      return void this.send(
        response,
        200,
        json,
        JSON.stringify(this.tree?.(this.entries()) ?? this.entries()),
      )
    const content = this.files.get(this.asked(request) ?? '')
    if (!content) return void this.send(response, 404, {}, 'not here')
    const start = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0)
    if (start === 0) return void this.send(response, 200, {}, content)
    const part = { 'content-range': `bytes ${start}-${content.length - 1}/${content.length}` }
    this.send(response, 206, part, content.subarray(start))
  }
}

/** A server of the tiny model on a free port, and the official client for it. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import OpenAI from 'openai'
import { Model } from '../../../src/engine/index.js'
import { Tokenizer } from '../../../src/prompts/tokenizer.js'
import { ServedModel } from '../../../src/serve/served-model.js'
import { ModelServer, type ServerOptions } from '../../../src/serve/server.js'
import { randomModel } from '../../fixtures/small-run.js'

export interface Served {
  readonly url: string
  readonly client: OpenAI
  readonly server: ModelServer
  /** Of errors that are not the client's. */
  readonly errors: unknown[]
}

export interface Place {
  readonly folder: string
  readonly model: Model
  readonly tokenizer: Tokenizer
  serve(
    options?: Partial<ServerOptions> & { readonly rows?: number; readonly maxTokens?: number },
  ): Promise<Served>
  remove(): Promise<void>
}

/** The model's name is "tiny". */
export async function place(): Promise<Place> {
  const root = mkdtempSync(join(tmpdir(), 'reasonrec-serve-'))
  const folder = await randomModel(join(root, 'tiny'))
  const servers: ModelServer[] = []
  return {
    folder,
    model: await Model.open(folder),
    tokenizer: await Tokenizer.open(folder),
    async serve({ rows = 8, maxTokens = 512, ...options } = {}) {
      const model = await ServedModel.open({
        model: folder,
        adapter: null,
        dtype: 'auto',
        name: null,
        rows,
        maxTokens,
      })
      const errors: unknown[] = []
      const server = await ModelServer.listen(model, {
        host: '127.0.0.1',
        port: 0,
        queue: 64,
        body: 100_000,
        key: null,
        onError: (error) => errors.push(error),
        ...options,
      })
      servers.push(server)
      const client = new OpenAI({ baseURL: server.url, apiKey: options.key ?? 'none', maxRetries: 0 })
      return { url: server.url, client, server, errors }
    },
    async remove() {
      await Promise.all(servers.map((server) => server.drain(0)))
      rmSync(root, { recursive: true, force: true })
    },
  }
}

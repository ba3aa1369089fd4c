/** model pull against a hub on loopback: the cache it leaves, taking up where it ended, and answers of a hostile hub. */

import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Model, ReasonrecError } from '../../../src/engine/index.js'
import { hubOptions } from '../../../src/hub/hub-fetch.js'
import { pull } from '../../../src/hub/pull.js'
import { cachedModels, modelFolder, parseRepository } from '../../../src/hub/repository.js'
import { type Behaviour, commit, FakeHub } from './fake-hub.js'

const model = fileURLToPath(new URL('../../fixtures/peft/models/llama', import.meta.url))
const token = 'hf_secretsecretsecret'
const repository = { name: 'org/tiny', revision: 'main' }
const weights = 'model.safetensors'

let hub: FakeHub
let elsewhere: FakeHub
let cache: string
let total: number

beforeEach(async () => {
  const files = new Map(
    ['config.json', weights].map((name) => [name, readFileSync(path.join(model, name))] as const),
  )
  files.set('tokenizer.json', Buffer.from('{"a": 1}'))
  files.set('pytorch_model.bin', Buffer.from('pickle'))
  files.set('onnx/model.onnx', Buffer.from('onnx'))
  hub = await FakeHub.start(files, new Set([weights]))
  elsewhere = await FakeHub.start(files, new Set([weights]))
  cache = mkdtempSync(path.join(tmpdir(), 'reasonrec-hub-'))
  total = 0
})

afterEach(async () => {
  await hub.stop()
  await elsewhere.stop()
  rmSync(cache, { recursive: true })
})

type Changes = Partial<Parameters<typeof pull>[1]>

function options(changes: Changes = {}) {
  return {
    endpoint: changes.endpoint ?? hub.endpoint,
    token,
    patience: 10_000,
    attempts: 3,
    pause: 1,
    offline: false,
    cache,
    ...changes,
  }
}

function load(changes: Changes = {}, asked = repository) {
  return pull(asked, options(changes), {
    start: () => undefined,
    received: (bytes) => {
      total += bytes
    },
  })
}

async function refusal(run: () => Promise<unknown>): Promise<ReasonrecError> {
  const error = await run().catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(ReasonrecError)
  const line = (error as ReasonrecError).toLine()
  expect(line).not.toContain('\n')
  expect(line).not.toContain(token)
  return error as ReasonrecError
}

/** Files under the cache that are whole blobs, or links to them. */
function blobs(): string[] {
  const folder = path.join(cache, 'models--org--tiny', 'blobs')
  return existsSync(folder) ? readdirSync(folder).filter((name) => !name.endsWith('.incomplete')) : []
}

function everything(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    lstatSync(path.join(folder, name)).isFile(),
  )
}

describe('pull', () => {
  it('leaves the layout that the Hugging Face libraries share, and a model that opens', async () => {
    const pulled = await load()
    const folder = path.join(cache, 'models--org--tiny')
    expect(pulled).toMatchObject({
      commit,
      files: 3,
      skipped: 2,
      dir: path.join(folder, 'snapshots', commit),
    })
    expect(readFileSync(path.join(folder, 'refs', 'main'), 'utf8')).toBe(commit)
    expect(readdirSync(pulled.dir).sort()).toEqual(['config.json', weights, 'tokenizer.json'])
    expect(lstatSync(path.join(pulled.dir, weights)).isSymbolicLink()).toBe(true)
    expect(total).toBe(pulled.bytes)
    expect((await Model.open(pulled.dir)).vocab).toBe(24)
    expect(modelFolder('org/tiny', cache)).toBe(pulled.dir)
    expect(modelFolder(`org/tiny@${commit}`, cache)).toBe(pulled.dir)
    expect(cachedModels(cache)).toMatchObject([{ name: 'org/tiny', revision: 'main', bytes: pulled.bytes }])
  })

  it('loads nothing twice', async () => {
    await load()
    const before = hub.requests.length
    await load()
    expect(hub.requests.slice(before).every(({ url }) => url.startsWith('/api/'))).toBe(true)
  })

  it('goes on where a broken connection ended', async () => {
    let broken = 0
    hub.behaviour = (request, response) => {
      if (hub.asked(request) !== weights || broken++ > 0) return false
      response.writeHead(200, {})
      response.write(hub.files.get(weights)!.subarray(0, 1000), () =>
        setTimeout(() => response.destroy(), 20),
      )
      return true
    }
    const pulled = await load()
    const ranges = hub.requests.filter(({ url }) => url.endsWith(weights)).map(({ range }) => range)
    expect(ranges).toEqual([undefined, 'bytes=1000-'])
    expect(readFileSync(path.join(pulled.dir, weights))).toEqual(hub.files.get(weights))
    expect(total).toBe(pulled.bytes)
  })

  it('goes on in a later run, and begins anew where the kept part was wrong', async () => {
    const [sha] = [(hub.entries().find((entry) => 'lfs' in entry) as { lfs: { oid: string } }).lfs.oid]
    const folder = path.join(cache, 'models--org--tiny', 'blobs')
    mkdirSync(folder, { recursive: true })
    writeFileSync(path.join(folder, `${sha}.incomplete`), Buffer.alloc(500, 7))
    const pulled = await load()
    expect(hub.requests.filter(({ url }) => url.endsWith(weights)).map(({ range }) => range)).toEqual([
      'bytes=500-',
      undefined,
    ])
    expect(readFileSync(path.join(pulled.dir, weights))).toEqual(hub.files.get(weights))
  })

  it('waits where the hub is busy', async () => {
    let times = 0
    hub.behaviour = (_request, response) =>
      times++ < 2 ? hub.send(response, times === 1 ? 429 : 503, { 'retry-after': '0' }, 'later') : false
    await load()
    expect(times).toBeGreaterThan(2)
  })

  it('sends the token to the hub alone, whatever it redirects to', async () => {
    hub.behaviour = (request, response) =>
      hub.asked(request) === undefined
        ? false
        : hub.send(response, 302, { location: `${elsewhere.endpoint}${request.url}` }, '')
    await load()
    expect(hub.requests.every(({ authorization }) => authorization === `Bearer ${token}`)).toBe(true)
    expect(elsewhere.requests.length).toBe(3)
    expect(elsewhere.requests.map(({ authorization }) => authorization)).toEqual([
      undefined,
      undefined,
      undefined,
    ])
  })

  it('writes the token nowhere', async () => {
    await load()
    for (const name of everything(cache))
      expect(readFileSync(path.join(cache, name)).includes(token)).toBe(false)
  })

  it('stops on a signal and goes on later', async () => {
    const controller = new AbortController()
    const { oid } = (hub.entries().find((entry) => 'lfs' in entry) as { lfs: { oid: string } }).lfs
    const incomplete = path.join(cache, 'models--org--tiny', 'blobs', `${oid}.incomplete`)
    hub.behaviour = (request, response) => {
      if (hub.asked(request) !== weights) return false
      response.writeHead(200, {})
      response.write(hub.files.get(weights)!.subarray(0, 1000))
      const timer = setInterval(() => {
        if (statSync(incomplete, { throwIfNoEntry: false })?.size !== 1000) return
        clearInterval(timer)
        controller.abort(new Error('stop'))
      }, 5)
      return true
    }
    await expect(load({ signal: controller.signal, patience: 5000 })).rejects.toThrow('stop')
    hub.behaviour = () => false
    const pulled = await load()
    expect(hub.requests.at(-1)!.range).toBe('bytes=1000-')
    expect(readFileSync(path.join(pulled.dir, weights))).toEqual(hub.files.get(weights))
  })

  it('asks nobody when offline', async () => {
    expect((await refusal(() => load({ offline: true }))).code).toBe('RR_HUB_OFFLINE')
    await load()
    const before = hub.requests.length
    expect((await load({ offline: true })).commit).toBe(commit)
    expect(hub.requests.length).toBe(before)
  })
})

describe('a hub that cannot be trusted', () => {
  const onFile =
    (name: string, answer: (response: ServerResponse, content: Buffer) => void): Behaviour =>
    (request, response, self) => {
      if (self.asked(request) !== name) return false
      answer(response, self.files.get(name)!)
      return true
    }
  const onApi =
    (part: string, status: number, headers: Record<string, string>, body: string): Behaviour =>
    (request, response, self) =>
      request.url?.includes(part) ? self.send(response, status, headers, body) : false
  const html = { 'content-type': 'text/html' }

  const behaviours: [string, string, Behaviour][] = [
    ['answers 401', 'RR_HUB_DENIED', onApi('/api/', 401, {}, '{"error": "no"}')],
    ['answers 403', 'RR_HUB_DENIED', onApi('/revision/', 403, {}, 'gated')],
    ['answers 404', 'RR_HUB_NOT_FOUND', onApi('/revision/', 404, {}, '{}')],
    ['loses a file', 'RR_HUB_NOT_FOUND', onFile(weights, (response) => response.writeHead(404).end())],
    ['stays busy', 'RR_HUB_BUSY', onApi('/api/', 429, { 'retry-after': '0' }, '')],
    ['fails', 'RR_HUB_FAILED', onApi('/tree/', 500, {}, '<h1>oops</h1>')],
    ['answers with a web page', 'RR_HUB_ANSWER', onApi('/revision/', 200, html, '<html>login</html>')],
    ['answers with a web page for the tree', 'RR_HUB_ANSWER', onApi('/tree/', 200, html, '<html></html>')],
    ['answers with broken JSON', 'RR_HUB_ANSWER', onApi('/revision/', 200, {}, '{"sha": ')],
    ['answers with null', 'RR_HUB_ANSWER', onApi('/tree/', 200, {}, 'null')],
    ['answers with a number for the tree', 'RR_HUB_ANSWER', onApi('/tree/', 200, {}, '7')],
    ['names no commit', 'RR_HUB_ANSWER', onApi('/revision/', 200, {}, '{"sha": "../../x"}')],
    ['sends endless JSON', 'RR_HUB_ANSWER', onApi('/tree/', 200, {}, `"${'x'.repeat(21_000_000)}"`)],
    [
      'lists without end',
      'RR_HUB_ANSWER',
      (request, response, self) =>
        request.url?.includes('/tree/')
          ? self.send(
              response,
              200,
              { link: `<${self.endpoint}${request.url}>; rel="next"` },
              JSON.stringify(Array.from({ length: 2000 }, () => self.entries()[0])),
            )
          : false,
    ],
    [
      'goes on listing elsewhere',
      'RR_HUB_ANSWER',
      (request, response, self) =>
        request.url?.includes('/tree/')
          ? self.send(response, 200, { link: '<https://example.org/api/x>; rel="next"' }, '[]')
          : false,
    ],
    [
      'redirects to plain http elsewhere',
      'RR_HUB_ANSWER',
      onApi('/api/', 302, { location: 'http://example.org/' }, ''),
    ],
    ['redirects to a file', 'RR_HUB_ANSWER', onApi('/api/', 302, { location: 'file:///etc/passwd' }, '')],
    ['redirects to nowhere', 'RR_HUB_ANSWER', onApi('/api/', 302, {}, '')],
    [
      'redirects in circles',
      'RR_HUB_ANSWER',
      (request, response, self) => self.send(response, 302, { location: request.url ?? '/' }, ''),
    ],
    ['sends nothing', 'RR_HUB_TIMEOUT', () => true],
    [
      'sends a head and then nothing',
      'RR_HUB_TIMEOUT',
      onFile(weights, (response) => {
        response.writeHead(200, {})
        response.write('x')
      }),
    ],
    [
      'always cuts the body short',
      'RR_HUB_TRUNCATED',
      onFile(weights, (response) => {
        response.writeHead(200, {})
        response.end('short')
      }),
    ],
    [
      'breaks the connection every time',
      'RR_HUB_INTERRUPTED',
      onFile(weights, (response) => {
        response.writeHead(200, { 'content-length': '99999' })
        response.write('x', () => response.destroy())
      }),
    ],
    [
      'sends a body without end',
      'RR_HUB_ANSWER',
      onFile(weights, (response, content) => {
        response.writeHead(200, {})
        const more = (): void => {
          if (!response.destroyed && response.write(content)) setImmediate(more)
          else response.once('drain', more)
        }
        more()
      }),
    ],
    [
      'sends other content',
      'RR_HUB_CHECKSUM',
      onFile(weights, (response, content) => response.writeHead(200).end(Buffer.alloc(content.length, 1))),
    ],
    [
      'sends other content for a small file',
      'RR_HUB_CHECKSUM',
      onFile('config.json', (response, content) =>
        response.writeHead(200).end(Buffer.alloc(content.length, 65)),
      ),
    ],
    [
      'sends a web page of the right length in place of weights',
      'RR_HUB_CHECKSUM',
      onFile(weights, (response, content) =>
        response.writeHead(200, html).end('<html>'.padEnd(content.length, ' ')),
      ),
    ],
  ]

  it.each(behaviours)('%s', async (_what, code, behaviour) => {
    hub.behaviour = behaviour
    const error = await refusal(() => load(code === 'RR_HUB_TIMEOUT' ? { patience: 300 } : {}))
    expect(error.code).toBe(code)
    expect(existsSync(path.join(cache, 'models--org--tiny', 'refs'))).toBe(false)
    for (const name of blobs()) {
      const content = readFileSync(path.join(cache, 'models--org--tiny', 'blobs', name))
      expect([...hub.files.values()].some((file) => file.equals(content))).toBe(true)
    }
  })

  it('a part that was not asked for is refused', async () => {
    const sha = (hub.entries().find((entry) => 'lfs' in entry) as { lfs: { oid: string } }).lfs.oid
    const folder = path.join(cache, 'models--org--tiny', 'blobs')
    mkdirSync(folder, { recursive: true })
    writeFileSync(path.join(folder, `${sha}.incomplete`), hub.files.get(weights)!.subarray(0, 500))
    hub.behaviour = onFile(weights, (response, content) =>
      response
        .writeHead(206, { 'content-range': `bytes 0-99/${content.length}` })
        .end(content.subarray(0, 100)),
    )
    expect((await refusal(() => load())).code).toBe('RR_HUB_ANSWER')
  })

  it.each([
    '../../evil.json',
    '/etc/evil.json',
    'a/../../evil.json',
    '..',
    'C:\\evil.json',
    'config.json\0.txt',
    'con\nfig.json',
    '',
    'a//b',
    './config.json',
    'x'.repeat(2000),
  ])('names %j', async (name) => {
    hub.tree = (entries) => [...entries, { ...entries[0], path: name }]
    expect((await refusal(() => load())).code).toBe('RR_HUB_PATH')
    expect(blobs()).toEqual([])
  })

  it.each([
    ['no checksum', { oid: undefined }],
    ['a checksum that is a path', { oid: '../../../x' }],
    ['a negative size', { size: -1 }],
    ['a size that is text', { size: '12' }],
    ['half a byte', { size: 0.5 }],
    ['a JSON file of a terabyte', { size: 1e12 }],
    ['another kind of checksum for a large file', { lfs: { oid: 'a'.repeat(40), size: 3 } }],
  ])('lists %s', async (_what, changes) => {
    hub.tree = (entries) => entries.map((entry, index) => (index === 0 ? { ...entry, ...changes } : entry))
    expect((await refusal(() => load())).code).toBe('RR_HUB_ANSWER')
  })

  it.each([
    ['smaller', -10],
    ['larger', 10],
  ])('lists a file as %s than it is', async (_what, difference) => {
    hub.tree = (entries) =>
      entries.map((entry) => {
        const { lfs } = entry as { lfs?: { size: number } }
        return lfs ? { ...entry, lfs: { ...lfs, size: lfs.size + difference } } : entry
      })
    const error = await refusal(() => load())
    expect(['RR_HUB_ANSWER', 'RR_HUB_TRUNCATED']).toContain(error.code)
    expect(blobs().length).toBe(2)
  })

  it('lists more than any disk holds', async () => {
    hub.tree = (entries) =>
      entries.map((entry) =>
        'lfs' in entry ? { ...entry, lfs: { oid: 'a'.repeat(64), size: 3.9e12 } } : entry,
      )
    expect((await refusal(() => load())).code).toBe('RR_OUTPUT_DISK_FULL')
  })

  it('has no safetensors', async () => {
    hub.files.delete(weights)
    const error = await refusal(() => load())
    expect(error.code).toBe('RR_HUB_NO_WEIGHTS')
    expect(error.toLine()).toContain('pytorch_model.bin')
  })

  it('is not there', async () => {
    const { endpoint } = hub
    await hub.stop()
    expect((await refusal(() => load({ endpoint }))).code).toBe('RR_HUB_UNREACHABLE')
    hub = await FakeHub.start(new Map(), new Set())
  })

  it('answers with another commit than the one asked for', async () => {
    const other = 'f'.repeat(40)
    const error = await refusal(() => load({}, { name: 'org/tiny', revision: other }))
    expect(error.code).toBe('RR_HUB_ANSWER')
  })
})

describe('names', () => {
  it.each([
    ['org/name', { name: 'org/name', revision: 'main' }],
    ['org/na.me-1@v1.0', { name: 'org/na.me-1', revision: 'v1.0' }],
    ['org/name@refs/pr/1', { name: 'org/name', revision: 'refs/pr/1' }],
    ['name', null],
    ['../name', null],
    ['org/..', null],
    ['a/b/c', null],
    ['org/name@../../x', null],
    ['org/name@', null],
    ['-x/name', null],
    ['a--b/c', null],
    ['org/name@/etc', null],
  ])('%s', (text, expected) => {
    expect(parseRepository(text)).toEqual(expected)
  })

  it('a --model that is nowhere gives one clear error', () => {
    expect(() => modelFolder('org/absent', cache)).toThrow('neither a folder here nor a model in the cache')
  })

  it.each(['ftp://x', 'http://example.org', 'https://user:pw@example.org', 'nonsense'])(
    'HF_ENDPOINT %s is refused',
    (endpoint) => {
      expect(() => hubOptions({ HF_ENDPOINT: endpoint, HF_TOKEN: token })).toThrow('HF_ENDPOINT')
    },
  )
})

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { boardApp } from '../../../src/board/board.js'
import { loadConfig } from '../../../src/config/load.js'
import { RunDirectory } from '../../../src/phases/run/run-directory.js'

const root = mkdtempSync(join(tmpdir(), 'board-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
const loaded = loadConfig({ preset: null, file: null, set: [], options: {} })
RunDirectory.create(join(root, 'a run'), loaded, ['collect']).close()
writeFileSync(join(root, 'a run', 'metrics.jsonl'), '{"phase":"imitate","step":1,"loss":2}\n')
writeFileSync(join(root, 'metrics.jsonl'), '{"phase":"imitate","step":1,"loss":666}\n')
const app = boardApp(root, 'secret')

const get = (path: string, headers: Record<string, string> = {}) =>
  app.request(path, { headers: { host: '127.0.0.1:8080', authorization: 'Bearer secret', ...headers } })

describe('who may read the board', () => {
  it('gives the page without the token, and data with it alone', async () => {
    const page = await get('/', { authorization: '' })
    expect(page.status).toBe(200)
    expect(page.headers.get('content-security-policy')).toMatch(/^default-src 'none'/)
    for (const path of ['/board.mjs', '/board.css', '/uplot.mjs', '/uplot.css'])
      expect((await get(path, { authorization: '' })).status, path).toBe(200)
    for (const authorization of ['', 'Bearer', 'Bearer secre', 'Bearer secretx', 'secret'])
      expect((await get('/api/runs', { authorization })).status, authorization).toBe(401)
    const { runs } = (await (await get('/api/runs')).json()) as { runs: { id: string; status: string }[] }
    expect(runs.map(({ id, status }) => [id, status])).toEqual([['a run', 'stopped']])
  })

  it('refuses other names of this machine and pages of other sites', async () => {
    for (const headers of [
      { host: 'evil.example:8080' },
      { host: '127.0.0.1.evil.example' },
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { origin: 'http://127.0.0.1:9999' },
    ] as Record<string, string>[])
      expect((await get('/api/runs', headers)).status, JSON.stringify(headers)).toBe(403)
    expect((await get('/api/runs', { origin: 'http://127.0.0.1:8080' })).status).toBe(200)
    expect(
      (await app.request('/api/runs', { method: 'POST', headers: { host: 'localhost' } })).status,
    ).not.toBe(200)
  })

  it('knows the runs of its list and no paths', async () => {
    const curves = await get('/api/curves?run=a%20run')
    expect(await curves.json()).toMatchObject({ series: { 'imitate.loss': { x: [1], y: [2] } } })
    const tag = curves.headers.get('etag') ?? ''
    expect((await get('/api/curves?run=a%20run', { 'if-none-match': tag })).status).toBe(304)
    for (const id of ['..', '.', '', '../a run', 'a run/', '/etc', 'a%20run/../..', root])
      for (const route of ['curves', 'prompts', 'table'])
        expect((await get(`/api/${route}?run=${encodeURIComponent(id)}`)).status, id).toBe(404)
    expect((await get('/api/curves')).status).toBe(404)
    expect(await (await get('/api/table?run=a%20run')).json()).toEqual([])
  })
})

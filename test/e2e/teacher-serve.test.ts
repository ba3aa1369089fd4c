/**
 * One model teaches another over the wire, both ours: `reasonrec serve` with a small chat model of REASONREC_MODELS writes the
 * thoughts that the embedded student then imitates. What a model of 26 M parameters says is of no use; that every answer
 * arrives, is judged and is paid once is what is looked at.
 */

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Trace } from '../../src/methods/method.js'
import { readJsonLines } from '../../src/phases/run/files.js'
import type { CollectSummary } from '../../src/phases/run/run-record.js'
import { cli, finished, isRunning, start, workFolder, writeSettings } from './command-line.js'

const folder = workFolder()
const model = process.env.REASONREC_MODELS ? join(process.env.REASONREC_MODELS, 'minimind2-small') : null
if (!model) console.log('skipped: REASONREC_MODELS is not set, so there is no model to teach with')
else if (!existsSync(model)) throw new Error(`REASONREC_MODELS holds no minimind2-small`)

describe.skipIf(!model)('a served model as the teacher of the embedded student', () => {
  const server = { url: '', stop: async (): Promise<void> => {} }

  beforeAll(async () => {
    const child = start(['serve', '--model', model as string, '--port', '0', '--name', 'mini', '--json'])
    const end = finished(child)
    server.stop = async () => {
      child.kill('SIGTERM')
      await end
    }
    const line = await new Promise<string>((resolve, reject) => {
      child.stdout?.once('data', (piece: Buffer) => resolve(piece.toString()))
      child.on('close', () => reject(new Error('serve ended before it listened')))
    })
    expect(isRunning(child)).toBe(true)
    server.url = (JSON.parse(line) as { url: string }).url.replace(/\/+$/, '').replace(/\/v1$/, '')
  })
  afterAll(async () => {
    await server.stop()
    folder.remove()
  })

  const settings = (method: 're2' | 'r2rec'): string =>
    writeSettings(join(folder.path, `${method}.yaml`), {
      teacher: {
        kind: 'openai',
        baseURL: `${server.url}/v1`,
        model: 'mini',
        answer_attempts: 1,
        logprobs: true,
      },
      r2rec: { triples: 1, chains: 1, step_words: 8, step_max_new: 12, gates: ['form'], tolerance: 4 },
      collect: {
        instances: 2,
        k_free: 1,
        k_hint: 0,
        max_new: 24,
        fill: 'builtin',
        fill_below: 12,
        fill_to: 12,
      },
      sft: { epochs: 1, batch: 8 },
    })

  it.each(['re2', 'r2rec'] as const)('%s: collects from it and imitates', async (method) => {
    const out = join(folder.path, method)
    const preset = `${method}-quickstart`
    const first = ['collect', '--preset', preset, '--config', settings(method), '--out', out]
    const collected = await cli(first)
    expect(collected.status, collected.stderr.slice(-1000)).toBe(0)
    const { teacher } = JSON.parse(readFileSync(join(out, 'collect-summary.json'), 'utf8')) as CollectSummary
    expect(teacher?.attempts).toBeGreaterThan(0)
    expect(teacher?.prompt_tokens).toBeGreaterThan(100)
    // What came back was whole and counted, whether or not it could be read.
    for (const cause of Object.keys(teacher?.failures ?? {})) expect(['answer', 'request']).toContain(cause)
    expect(teacher?.uncertain_cost).toBe(0)
    if (method === 'r2rec') {
      const taught = readJsonLines<Trace>(join(out, 'traces.jsonl')).filter(
        ({ generator }) => generator === 'mini',
      )
      expect(taught.length).toBeGreaterThan(0)
      expect(teacher?.answered).toBeGreaterThan(0)
    }
    const imitated = await cli(['imitate', '--out', out])
    expect(imitated.status, imitated.stderr.slice(-1000)).toBe(0)
  })
})

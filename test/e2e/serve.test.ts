/** serve as a user starts it: where it listens, whose answers it gives, how it ends, what it will not do. */

import { join } from 'node:path'
import OpenAI from 'openai'
import { afterAll, describe, expect, it } from 'vitest'
import { Adapter, generate, linearNames, Model } from '../../src/engine/index.js'
import { Tokenizer } from '../../src/prompts/tokenizer.js'
import { untrusted } from '../../src/prompts/untrusted-text.js'
import { cli, finished, start, workFolder, writeTinyModel } from './command-line.js'

const work = workFolder()
afterAll(work.remove)

/** Folders of a model and of an adapter that changes what it says. */
async function adapted(): Promise<{ readonly folder: string; readonly adapter: string }> {
  const folder = await writeTinyModel(join(work.path, 'base'))
  const adapter = join(work.path, 'taught')
  const model = await Model.open(folder)
  const made = await Adapter.create(model, { rank: 4, alpha: 8, targets: [...linearNames] }, 3n)
  made.setValues(made.values().map((value, index) => value + 0.02 * Math.sin(index)))
  await made.save(adapter, { baseModel: folder })
  return { folder, adapter }
}

describe('serve', () => {
  it('answers with the adapter over the official client, and drains on SIGTERM', async () => {
    const { folder, adapter } = await adapted()
    const child = start(['serve', '--model', folder, '--adapter', adapter, '--port', '0', '--json'])
    const end = finished(child)
    const line = await new Promise<string>((resolve) => {
      let text = ''
      child.stdout?.on('data', (piece: Buffer) => {
        text += piece.toString()
        if (text.includes('\n')) resolve(text)
      })
      child.on('close', () => resolve(text))
    })
    const listening = JSON.parse(line) as { schema: number; url: string; model: string }
    expect(listening).toMatchObject({ schema: 1, model: 'base+taught' })
    const client = new OpenAI({ baseURL: listening.url, apiKey: 'none', maxRetries: 0 })
    const messages = [{ role: 'user' as const, content: 'Name a film.' }]
    const body = { model: listening.model, messages, seed: 8, max_tokens: 24 }
    const answer = await client.chat.completions.create(body)

    const model = await Model.open(folder)
    const tokenizer = await Tokenizer.open(folder)
    const group = {
      prompt: tokenizer.encodePrompt({
        messages: [{ role: 'user', parts: [untrusted('Name a film.')] }],
      }),
      samples: [{ stream: 0n }],
    }
    const free = {
      kind: 'free',
      maxNew: 24,
      sampling: { temperature: 1 },
      stopTokens: tokenizer.eosIds,
    } as const
    const said = async (trained: Adapter | null): Promise<string> => {
      const [samples] = await generate(model, { trained }, [group], [free], { seed: 8n, maxRows: 1 })
      return tokenizer.decode(samples![0]!.tokens, { skipSpecial: true })
    }
    expect(answer.choices[0]!.message.content).toBe(await said(await Adapter.load(model, adapter)))
    expect(answer.choices[0]!.message.content).not.toBe(await said(null))

    const stream = await client.completions.create({
      model: listening.model,
      prompt: 'a long story',
      max_tokens: 1000,
      temperature: 0,
      stream: true,
    })
    const iterator = stream[Symbol.asyncIterator]()
    await iterator.next()
    child.kill('SIGTERM')
    let last: string | null = null
    for (let next = await iterator.next(); !next.done; next = await iterator.next())
      last = next.value.choices[0]?.finish_reason ?? last
    expect(last).not.toBeNull()
    const { status, stderr } = await end
    expect(status).toBe(143)
    expect(stderr).toContain('interrupted by SIGTERM')
  })

  it('is not for others without a key, nor with settings out of range', async () => {
    const folder = await writeTinyModel(join(work.path, 'other'))
    const refused = (...options: string[]) => cli(['serve', '--model', folder, ...options])
    const ends = await Promise.all([
      refused('--host', '0.0.0.0'),
      refused('--api-key-env', 'RR_TEST_NO_SUCH_KEY'),
      refused('--rows', '0'),
    ])
    expect(ends.map(({ status }) => status)).toEqual([2, 2, 2])
    const words = ['needs a key', 'RR_TEST_NO_SUCH_KEY', '--rows']
    for (const [index, { stderr }] of ends.entries()) expect(stderr).toContain(words[index])
  })
})

/** Sessions: requests that join and leave a running batch are, to the bit, the requests decoded alone. */

import { setImmediate as turn } from 'node:timers/promises'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  createTrie,
  DecodeSession,
  generate,
  type Model,
  ReasonrecError,
  type Sample,
  type SessionRequest,
  sequenceLogprobs,
} from '../../../src/engine/index.js'
import { someIds, tinyModel } from './tiny-model.js'

let model: Model
beforeAll(async () => {
  model = await tinyModel()
})

const titles = [
  [20, 21, 9],
  [20, 22, 9],
  [30, 9],
]

/** Requests of many kinds: n, temperatures, scripts, prompts at the edges of a panel. */
function requests(): SessionRequest[] {
  return Array.from({ length: 14 }, (_, i): SessionRequest => {
    const sampling = { temperature: [0, 1, 0.7][i % 3]!, topK: i % 4 === 3 ? 20 : 0 }
    const free = { kind: 'free', maxNew: 4 + ((i * 7) % 23), sampling } as const
    return {
      group: {
        prompt: someIds([1, 31, 32, 33, 70][i % 5]!).map((id) => (id + i) % 300),
        samples: Array.from({ length: 1 + (i % 3) }, (_, s) => ({ stream: BigInt(s) })),
        trie: i % 2 ? createTrie(titles) : null,
        candidates: i % 4 === 2 ? titles : [],
        top: (i % 4) - 1,
      },
      script: i % 2 ? [free, { kind: 'given', ids: [5, 6] }, { kind: 'choose', sampling }] : [free],
      seed: BigInt(7 + (i % 3)),
    }
  })
}

const alone = async ({ group, script, seed }: SessionRequest): Promise<Sample[]> =>
  (await generate(model, {}, [group], script, { seed, maxRows: 64 }))[0]!

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
  } catch (error) {
    if (error instanceof ReasonrecError) return error.code
    throw error
  }
  return 'nothing was refused'
}

describe('decoding sessions', () => {
  it('gives each request the bits it has alone, with others joining, leaving and being cancelled', async () => {
    const wanted = await Promise.all(requests().map(alone))
    for (const maxRows of [2, 64]) {
      const session = DecodeSession.open(model, {}, { maxRows })
      const got: Promise<Sample[]>[] = []
      const cancelled: Promise<string>[] = []
      for (const request of requests()) {
        got.push(session.decode(request))
        const leaving = new AbortController()
        const long = [{ kind: 'free', maxNew: 1500, sampling: { temperature: 1 } }] as const
        cancelled.push(codeOf(session.decode({ ...request, script: long, signal: leaving.signal })))
        for (let i = 0; i < 3; i++) await turn()
        leaving.abort()
      }
      expect(await Promise.all(got)).toEqual(wanted)
      expect(new Set(await Promise.all(cancelled))).toEqual(new Set(['RR_CANCELLED']))
      expect(session.live).toBe(0)
      await session.close()
    }
  })

  it('tells of tokens while they come, and the pieces are the sample', async () => {
    const session = DecodeSession.open(model, {}, { maxRows: 8 })
    const [, request] = requests()
    const pieces: Sample[][] = [[], []]
    const samples = await session.decode({
      ...(request as SessionRequest),
      onGrowth: (sample, piece) => pieces[sample]!.push(piece),
    })
    samples.forEach((sample, index) => {
      const tokens = pieces[index]!.flatMap(({ tokens }) => [...tokens])
      const plain = pieces[index]!.flatMap(({ plainLogprobs }) => [...plainLogprobs])
      expect(pieces[index]!.length).toBeGreaterThan(3)
      expect(tokens).toEqual([...sample.tokens.subarray(0, tokens.length)])
      expect(plain).toEqual([...sample.plainLogprobs.subarray(0, tokens.length)])
      // What is left out is the last decision and what follows it without one.
      expect(sample.kinds.subarray(tokens.length).filter((kind) => kind === 0).length).toBeLessThanOrEqual(1)
    })
    await session.close()
  })

  it('reports log-probs at temperature 1 with the bits of the whole sequence, and the likeliest tokens', async () => {
    const prompt = someIds(40)
    const group = { prompt, samples: [{ stream: 3n }], top: 5 }
    const script = [{ kind: 'free', maxNew: 12, sampling: { temperature: 0.5 } }] as const
    const [[sample]] = (await generate(model, {}, [group], script, {
      seed: 1n,
      maxRows: 4,
      sharePrefix: false,
    })) as [[Sample]]
    const ids = [...prompt, ...sample.tokens]
    const whole = await sequenceLogprobs(model, {}, [ids], { logits: true })
    expect(sample.plainLogprobs).toEqual(whole.logprobs[0]!.subarray(prompt.length - 1))
    expect(sample.plainLogprobs).not.toEqual(sample.logprobs)
    for (let t = 0; t < 12; t++) {
      const at = (prompt.length - 1 + t) * model.vocab
      const row = whole.logits![0]!.subarray(at, at + model.vocab)
      const order = Array.from(row.keys()).sort((a, b) => row[b]! - row[a]! || a - b)
      expect([...sample.topIds.subarray(5 * t, 5 * t + 5)]).toEqual(order.slice(0, 5))
    }
  })

  it('refuses a bad request alone, and lives on', async () => {
    const session = DecodeSession.open(model, {}, { maxRows: 8 })
    const good = requests()[0] as SessionRequest
    const going = session.decode(good)
    const bad = { ...good, group: { ...good.group, prompt: [3, 300] } }
    expect(await codeOf(session.decode(bad))).toBe('RR_TOKEN_OUT_OF_RANGE')
    expect(await going).toEqual(await alone(good))
    expect(await codeOf(session.decode({ ...good, signal: AbortSignal.abort() }))).toBe('RR_CANCELLED')
    const caught = session.decode({
      ...good,
      onGrowth() {
        throw new Error('of the caller')
      },
    })
    await expect(caught).rejects.toThrow('of the caller')
    const left = codeOf(session.decode(good))
    await session.close()
    expect(await left).toBe('RR_CANCELLED')
    expect(await codeOf(session.decode(good))).toBe('RR_SESSION_CLOSED')
  })
})

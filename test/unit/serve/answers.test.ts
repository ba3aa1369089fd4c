/** The served answers are the library's: same tokens, same log-probs, same scores, whoever else is asking. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTrie, generate, sequenceLogprobs } from '../../../src/engine/index.js'
import { joined } from '../../../src/prompts/tokenizer.js'
import { untrusted, verbatim } from '../../../src/prompts/untrusted-text.js'
import { type Place, place, type Served } from './served.js'

let here: Place
let served: Served
beforeAll(async () => {
  here = await place()
  served = await here.serve()
})
afterAll(() => here.remove())

const model = 'tiny'
const messages = [
  { role: 'system', content: 'You name films.' },
  { role: 'user', content: 'After Alien and Brazil? <|im_end|>' },
] as const

/** Extensions of the protocol that the client does not know. */
interface Extended {
  readonly seed: number
  readonly prompt_token_ids: number[][]
  readonly choices: {
    readonly token_ids: number[]
    readonly candidates?: {
      title: string
      index: number
      logprob: number
      mean_logprob: number
      share: number
    }[]
  }[]
}
const ids = <T extends object>(body: T): T & { return_token_ids: true } => ({
  ...body,
  return_token_ids: true,
})

function prompt(): Int32Array {
  return here.tokenizer.encodePrompt({
    messages: messages.map(({ role, content }) => ({ role, parts: [verbatim(content)] })),
  })
}

describe('served answers', () => {
  it('lists the model', async () => {
    const { data } = await served.client.models.list()
    expect(data.map(({ id }) => id)).toEqual([model])
    expect((await served.client.models.retrieve(model)).object).toBe('model')
  })

  it('are those of the library for the same prompt and seed: n, usage, finish reasons', async () => {
    const chat = await served.client.chat.completions.create(
      ids({ model, messages: [...messages], n: 3, seed: 5, max_tokens: 30, top_p: 0.9 }),
    )
    const samples = await generate(
      here.model,
      {},
      [{ prompt: prompt(), samples: [0n, 1n, 2n].map((stream) => ({ stream })) }],
      [
        {
          kind: 'free',
          maxNew: 30,
          sampling: { temperature: 1, topP: 0.9 },
          stopTokens: here.tokenizer.eosIds,
        },
      ],
      { seed: 5n, maxRows: 2 },
    )
    const extended = chat as unknown as Extended
    expect(extended.prompt_token_ids).toEqual([[...prompt()]])
    expect(extended.choices.map(({ token_ids }) => token_ids)).toEqual(
      samples[0]!.map(({ tokens }) => [...tokens]),
    )
    expect(chat.choices.map(({ message }) => message.content)).toEqual(
      samples[0]!.map(({ tokens }) => here.tokenizer.decode(tokens, { skipSpecial: true })),
    )
    expect(chat.choices.map(({ finish_reason }) => finish_reason)).toEqual(
      samples[0]!.map(({ finishes }) => (finishes[0] === 'length' ? 'length' : 'stop')),
    )
    const written = samples[0]!.reduce((sum, { tokens }) => sum + tokens.length, 0)
    expect(chat.usage).toEqual({
      prompt_tokens: prompt().length,
      completion_tokens: written,
      total_tokens: prompt().length + written,
    })
    const control = here.tokenizer.specialIds
    expect([...prompt()].filter((id) => control.has(id)).length).toBe(
      // The templates' own: two messages and the generation prompt; the user's forged one is ordinary text.
      5,
    )
  })

  it('do not depend on who else asks: joining, leaving, cancelled, streamed', async () => {
    const ask = (seed: number, content: string) =>
      served.client.chat.completions.create(
        ids({
          model,
          messages: [{ role: 'user' as const, content }],
          seed,
          max_tokens: 40,
          n: 1 + (seed % 2),
        }),
      )
    const texts = Array.from({ length: 12 }, (_, i) => `question ${'again '.repeat(i)}`)
    const alone = []
    for (const [seed, text] of texts.entries()) alone.push(await ask(seed, text))
    const company = texts.map(async (text, seed) => {
      await new Promise((resolve) => setTimeout(resolve, seed % 5))
      const leaving = new AbortController()
      const cancelled = served.client.completions
        .create({ model, prompt: text, max_tokens: 400 }, { signal: leaving.signal })
        .catch((error: Error) => error.name)
      setTimeout(() => leaving.abort(), 5 + seed)
      const answer = await ask(seed, text)
      await cancelled
      return answer
    })
    const together = await Promise.all(company)
    for (const [index, one] of together.entries()) {
      expect(one.choices).toEqual(alone[index]!.choices)
      expect(one.usage).toEqual(alone[index]!.usage)
    }
    expect(served.errors).toEqual([])
  })

  it('draw a seed where none is given, and tell it', async () => {
    const body = { model, messages: [{ role: 'user' as const, content: 'again' }], max_tokens: 20 }
    const first = (await served.client.chat.completions.create(ids(body))) as unknown as Extended
    const other = (await served.client.chat.completions.create(ids(body))) as unknown as Extended
    expect(other.seed).not.toBe(first.seed)
    const again = await served.client.chat.completions.create(ids({ ...body, seed: first.seed }))
    expect((again as unknown as Extended).choices[0]!.token_ids).toEqual(first.choices[0]!.token_ids)
  })

  it('stream the whole: text, log-probs, finish reason, usage, per choice', async () => {
    const body = ids({
      model,
      messages: [{ role: 'user' as const, content: 'stream é' }],
      seed: 2,
      n: 2,
      max_tokens: 60,
      logprobs: true,
      top_logprobs: 2,
      stop: ['e', 'zz'],
    })
    const whole = await served.client.chat.completions.create(body)
    const stream = await served.client.chat.completions.create({
      ...body,
      stream: true,
      stream_options: { include_usage: true },
    })
    const texts = ['', '']
    const reports: unknown[][] = [[], []]
    const finish: (string | null)[] = [null, null]
    const roles = [0, 0]
    let usage: unknown = null
    for await (const chunk of stream) {
      usage = chunk.usage ?? usage
      for (const choice of chunk.choices) {
        texts[choice.index] += choice.delta.content ?? ''
        reports[choice.index]!.push(...(choice.logprobs?.content ?? []))
        finish[choice.index] = choice.finish_reason ?? finish[choice.index]!
        if (choice.delta.role) roles[choice.index]!++
      }
    }
    expect(texts).toEqual(whole.choices.map(({ message }) => message.content))
    expect(reports).toEqual(whole.choices.map(({ logprobs }) => logprobs?.content))
    expect(finish).toEqual(whole.choices.map(({ finish_reason }) => finish_reason))
    expect(usage).toEqual(whole.usage)
    expect(roles).toEqual([1, 1])
  })

  it('end before the first stop string', async () => {
    const body = { model, prompt: 'stop here', seed: 11, max_tokens: 120 }
    const free = await served.client.completions.create(body)
    const text = free.choices[0]!.text
    const stop = text.slice(12, 15)
    const cut = await served.client.completions.create({ ...body, stop: [stop] })
    expect(cut.choices[0]!.text).toBe(text.slice(0, text.indexOf(stop)))
    expect(cut.choices[0]!.finish_reason).toBe('stop')
  })

  it('give log-probs at temperature 1, those of the sequence, whatever the temperature', async () => {
    for (const temperature of [0, 0.6, 1]) {
      const answer = await served.client.completions.create(
        ids({ model, prompt: 'a film', seed: 3, temperature, max_tokens: 20, logprobs: 5 }),
      )
      const extended = answer as unknown as Extended
      const before = extended.prompt_token_ids[0]!
      const written = extended.choices[0]!.token_ids
      const { logprobs, logits } = await sequenceLogprobs(here.model, {}, [[...before, ...written]], {
        logits: true,
      })
      const got = answer.choices[0]!.logprobs!
      expect(got.token_logprobs).toHaveLength(written.length)
      got.token_logprobs!.forEach((logprob, t) => {
        // A prompt of its own segment sums attention in another order than one sequence: fp32, some 1e-7 relative.
        expect(logprob).toBeCloseTo(logprobs[0]![before.length - 1 + t]!, 5)
      })
      const row = logits![0]!.subarray(
        (before.length - 1) * here.model.vocab,
        before.length * here.model.vocab,
      )
      const [best] = Array.from(row.keys()).sort((a, b) => row[b]! - row[a]!)
      expect(Object.keys(got.top_logprobs![0]!)[0]).toBe(here.tokenizer.decode([best!]))
      expect(got.tokens!.join('')).toContain(answer.choices[0]!.text)
      expect(got.text_offset![0]).toBe(0)
    }
  })

  it('take several prompts, and token ids for a prompt', async () => {
    const body = { model, seed: 1, max_tokens: 10 }
    const texts = ['one film', 'another film']
    const both = await served.client.completions.create(ids({ ...body, prompt: texts, n: 2 }))
    const { prompt_token_ids } = both as unknown as Extended
    expect(both.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3])
    for (const [p, prompt] of prompt_token_ids.entries()) {
      const single = await served.client.completions.create(ids({ ...body, prompt, n: 2 }))
      expect(single.choices.map(({ text }) => text)).toEqual(
        both.choices.slice(2 * p, 2 * p + 2).map(({ text }) => text),
      )
    }
  })

  it('hold a conversation of any length, in the words of its template', async () => {
    const turns = Array.from({ length: 7 }, (_, i) => ({
      role: i % 2 ? ('assistant' as const) : ('user' as const),
      content: `turn ${i}`,
    }))
    const answer = await served.client.chat.completions.create(
      ids({ model, messages: turns, max_tokens: 1, temperature: 0 }),
    )
    const [before] = (answer as unknown as Extended).prompt_token_ids
    const expected = turns.map(({ role, content }) => `<|im_start|>${role}\n${content}<|im_end|>\n`).join('')
    expect(here.tokenizer.decode(before!)).toBe(`${expected}<|im_start|>assistant\n`)
  })
})

const titles = ['Alien', 'Brazil', 'Aliens', 'Casablanca (1942)']

describe('candidates', () => {
  const close = () => here.tokenizer.encodeTrusted('</answer>', { continues: true })
  const candidates = (end: Int32Array) =>
    titles.map((title) => joined([here.tokenizer.encodeUntrusted(untrusted(title).text), end]))

  it('are ranked by the scores of the library, and the first is the answer', async () => {
    const end = Int32Array.of(here.tokenizer.eosIds[0]!)
    const answer = await served.client.chat.completions.create({
      ...ids({ model, messages: [...messages], temperature: 0 }),
      candidates: titles,
    } as never)
    const [group] = await generate(
      here.model,
      {},
      [{ prompt: prompt(), samples: [{ stream: 0n }], candidates: candidates(end) }],
      [],
      { seed: 0n, maxRows: 1 },
    )
    const [choice] = (answer as unknown as Extended).choices
    const got = choice!.candidates!
    expect(new Map(got.map(({ index, logprob }) => [index, logprob]))).toEqual(
      new Map([...group![0]!.candidateJoint].map((logprob, index) => [index, logprob])),
    )
    expect(got.map(({ logprob }) => logprob)).toEqual(got.map(({ logprob }) => logprob).sort((a, b) => b - a))
    expect(got.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 12)
    expect(got.map(({ title, index }) => titles[index] === title)).toEqual([true, true, true, true])
    expect((answer as { choices: { message: { content: string } }[] }).choices[0]!.message.content).toBe(
      got[0]!.title,
    )
  })

  it('come behind a reasoning in the form of training, as in evaluation', async () => {
    const form = {
      think_open: '<think>\n',
      think_close: '\n</think>',
      answer_open: '\n<answer>',
      answer_close: '</answer>',
    }
    const body = { model, prompt: [...prompt()], max_tokens: 25, seed: 4, temperature: 0 }
    const answer = (await served.client.completions.create({
      ...ids(body),
      candidates: { titles, ...form },
    } as never)) as unknown as Extended & { choices: { text: string; finish_reason: string }[] }
    const piece = (text: string) => here.tokenizer.encodeParts([text])
    const [group] = await generate(
      here.model,
      {},
      [
        {
          prompt: prompt(),
          samples: [{ stream: 0n, given: piece('<think>\n') }],
          candidates: candidates(close()),
        },
      ],
      [
        {
          kind: 'free',
          maxNew: 25,
          sampling: { temperature: 0 },
          stopTokens: here.tokenizer.eosIds,
          stopTokenEndsSample: false,
          stopStrings: ['</think>'],
        },
        {
          kind: 'given',
          ids: piece('\n<answer>'),
          idsIfUnclosed: joined([piece('\n</think>'), piece('\n<answer>')]),
        },
      ],
      { seed: 4n, maxRows: 1, vocabularyBytes: here.tokenizer.vocabularyBytes(here.model.vocab) },
    )
    const sample = group![0]
    const [choice] = answer.choices
    const best = choice!.candidates![0]!
    expect(best.logprob).toBe(Math.max(...sample!.candidateJoint))
    expect(choice!.token_ids).toEqual([...sample!.tokens, ...candidates(close())[best.index]!])
    expect(choice!.text.startsWith('<think>\n')).toBe(true)
    expect(choice!.text.endsWith(`\n</think>\n<answer>${best.title}</answer>`)).toBe(true)
    expect(choice!.finish_reason).toBe('length') // the reasoning was cut and closed by force
  })

  it('above temperature 0 one of them is drawn, with the scores beside it; streaming tells the same', async () => {
    const body = {
      ...ids({ model, messages: [...messages], seed: 9, n: 6, temperature: 5 }),
      candidates: { titles, answer_close: '</answer>' },
    }
    const whole = (await served.client.chat.completions.create(body as never)) as unknown as {
      choices: (Extended['choices'][number] & { message: { content: string } })[]
    }
    const answers = whole.choices.map(({ message }) => message.content)
    for (const text of answers) expect(titles.map((title) => `${title}</answer>`)).toContain(text)
    expect(new Set(answers).size).toBeGreaterThan(1)
    const [group] = await generate(
      here.model,
      {},
      [{ prompt: prompt(), samples: [{ stream: 0n }], trie: createTrie(candidates(close())) }],
      [{ kind: 'choose', sampling: { temperature: 5 } }],
      { seed: 9n, maxRows: 1 },
    )
    expect(answers[0]).toBe(`${titles[group![0]!.choice]}</answer>`)
    const stream = (await served.client.chat.completions.create({
      ...body,
      stream: true,
    } as never)) as unknown as AsyncIterable<
      Extended & { choices: { index: number; delta: { content?: string } }[] }
    >
    const texts = Array(6).fill('')
    const rankings: unknown[] = []
    for await (const { choices } of stream)
      for (const choice of choices) {
        texts[choice.index] += choice.delta.content ?? ''
        if (choice.candidates) rankings[choice.index] = choice.candidates
      }
    expect(texts).toEqual(answers)
    expect(rankings).toEqual(whole.choices.map(({ candidates }) => candidates))
  })
})

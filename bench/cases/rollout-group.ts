/**
 * rollout-group: a group of samples as reinforcement learning wants it, prompt and all: sampled tokens per second from
 * the prompt's ids to the last token of the last sample. Ours computes the prompt once.
 */

import { sampledAgree } from '../agreement.js'
import type { BenchCase, Prepared, Size } from '../contract.js'
import { decodeSeconds, operationsPerSecond, prefillOperations, sumOf } from '../roofline.js'
import { subjectOf } from '../subject.js'
import { timed } from '../timing.js'
import { rollOut } from './generating.js'

const sizes: Readonly<
  Record<Size, { readonly prompt: number; readonly new: number; readonly copies: number }>
> = {
  tiny: { prompt: 24, new: 6, copies: 3 },
  quick: { prompt: 512, new: 48, copies: 8 },
  full: { prompt: 512, new: 128, copies: 8 },
}

export const rolloutGroup: BenchCase = {
  name: 'rollout-group',
  what: 'a group of samples of one prompt, prompt included',
  peers: ['hf_generate', 'node-llama-cpp'],
  minutes: { tiny: 0.2, quick: 1.5, full: 4 },
  prepare: async (size, ceilings): Promise<Prepared> => {
    const subject = subjectOf(size)
    const { dir, config } = subject
    const sized = sizes[size]
    const work = { ...sized, prompts: 1, sample: true }
    const prompt = subject.ids(sized.prompt)
    const first = sumOf(prefillOperations(config, sized.prompt, 0, 1)) / operationsPerSecond(ceilings, 'bf16')
    const step = decodeSeconds(config, ceilings, {
      rows: sized.copies,
      prompts: 1,
      prompt: sized.prompt,
      own: sized.new / 2,
    })
    const tokens = sized.copies * sized.new
    return {
      input: {
        dir,
        dtype: 'bf16',
        vocab: config.vocab,
        context: sized.prompt + sized.new + 8,
        sequences: sized.copies,
      },
      measures: [
        {
          id: 'rollout-group',
          what: `${sized.copies} samples of ${sized.new} tokens, prompt of ${sized.prompt} included, bf16`,
          unit: 'tok/s',
          roofline: tokens / (first + sized.new * step),
          run: async () => {
            const model = await subject.model('bf16')
            return timed(async () => {
              await rollOut(model, subject, work)
              return tokens
            })
          },
          request: () => ({ op: 'rollouts', prompt, copies: sized.copies, new: sized.new }),
          disagreement: async (peer) => {
            const [samples] = await rollOut(await subject.model('bf16'), subject, { ...work, new: 8 })
            const last = samples!.at(-1)!
            return sampledAgree(peer, prompt, last.tokens, last.logprobs)
          },
        },
      ],
      dispose: () => {},
    }
  },
}

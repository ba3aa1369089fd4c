/**
 * prefill (C7): tokens per second of a prompt's forward, logits of its last token only; ours is a rollout of one token.
 * The first token that we choose is scored by the peer.
 */

import type { Sample } from '../../src/engine/index.js'
import { sampledAgree } from '../agreement.js'
import type { BenchCase, Ceilings, Measure, Prepared, Size } from '../contract.js'
import { operationsPerSecond, prefillOperations, sumOf } from '../roofline.js'
import { type Subject, subjectOf } from '../subject.js'
import { timed } from '../timing.js'
import { rollOut } from './generating.js'

const lengths: Readonly<Record<Size, readonly number[]>> = {
  tiny: [24, 40],
  quick: [512, 1024],
  full: [512, 1024],
}

export const prefill: BenchCase = {
  name: 'prefill',
  what: "tokens per second of a prompt's forward",
  peers: ['hf_generate', 'node-llama-cpp'],
  goals: ['C7'],
  minutes: { tiny: 0.3, quick: 1.5, full: 4 },
  prepare: async (size, ceilings): Promise<Prepared> => {
    const subject = subjectOf(size)
    const { dir, config } = subject
    const context = Math.max(...lengths[size]) + 8
    return {
      input: { dir, dtype: 'bf16', vocab: config.vocab, context, sequences: 1 },
      measures: lengths[size].map((length) => measureOf(length, subject, ceilings)),
      dispose: () => {},
    }
  },
}

function measureOf(length: number, subject: Subject, ceilings: Ceilings): Measure {
  const work = { prompts: 1, copies: 1, prompt: length, new: 1, sample: false }
  const operations = sumOf(prefillOperations(subject.config, length, 0, 1))
  const ids = subject.ids(length)
  return {
    id: `C7 ${length}`,
    what: `a prompt of ${length} tokens, bf16`,
    unit: 'tok/s',
    roofline: (length * operationsPerSecond(ceilings, 'bf16')) / operations,
    run: async () => {
      const model = await subject.model('bf16')
      return timed(async () => {
        await rollOut(model, subject, work)
        return length
      })
    },
    request: () => ({ op: 'prefill', ids }),
    disagreement: async (peer) => {
      const [[sample]] = (await rollOut(await subject.model('bf16'), subject, work)) as [[Sample]]
      return sampledAgree(peer, ids, sample.tokens, sample.logprobs)
    },
  }
}

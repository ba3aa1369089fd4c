/**
 * decode: tokens per second after the prompt. C3: one sequence, greedy; C4: eight samples of one prompt at temperature 1;
 * C5: eight samples of each of four prompts; C6: as C4 with weights of 8 bits. The prompt's keys and values are there
 * when the clock starts, on every side. The tokens that we sample are scored by the peer.
 */

import { sampledAgree } from '../agreement.js'
import type { BenchCase, Ceilings, Measure, Prepared, Size } from '../contract.js'
import { decodeSeconds } from '../roofline.js'
import { type Subject, subjectOf } from '../subject.js'
import { decoding, type Rollouts, rollOut } from './generating.js'

interface Sized {
  readonly prompt: number
  readonly new: number
}

const sizes: Readonly<Record<Size, Sized>> = {
  tiny: { prompt: 24, new: 6 },
  quick: { prompt: 512, new: 24 },
  full: { prompt: 512, new: 64 },
}

interface Shape {
  readonly id: string
  readonly what: string
  readonly prompts: number
  readonly copies: number
  readonly sample: boolean
  readonly peers: readonly string[]
}

const shapes: readonly Shape[] = [
  {
    id: 'C3',
    what: 'one sequence, greedy',
    prompts: 1,
    copies: 1,
    sample: false,
    peers: ['node-llama-cpp', 'hf_generate'],
  },
  {
    id: 'C4',
    what: 'eight samples of one prompt',
    prompts: 1,
    copies: 8,
    sample: true,
    peers: ['node-llama-cpp', 'hf_generate'],
  },
  {
    id: 'C5',
    what: 'eight samples of each of four prompts',
    prompts: 4,
    copies: 8,
    sample: true,
    peers: ['hf_generate'],
  },
]

export const decode: BenchCase = {
  name: 'decode',
  what: 'tokens per second after the prompt',
  peers: ['node-llama-cpp', 'hf_generate'],
  goals: ['C3', 'C4', 'C5', 'C6'],
  minutes: { tiny: 0.3, quick: 4, full: 12 },
  prepare: async (size, ceilings): Promise<Prepared> => {
    const subject = subjectOf(size)
    const { dir, config } = subject
    const sized = sizes[size]
    return {
      input: { dir, dtype: 'bf16', vocab: config.vocab, context: sized.prompt + sized.new + 8, sequences: 8 },
      measures: shapes.map((shape) => measureOf(shape, subject, sized, ceilings)),
      absent: [{ id: 'C6', reason: 'the engine holds no weights of 8 bits' }],
      dispose: () => {},
    }
  },
}

function measureOf(shape: Shape, subject: Subject, sized: Sized, ceilings: Ceilings): Measure {
  const work: Rollouts = { ...shape, ...sized }
  const rows = work.prompts * work.copies
  const step = decodeSeconds(subject.config, ceilings, {
    rows,
    prompts: work.prompts,
    prompt: work.prompt,
    own: work.new / 2,
  })
  const prompts = Array.from({ length: work.prompts }, (_, text) => subject.ids(work.prompt, text))
  return {
    id: shape.id,
    what: `${shape.what}, ${work.prompt} tokens before, ${work.new} new, bf16`,
    unit: 'tok/s',
    roofline: rows / step,
    peers: shape.peers,
    run: decoding(subject, work),
    request: () => ({ op: 'decode', prompts, copies: work.copies, new: work.new, sample: work.sample }),
    disagreement: async (peer) => {
      const few = { ...work, new: Math.min(work.new, 16) }
      const samples = await rollOut(await subject.model('bf16'), subject, few)
      const last = samples.at(-1)?.at(-1)
      return last ? sampledAgree(peer, prompts.at(-1)!, last.tokens, last.logprobs) : 'nothing was sampled'
    },
  }
}

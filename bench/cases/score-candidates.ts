/**
 * score-candidates (C14): mean log-prob of each of 20 titles after one history. Ours computes the history once and the
 * titles as its children; the peer a batch of history and title, padded. The scores are compared.
 */

import { generate } from '../../src/engine/index.js'
import { differenceOf } from '../agreement.js'
import type { BenchCase, Prepared, Size } from '../contract.js'
import { attentionOperations, countsOf, operationsPerSecond } from '../roofline.js'
import { subjectOf } from '../subject.js'
import { timed } from '../timing.js'

const sizes: Readonly<Record<Size, { readonly prompt: number; readonly titles: number }>> = {
  tiny: { prompt: 24, titles: 5 },
  quick: { prompt: 512, titles: 20 },
  full: { prompt: 512, titles: 20 },
}

/** Tokens of a title: 5 to 9. */
const titleLength = (title: number): number => 5 + (title % 5)

export const scoreCandidates: BenchCase = {
  name: 'score-candidates',
  what: 'candidate titles after one history',
  peers: ['hf_generate'],
  goals: ['C14'],
  minutes: { tiny: 0.2, quick: 1, full: 3 },
  prepare: async (size, ceilings): Promise<Prepared> => {
    const subject = subjectOf(size)
    const { dir, config } = subject
    const { prompt, titles } = sizes[size]
    const ids = subject.ids(prompt)
    const candidates = Array.from({ length: titles }, (_, title) =>
      subject.ids(titleLength(title), 10 + title),
    )
    const tokens = candidates.reduce((sum, { length }) => sum + length, 0)
    const { body, head } = countsOf(config)
    const operations =
      2 * body * (prompt + tokens) +
      2 * head * tokens +
      attentionOperations(config, prompt, 0) +
      candidates.reduce((sum, { length }) => sum + attentionOperations(config, length, prompt), 0)
    const scores = async () => {
      const [samples] = await generate(
        await subject.model('bf16'),
        {},
        [{ prompt: ids, samples: [{ stream: 0n }], candidates }],
        [],
        { seed: 1n, maxRows: titles },
      )
      return samples![0]!.candidateMean
    }
    return {
      input: { dir, dtype: 'bf16' },
      measures: [
        {
          id: 'C14',
          what: `${titles} titles of 5 to 9 tokens after ${prompt} tokens, bf16`,
          unit: 'titles/s',
          roofline: (titles * operationsPerSecond(ceilings, 'bf16')) / operations,
          run: async () => {
            await subject.model('bf16')
            return timed(async () => (await scores()).length)
          },
          request: () => ({ op: 'score', prompt: ids, candidates }),
          disagreement: async (peer) => {
            const said = (await peer({ check: 'score', prompt: ids, candidates })) as { scores: number[] }
            // Means over five tokens and more.
            return differenceOf('scores', await scores(), said.scores, { mean: 0.02, max: 0.08 })
          },
        },
      ],
      dispose: () => {},
    }
  },
}

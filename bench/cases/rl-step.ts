/**
 * rl-step (C11): a whole GRPO step, sampled tokens per second: a group of rollouts at temperature 1, rewards, group
 * advantages, the update. Ours trains on the log-probs it sampled with; TRL generates with transformers, pads, scores
 * and trains. The completions we sample are scored by the peer.
 */

import {
  type Adapter,
  advantages,
  generate,
  type Model,
  type Sample,
  Trainer,
} from '../../src/engine/index.js'
import { sampledAgree } from '../agreement.js'
import type { BenchCase, Prepared } from '../contract.js'
import { decodeSeconds, operationsPerSecond, prefillOperations, sumOf } from '../roofline.js'
import { subjectOf } from '../subject.js'
import { timed } from '../timing.js'
import { type GroupShape, groupShapes, policyInput, updateOperations } from './policy-step.js'
import { optimiser, policyBackward } from './training.js'

export const rlStep: BenchCase = {
  name: 'rl-step',
  what: 'a whole GRPO step',
  peers: ['trl_grpo'],
  goals: ['C11'],
  minutes: { tiny: 0.4, quick: 4, full: 10 },
  prepare: async (size, ceilings): Promise<Prepared> => {
    const subject = subjectOf(size)
    const shape = groupShapes[size]
    const { prompt, length, group } = shape
    const model = await subject.model('bf16')
    const adapter = await subject.adapter(model)
    const trainer = await Trainer.forAdapter(model, { adapter, tokenBudget: 4096 })
    const ids = subject.ids(prompt)
    const step = decodeSeconds(subject.config, ceilings, { rows: group, prompts: 1, prompt, own: length / 2 })
    const operations =
      sumOf(prefillOperations(subject.config, prompt, 0, 1)) + sumOf(updateOperations(subject, shape))
    const least = length * step + operations / operationsPerSecond(ceilings, 'bf16')
    let seed = 0n
    return {
      input: await policyInput(subject, shape, { prompt: ids }),
      measures: [
        {
          id: 'C11',
          what: `GRPO step, ${group} rollouts of ${length} after ${prompt} tokens, bf16`,
          unit: 'tok/s',
          roofline: (group * length) / least,
          run: () =>
            timed(async () => {
              const samples = await sampled(model, adapter, ids, shape, seed++)
              await update(trainer, ids, samples)
              return group * length
            }),
          request: () => ({ op: 'step' }),
          disagreement: async (peer) => {
            const samples = await sampled(model, adapter, ids, shape, seed++)
            const { tokens, logprobs } = samples.at(-1)!
            return sampledAgree(peer, ids, tokens, logprobs)
          },
        },
      ],
      dispose: () => {},
    }
  },
}

async function sampled(
  model: Model,
  adapter: Adapter,
  prompt: readonly number[],
  { group, length }: GroupShape,
  seed: bigint,
): Promise<Sample[]> {
  const samples = Array.from({ length: group }, (_, row) => ({ stream: BigInt(row) }))
  const script = [{ kind: 'free', maxNew: length, sampling: { temperature: 1 } }] as const
  const [found] = await generate(model, { trained: adapter }, [{ prompt, samples }], script, {
    seed,
    maxRows: group,
  })
  return found!
}

/** Rewards 0, 1, 0, 1, as the peer's. */
async function update(
  trainer: Trainer,
  prompt: readonly number[],
  samples: readonly Sample[],
): Promise<void> {
  const rewards = Float64Array.from(samples, (_, row) => row % 2)
  const found = advantages('grpo', rewards, Int32Array.of(samples.length), { epsilon: 1e-4 })
  await policyBackward(trainer, {
    prompt: [...prompt],
    completions: samples.map(({ tokens }) => Array.from(tokens)),
    advantages: Array.from(found),
    old: samples.map(({ logprobs }) => Array.from(logprobs)),
  })
  await trainer.apply(optimiser)
}

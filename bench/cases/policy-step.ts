/**
 * policy-step (C10): a GRPO update on one group of fixed rollouts, trained tokens per second: TRL's clipped loss without
 * KL, LoRA of rank 16 on every linear, AdamW. Ours computes the prompt once; `policy-step unshared` once per completion.
 * Loss and gradient norm are compared.
 */

import { Trainer } from '../../src/engine/index.js'
import { closeTo } from '../agreement.js'
import type { BenchCase, Ceilings, Measure, Prepared, Size } from '../contract.js'
import { attentionOperations, operationsPerSecond, sumOf, trainingOperations } from '../roofline.js'
import { normOf, type Subject, subjectOf } from '../subject.js'
import { timed } from '../timing.js'
import { type FixedRollouts, fixedRollouts, optimiser, policyBackward, trainerOf } from './training.js'

export interface GroupShape {
  readonly prompt: number
  readonly length: number
  readonly group: number
}

export const groupShapes: Readonly<Record<Size, GroupShape>> = {
  tiny: { prompt: 20, length: 6, group: 3 },
  quick: { prompt: 512, length: 128, group: 8 },
  full: { prompt: 512, length: 128, group: 8 },
}

export const policyStep: BenchCase = {
  name: 'policy-step',
  what: 'a GRPO update on fixed rollouts',
  peers: ['trl_grpo'],
  goals: ['C10'],
  minutes: { tiny: 0.4, quick: 3, full: 8 },
  prepare: async (size, ceilings): Promise<Prepared> => {
    const subject = subjectOf(size)
    const shape = groupShapes[size]
    const model = await subject.model('bf16')
    const trainer = await trainerOf(subject, model)
    const rollouts = await fixedRollouts(subject, trainer, shape)
    const unshared = async () =>
      Trainer.forAdapter(model, {
        adapter: await subject.adapter(model),
        tokenBudget: 4096,
        sharePrefix: false,
      })
    const how = 'the prompt computed for every completion'
    const alone = {
      ...measureOf('policy-step unshared', how, unshared, rollouts, shape, subject, ceilings),
      peers: [],
    }
    return {
      input: await policyInput(subject, shape, rollouts),
      measures: [
        measureOf('C10', 'the prompt computed once', async () => trainer, rollouts, shape, subject, ceilings),
        ...(size === 'quick' ? [] : [alone]),
      ],
      dispose: () => {},
    }
  },
}

/** What a peer needs to train this group. */
export async function policyInput(
  subject: Subject,
  shape: GroupShape,
  { prompt }: Pick<FixedRollouts, 'prompt'>,
): Promise<object> {
  return {
    dir: subject.dir,
    dtype: 'bf16',
    adapter: await subject.adapterFolder(),
    vocab: subject.config.vocab,
    group: shape.group,
    new: shape.length,
    prompt,
  }
}

/** Operations of a shared update: the prompt once, every completion once. */
export function updateOperations({ config }: Subject, { prompt, length, group }: GroupShape) {
  const attention =
    attentionOperations(config, prompt, 0) + group * attentionOperations(config, length, prompt)
  return trainingOperations(config, prompt + group * length, group * length, attention)
}

function measureOf(
  id: string,
  how: string,
  start: () => Promise<Trainer>,
  rollouts: FixedRollouts,
  shape: GroupShape,
  subject: Subject,
  ceilings: Ceilings,
): Measure {
  const tokens = shape.group * shape.length
  let started: Promise<Trainer> | null = null
  const trainer = (): Promise<Trainer> => {
    started ??= start()
    return started
  }
  return {
    id,
    what: `GRPO update, ${shape.group} completions of ${shape.length} after ${shape.prompt} tokens, ${how}, bf16`,
    unit: 'tok/s',
    roofline: (tokens * operationsPerSecond(ceilings, 'bf16')) / sumOf(updateOperations(subject, shape)),
    run: async () => {
      const training = await trainer()
      return timed(async () => {
        await policyBackward(training, rollouts)
        await training.apply(optimiser)
        return tokens
      })
    },
    request: () => ({ op: 'update', rollouts }),
    disagreement: async (peer) => {
      const training = await trainer()
      const loss = await policyBackward(training, rollouts)
      const norm = normOf(training.gradients())
      training.dropGradients()
      const said = (await peer({ check: 'update', rollouts })) as { loss: number; norm: number }
      // The loss is a difference of terms of size 1: what matters is its distance, in units of those.
      const gap = Math.abs(loss - said.loss)
      if (gap > 0.01) return `loss: ${loss.toPrecision(4)}, the peer's ${said.loss.toPrecision(4)}`
      return closeTo('gradient norm', norm, said.norm, 0.05)
    },
  }
}

/**
 * sft-step: a LoRA step (rank 16 on every linear, AdamW), tokens of the texts per second. C8: texts of mixed lengths,
 * ours packed, the peer's batch padded to the longest; C9: equal lengths, where packing gains nothing. Loss and gradient
 * norm of the first step are compared.
 */

import type { Trainer } from '../../src/engine/index.js'
import { closeTo } from '../agreement.js'
import type { BenchCase, Ceilings, Measure, Prepared, Size } from '../contract.js'
import { attentionOperations, operationsPerSecond, sumOf, trainingOperations } from '../roofline.js'
import { normOf, type Stored, type Subject, subjectOf } from '../subject.js'
import { timed } from '../timing.js'
import { optimiser, sftBackward, type Text, textsOf, trainedOf, trainerOf } from './training.js'

const mixed: Readonly<Record<Size, readonly number[]>> = {
  tiny: [9, 17, 40],
  quick: [128, 192, 256, 768],
  full: [128, 192, 256, 384, 512, 1024],
}
const equal: Readonly<Record<Size, readonly number[]>> = {
  tiny: [24, 24],
  quick: [512, 512],
  full: [512, 512, 512, 512],
}

export const sftStep: BenchCase = {
  name: 'sft-step',
  what: 'a supervised LoRA step',
  peers: ['hf_peft_sft'],
  goals: ['C8', 'C9'],
  minutes: { tiny: 0.3, quick: 3, full: 12 },
  prepare: async (size, ceilings): Promise<Prepared> => {
    const subject = subjectOf(size)
    const texts = { C8: textsOf(subject, mixed[size]), C9: textsOf(subject, equal[size]) }
    return {
      input: { dir: subject.dir, dtype: 'bf16', adapter: await subject.adapterFolder() },
      measures: [
        sftMeasure('C8', `mixed lengths ${mixed[size].join(', ')}`, texts.C8, subject, ceilings),
        sftMeasure('C9', `equal lengths ${equal[size].join(', ')}`, texts.C9, subject, ceilings),
      ],
      dispose: () => {},
    }
  },
}

export function sftMeasure(
  id: string,
  what: string,
  sequences: readonly Text[],
  subject: Subject,
  ceilings: Ceilings,
  {
    dtype = 'bf16',
    threads = 0,
  }: {
    readonly dtype?: Stored
    /** Of the peer; 0: as many as ours. */
    readonly threads?: number
  } = {},
): Measure {
  const tokens = sequences.reduce((sum, { ids }) => sum + ids.length, 0)
  const attention = sequences.reduce(
    (sum, { ids }) => sum + attentionOperations(subject.config, ids.length, 0),
    0,
  )
  const operations = sumOf(trainingOperations(subject.config, tokens, trainedOf(sequences), attention))
  let started: Promise<Trainer> | null = null
  const trainer = (): Promise<Trainer> => {
    started ??= subject.model(dtype).then((model) => trainerOf(subject, model))
    return started
  }
  return {
    id,
    what: `LoRA step, ${what}, ${dtype}`,
    unit: 'tok/s',
    roofline: (tokens * operationsPerSecond(ceilings, dtype)) / operations,
    run: async () => {
      const training = await trainer()
      return timed(async () => {
        await sftBackward(training, sequences)
        await training.apply(optimiser)
        return tokens
      })
    },
    request: () => ({ op: 'sft', sequences, threads }),
    disagreement: async (peer) => {
      const training = await trainer()
      const loss = await sftBackward(training, sequences)
      const norm = normOf(training.gradients())
      training.dropGradients()
      const said = (await peer({ check: 'sft', sequences })) as { loss: number; norm: number }
      // The peer rounds activations and gradients to 8 bits at every product.
      return closeTo('loss', loss, said.loss, 2e-3) ?? closeTo('gradient norm', norm, said.norm, 0.03)
    },
  }
}

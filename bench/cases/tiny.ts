/**
 * tiny (C13): a supervised LoRA step of a model of a few hundred thousand weights, one short text: what a step costs
 * beside its arithmetic. The peer runs on one thread, which is quicker for it here. The size is the same however
 * large the bench.
 */

import type { BenchCase, Prepared } from '../contract.js'
import { subjectOf } from '../subject.js'
import { sftMeasure } from './sft-step.js'
import { textsOf } from './training.js'

export const tiny: BenchCase = {
  name: 'tiny',
  what: 'a training step of a tiny model',
  peers: ['hf_peft_sft'],
  goals: ['C13'],
  minutes: { tiny: 0.2, quick: 0.5, full: 0.5 },
  prepare: async (_size, ceilings): Promise<Prepared> => {
    const subject = subjectOf('tiny')
    const texts = textsOf(subject, [32])
    const measure = sftMeasure(
      'C13',
      'two layers of width 64, one text of 32 tokens',
      texts,
      subject,
      ceilings,
      { dtype: 'fp32', threads: 1 },
    )
    return {
      input: { dir: subject.dir, dtype: 'fp32', adapter: await subject.adapterFolder() },
      measures: [measure],
      dispose: () => {},
    }
  },
}

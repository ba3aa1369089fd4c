/** Rows that need no language model. */

import { z } from 'zod'
import { llmBaselines } from '../../eval/result-row.js'
import { count, key, positive, share } from '../key.js'
import { sasrec } from './sasrec.js'

export const baselines = z
  .strictObject({
    rows: key(
      z
        .array(
          z.enum([
            'random',
            'popularity',
            'popularity_recent',
            'markov',
            'co_occurrence',
            'item_knn',
            'ease',
          ]),
        )
        .default(['random', 'popularity', 'item_knn']),
      'Counting rows of the result table. ease solves a system as large as the smaller of users and items: seconds up to 2,000, minutes at 6,000, refused beyond.',
    ),
    llm: key(
      z.array(z.enum(llmBaselines)).default([]),
      'Language-model baselines of the result table, without reasoning but zero_shot_cot: the model as given (zero_shot, zero_shot_cot), trained on answers (sft_direct), from there on preferences (sdpo) or rewards (grpo_direct), each a training of the run’s budget. `baseline --llm` takes all.',
    ),
    candidate_seeds: key(
      z.array(count(0)).default([0, 1, 2]),
      'The verb baseline ranks lists of these seeds too and gives each row the error of the draw; lists that come with the data have none.',
    ),
    onnx: key(
      z.string().nullable().default(null),
      'A recommender as an ONNX file with its sidecar JSON: one more row of the verb baseline.',
    ),
    recent_share: key(
      share().default(0.1),
      'popularity_recent counts this newest share of the training interactions; less is more up to date and noisier.',
      { unit: 'share' },
    ),
    knn_shrinkage: key(
      z.number().min(0).default(0),
      'item_knn: added to each product of lengths, so that items with few users count less; 0 is the plain cosine.',
    ),
    ease_l2: key(
      positive().default(200),
      'ease: weight of the L2 penalty; larger for sparser data. Choose it on validation.',
      { symbol: 'λ' },
    ),
    sasrec,
  })
  .prefault({})

/** SASRec as a baseline (eval/baselines/sasrec). */

import { z } from 'zod'
import { count, key, orAll, positive, share } from '../key.js'

export const sasrec = z
  .strictObject({
    enabled: key(
      z.boolean().default(false),
      'Train SASRec on the same data before the evaluation and add its row; minutes on real data.',
    ),
    max_length: key(
      count().nullable().default(null),
      'Longest sequence it reads; null takes data.max_hist, which is all that a test shows it. The paper: 200 on MovieLens-1M, else 50.',
      { unit: 'items', symbol: 'n' },
    ),
    long_sequences: key(
      z.enum(['all', 'last']).default('all'),
      'What of a training sequence longer than max_length is learned: all of it, in windows that follow one another, or its end alone (the paper).',
    ),
    width: key(count().default(64), 'Width of embeddings and of all layers; memory and time grow with it.', {
      symbol: 'd',
    }),
    blocks: key(count().default(2), 'Self-attention blocks.', { symbol: 'b' }),
    heads: key(count().default(2), 'Attention heads; they divide the width. The paper has one.'),
    dropout: key(
      share().lt(1).default(0.3),
      'Share of the embedding and of each sublayer’s output that is dropped in training.',
    ),
    loss: key(
      z.enum(['softmax', 'bce', 'gbce']).default('softmax'),
      'softmax: cross-entropy over the whole catalogue, the strongest. bce: the paper’s, against drawn negatives. gbce: gSASRec’s, corrected for the share drawn.',
    ),
    negatives: key(
      count().nullable().default(null),
      'bce and gbce: items drawn per prediction; null takes the papers’ 1 and 256.',
      { unit: 'items' },
    ),
    calibration: key(
      share().default(0.75),
      'gbce: how much of the bias of sampling is removed, from none (0) to all (1).',
      { symbol: 't' },
    ),
    epochs: key(count().default(30), 'Most passes over the training sequences.', { unit: 'epochs' }),
    batch: key(
      count().default(16),
      'Sequences per update; small data wants many updates. The paper has 128.',
      { unit: 'sequences' },
    ),
    lr: key(positive().default(0.002), 'Learning rate of Adam, constant; the paper has 0.001.'),
    weight_decay: key(
      z.number().min(0).default(0),
      'Decoupled weight decay of matrices and embeddings; the paper has none.',
    ),
    valid_every: key(count().default(1), 'Epochs between two validations and checkpoints.', {
      unit: 'epochs',
    }),
    valid_instances: key(
      orAll().default(null),
      'Validation instances whose NDCG@5 decides which epoch is kept; null takes all.',
      { unit: 'instances' },
    ),
    patience: key(
      count().default(3),
      'Training ends after so many validations without a better NDCG@5; the best epoch is kept.',
      { unit: 'validations' },
    ),
  })
  .prefault({})

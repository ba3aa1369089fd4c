/** Pattern Imitation (spec section 4). */

import { z } from 'zod'
import { count, key, orAll, positive, share } from '../key.js'

export const sft = z
  .strictObject({
    adapter: key(
      z.enum(['lora', 'full']).default('lora'),
      'lora trains a low-rank adapter; full trains every weight and needs about sixteen bytes per parameter.',
    ),
    rank: key(count().default(16), 'Rank of the adapter; more capacity, more memory.', { symbol: 'r' }),
    alpha: key(positive().default(32), 'Scale of the adapter is alpha / rank.'),
    rslora: key(z.boolean().default(false), 'Scale by alpha / sqrt(rank) instead.'),
    dropout: key(
      z.number().min(0).lt(1).default(0),
      'Dropout on the adapter’s input, one mask per layer input (PEFT draws one per linear).',
      { unit: 'share' },
    ),
    targets: key(
      z
        .array(z.enum(['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']))
        .min(1)
        .default(['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']),
      'Linears that carry an adapter.',
    ),
    instances: key(orAll().default(null), 'Traces used; null takes every kept one.', { unit: 'traces' }),
    lr: key(
      positive().nullable().default(null),
      'Peak learning rate; null takes 2e-4 for lora and 2e-5 for full.',
    ),
    epochs: key(
      count(0).default(2),
      'Passes over the traces; more fits the form better and overfits the content, 0 leaves the model as it was.',
      { unit: 'passes' },
    ),
    batch: key(count().default(64), 'Sequences per update.', { unit: 'sequences' }),
    warmup: key(share().default(0.05), 'Share of steps with rising learning rate.', { unit: 'share' }),
    final_lr: key(share().default(0.1), 'Learning rate at the end of the cosine, as a share of the peak.', {
      unit: 'share',
    }),
    lambda_reason: key(
      z.number().min(0).default(1),
      'Weight of reasoning tokens; below 1 long reasoning does not drown the title.',
      { symbol: 'lambda_r' },
    ),
    lambda_answer: key(z.number().min(0).default(1), 'Weight of answer tokens.', { symbol: 'lambda_o' }),
    direct_mix: key(
      z.number().min(0).max(0.9).default(0.2),
      'Share of answer-only examples under the direct prompt, which keep the score without reasoning meaningful.',
      { unit: 'share' },
    ),
    clip_norm: key(z.number().min(0).default(1), 'Gradient norm limit; 0 turns it off.'),
    weight_decay: key(
      z.number().min(0).default(0),
      'Pull of every weight towards zero at each update (AdamW); 0 turns it off.',
    ),
    max_length: key(count(16).default(1024), 'Longer examples are dropped, never cut.', { unit: 'tokens' }),
    save_every: key(
      count().default(20),
      'Updates between checkpoints; a killed run repeats at most this many.',
      { unit: 'steps' },
    ),
    valid_every: key(
      count(0).default(0),
      'Updates between validations on the valid split; 0 turns them off.',
      { unit: 'steps' },
    ),
    valid_instances: key(count().default(64), 'Instances of one validation.', { unit: 'instances' }),
  })
  .prefault({})

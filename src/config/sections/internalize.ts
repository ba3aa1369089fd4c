/** Pattern Internalization (spec section 5): policy updates; its rewards and its rollouts are in files of their own. */

import { z } from 'zod'
import { count, key, positive } from '../key.js'
import { policy } from './policy.js'
import { reward } from './reward.js'
import { rollouts } from './rollouts.js'

export const rl = z
  .strictObject({
    steps: key(count(0).default(200), 'Updates; 0 skips the phase.', { unit: 'steps' }),
    adapter: key(
      z.enum(['continue', 'stack']).default('continue'),
      'continue trains a copy of the imitation adapter; stack trains a fresh one on top of it, frozen.',
    ),
    rank: key(count().default(16), 'Rank of a stacked adapter.'),
    alpha: key(positive().default(32), 'Scale of a stacked adapter is alpha / rank.'),
    answer: key(
      z.enum(['constrained', 'free']).default('constrained'),
      'constrained chooses among the candidate titles by a trie; free lets the model write any text.',
    ),
    ...policy,
    group: key(count(2).default(8), 'Rollouts per prompt; more groups have both hits and misses.', {
      unit: 'rollouts',
      symbol: 'G',
    }),
    prompts: key(count().default(32), 'Prompts per step.', { unit: 'prompts', symbol: 'P' }),
    inner: key(count().default(1), 'Passes over one set of rollouts; above 1 the ratio leaves 1.', {
      unit: 'passes',
      symbol: 'mu',
    }),
    minibatches: key(count().default(1), 'Updates per pass.', { unit: 'updates' }),
    lr: key(positive().default(1e-5), 'Learning rate after warm-up.'),
    warmup: key(count(0).default(10), 'Steps with rising learning rate.', { unit: 'steps' }),
    clip_norm: key(z.number().min(0).default(1), 'Gradient norm limit; 0 turns it off.'),
    weight_decay: key(
      z.number().min(0).default(0),
      'Pull of every weight towards zero at each update (AdamW); 0 turns it off.',
    ),
    temperature: key(positive().default(1), 'Temperature of rollouts and of the trained log-probs.'),
    max_new: key(count(4).default(384), 'Longest reasoning of a rollout.', { unit: 'tokens' }),
    dynamic_sampling: key(
      z.boolean().default(true),
      'Drop groups whose rewards are all alike; they teach nothing and dilute the mean.',
    ),
    min_std: key(
      z.number().min(0).default(1e-3),
      'A group with a smaller standard deviation of rewards counts as alike.',
    ),
    refill_rounds: key(count(0).max(10).default(0), 'Rounds of further prompts to replace dropped groups.', {
      unit: 'rounds',
    }),
    mask_truncated: key(
      z.boolean().default(true),
      'Rollouts cut at max_new give no gradient but stay in the group statistics.',
    ),
    allfail: key(
      z.enum(['none', 'add_gt', 'simpo']).default('none'),
      'Help for a group without a hit: add_gt teaches the true title after the best reasoning; simpo prefers it to every wrong answer, after the same reasoning.',
    ),
    gt_weight: key(positive().default(1), 'Weight of that help against the policy loss.'),
    save_every: key(
      count().default(10),
      'Steps between checkpoints; a killed run repeats at most this many.',
      { unit: 'steps' },
    ),
    valid_every: key(count(0).default(0), 'Steps between validations on the valid split; 0 turns them off.', {
      unit: 'steps',
    }),
    valid_instances: key(count().default(64), 'Instances of one validation.', { unit: 'instances' }),
    ...rollouts,
    reward,
  })
  .prefault({})

/** Which rollouts Internalization learns from (spec 5.7, 5.8), and which prompts are watched. Keys of rl. */

import { z } from 'zod'
import { count, key, orAll } from '../key.js'

export const rollouts = {
  sampling: z
    .strictObject({
      oversample: key(
        z.number().min(1).max(8).default(1),
        'Draws this many times rl.group rollouts and keeps those with distinct answers first; above 1, groups hold rarer answers than the policy gives.',
      ),
      overlong: key(
        z.enum(['count', 'leave_out']).default('count'),
        'leave_out: rollouts cut at max_new are no part of their group’s mean and deviation either.',
      ),
      band: key(
        z.enum(['none', 'keep', 'weight']).default('none'),
        'Difficulty of prompts by the pass rate p of the model as it left Imitation: keep trains on those with 0 < p < 1, weight draws them in proportion to p (1 - p). Measured once, at the cost of band_samples rollouts per prompt.',
        { symbol: 'p' },
      ),
      band_samples: key(count(2).default(8), 'Rollouts per prompt that measure its difficulty.', {
        unit: 'rollouts',
        symbol: 'K',
      }),
      band_instances: key(orAll().default(null), 'Prompts whose difficulty is measured; null takes all.', {
        unit: 'prompts',
      }),
      teach: key(
        z.enum(['failed', 'all']).default('failed'),
        'Which groups rl.allfail add_gt helps: those without a hit, or all (the supervised term of LaTRO).',
      ),
    })
    .prefault({}),
  watch: key(
    count(0).max(16).default(3),
    'Validation prompts whose likeliest response is written down at checkpoints, for the report; training does not depend on it.',
    { unit: 'prompts' },
  ),
}

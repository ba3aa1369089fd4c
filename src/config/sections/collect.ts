/** Reasoning Collection (spec section 3). */

import { z } from 'zod'
import { count, key, orAll, share } from '../key.js'

export const collect = z
  .strictObject({
    instances: key(
      orAll().default(null),
      'Training instances asked; null takes the whole imitation part of the training split.',
      { unit: 'instances' },
    ),
    part: key(
      z.number().gt(0).lt(1).default(0.6),
      'Share of training users whose instances serve Collection and Imitation; the rest are RL prompts.',
      { unit: 'share' },
    ),
    answer: key(
      z.enum(['free', 'constrained']).default('free'),
      'free lets the model write the whole response; constrained gives the frame and chooses the title among the candidates, which helps small models.',
    ),
    k_free: key(
      count(0).default(8),
      'Unhinted samples per instance (pass A); more finds more hits at linear cost.',
      { unit: 'samples', symbol: 'K_A' },
    ),
    k_hint: key(
      count(0).default(4),
      'Hinted samples for an instance without a hit (pass B); 0 turns the pass off.',
      { unit: 'samples', symbol: 'K_B' },
    ),
    temperature: key(z.number().min(0).default(1), 'Sampling temperature; low values repeat the same trace.'),
    top_p: key(z.number().gt(0).max(1).default(0.95), 'Nucleus of the sampling distribution.', {
      unit: 'share',
    }),
    max_new: key(
      count(4).default(384),
      'Longest response; longer ones are cut and rejected by the form gate.',
      { unit: 'tokens' },
    ),
    chunk: key(
      count().default(32),
      'Instances between two saved points; a killed run repeats at most this many.',
      { unit: 'instances' },
    ),
    fill: key(
      z.enum(['builtin', 'none']).default('builtin'),
      'Who writes traces when too few pass the gates; none leaves Imitation with what there is.',
    ),
    fill_below: key(count(0).default(200), 'Fewer kept traces than this start the fill.', { unit: 'traces' }),
    fill_below_share: key(
      share().default(0.1),
      'A smaller share of instances with a kept trace starts the fill.',
      { unit: 'share' },
    ),
    fill_to: key(
      count(0).default(500),
      'The fill stops here; beyond the instances asked it takes further ones of the imitation part.',
      { unit: 'traces' },
    ),
    keep_per_instance: key(
      count().default(1),
      'Traces kept per instance; 2 keeps a second one only if it differs.',
      { unit: 'traces', symbol: 'M' },
    ),
    keep_misses: key(
      z.boolean().default(false),
      'Keep traces that miss the true next item: the pattern is imitated, not the choice.',
    ),
    gates: key(
      z
        .array(z.enum(['G1', 'G2', 'G3', 'G4', 'G5', 'G6', 'G7', 'G8', 'G10']))
        .default(['G1', 'G2', 'G3', 'G4', 'G5', 'G6', 'G7', 'G8']),
      'Gates a trace must pass; a gate left out is still recorded; G10 drops reasoning that many others repeat.',
    ),
    min_words: key(
      count(0).nullable().default(null),
      'Shorter reasoning is rejected (G5); null takes 30 for a limit of 150 words, in proportion.',
      { unit: 'words' },
    ),
    max_words: key(
      orAll().default(null),
      'Longer reasoning is rejected (G5); null takes 220 for a limit of 150 words, in proportion.',
      { unit: 'words' },
    ),
    max_repeat: key(share().default(0.2), 'Largest share of repeated 4-grams (G6).', { unit: 'share' }),
    min_ascii: key(share().default(0.9), 'Smallest share of ASCII letters (G8); 0 admits every script.', {
      unit: 'share',
    }),
    gain_tau: key(
      z.number().nullable().default(null),
      'Keep a trace only if it raises the target’s log-prob by more than this (G9); null skips the gate and its cost.',
      { unit: 'nats per token' },
    ),
  })
  .prefault({})

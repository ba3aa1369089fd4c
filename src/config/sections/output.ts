/** What comes out: evaluation and report. */

import { z } from 'zod'
import { count, key, orAll } from '../key.js'

export const evaluation = z
  .strictObject({
    instances: key(
      orAll().default(null),
      'Test instances; null takes all. Fewer than 2,000 cannot separate close methods.',
      { unit: 'instances' },
    ),
    mode: key(
      z.enum(['think_score', 'score', 'free']).default('think_score'),
      'How a model answers: think then score every candidate, score at once, or write freely.',
    ),
    norm: key(
      z.enum(['joint', 'mean']).default('joint'),
      'Rank candidates by the sum or the mean of token log-probs; the mean favours long titles.',
    ),
    max_new: key(count(4).nullable().default(null), 'Longest reasoning; null takes rl.max_new.', {
      unit: 'tokens',
    }),
    direct: key(
      z.boolean().default(true),
      'Also score without reasoning: an extra base row and the reasoning’s log-prob gain, at small cost.',
    ),
    free: key(
      z.boolean().default(false),
      'Also let the base answer freely: a row that says what the untrained model does when nothing helps it.',
    ),
    pointwise: key(
      z.boolean().default(false),
      'r2rec: also let the last model rate each candidate alone (Mode P), at as many answers per test as there are candidates.',
    ),
    controls: key(
      z
        .array(z.enum(['shuffled_history', 'shuffled_ratings', 'exchanged_reasoning', 'answers_only']))
        .default([]),
      'shuffled_history: the last model reads other users’ histories. shuffled_ratings (r2rec): it reads chains whose ratings were exchanged among them. exchanged_reasoning: it reads its own prompt with the reasoning it wrote for another user. answers_only: trains the same adapter without reasoning, at the cost of two more trainings.',
    ),
    bootstrap: key(count(10).default(1000), 'Resamples of the 95 % intervals, by user.', {
      unit: 'resamples',
    }),
    chunk: key(count().default(32), 'Instances between two saved points.', { unit: 'instances' }),
  })
  .prefault({})

export const report = z
  .strictObject({
    html: key(z.boolean().default(true), 'Write report.html.'),
    samples: key(count(0).default(8), 'Samples with their reasoning kept per phase and step.', {
      unit: 'samples',
    }),
  })
  .prefault({})

/** What R2Rec adds: chains, how their thoughts are written, and what is kept (src/methods/r2rec/README.md). */

import { z } from 'zod'
import { count, key, share } from '../key.js'

const gates = [
  'form',
  'steps',
  'hops',
  'early',
  'leak',
  'right',
  'tokens',
  'blind',
  'dedupe',
  'balance',
] as const

export const r2rec = z
  .strictObject({
    chains: key(
      count(0).default(3),
      'Chains of a ranking question; 0 asks for thoughts without chains. More say more and cost prompt tokens.',
      { unit: 'chains', symbol: 'm' },
    ),
    triples: key(
      count(0).default(3),
      'Rating questions about an instance in Collection, one for each chain; the first whose trace passes is kept. 0 asks no ratings.',
      { unit: 'questions' },
    ),
    prompting: key(
      z.enum(['progressive', 'one_shot', 'predict_each']).default('progressive'),
      'progressive reveals a chain hop by hop and asks for one thought each; predict_each also hides each hop’s rating until its thought is written; one_shot asks for all thoughts at once.',
    ),
    step_words: key(count(5).default(40), 'Word limit of one thought, stated in prompts.', { unit: 'words' }),
    step_max_new: key(count(4).default(120), 'Longest thought a model may write.', { unit: 'tokens' }),
    labels: key(
      count().default(20),
      'Labels that a ranking names, best first; fewer cost fewer tokens, the others are ranked by score.',
      { unit: 'labels' },
    ),
    ranking_share: key(
      share().default(0.2),
      'Share of ranking traces among those Imitation learns from; the rest are rating traces.',
      { unit: 'share' },
    ),
    rating_prompts: key(
      share().default(0),
      'Share of the prompts of Internalization that ask for a rating instead of a ranking.',
      { unit: 'share' },
    ),
    gates: key(
      z.array(z.enum(gates)).default([...gates]),
      'Quality gates a trace must pass; a gate left out is still recorded.',
    ),
    tolerance: key(
      count(0).max(4).default(0),
      'How far the blind second answer may be from the true rating; 1 keeps more and checks less.',
      { unit: 'ratings' },
    ),
    min_tokens: key(count(0).default(20), 'Shorter thoughts are rejected.', { unit: 'tokens' }),
    max_tokens: key(count().default(120), 'Longer thoughts are rejected.', { unit: 'tokens' }),
    largest_share: key(share().default(0.35), 'Largest share of one rating among the kept rating traces.', {
      unit: 'share',
    }),
  })
  .prefault({})

/**
 * rl.reward: what a rollout earns (spec 5.3, 5.4). Every term has a weight by its id under `weights`; the terms of a
 * method's own reward also have keys of their own. docs/rewards.md has the table of all terms.
 */

import { z } from 'zod'
import { count, key, positive } from '../key.js'

const userReward = z
  .union([z.string(), z.strictObject({ file: z.string(), sha256: z.string().nullable().default(null) })])
  .transform((given) => (typeof given === 'string' ? { file: given, sha256: null } : given))

/** Weights of the methods' own rewards, by term. */
const ownWeights = {
  hit: key(z.number().default(1), 'Weight of the exact answer.'),
  ndcg_cand: key(
    z.number().default(0.5),
    'Weight of the target’s rank among the candidates after the reasoning.',
  ),
  gain: key(
    z.number().default(0.5),
    'Weight of the log-prob gain of the target given the reasoning (rationality).',
    { unit: 'per nat' },
  ),
  ground: key(z.number().default(0.2), 'Weight of citing only titles of the history and the candidates.'),
  len: key(z.number().default(0.2), 'Weight of the penalty on over-long reasoning.'),
  rep: key(z.number().default(0.2), 'Weight of the penalty on repeated 4-grams.'),
  ndcg_top: key(
    z.number().default(0.5),
    'r2rec: weight of 1 / log2(1 + place) of a target that the answer ranks second or third; 0 leaves hits and form alone.',
  ),
  steps: key(z.number().default(0.1), 'r2rec: weight of reasoning in the asked steps.'),
  rating: key(z.number().default(1), 'r2rec: weight of 1 - |error| / 4 on prompts that ask for a rating.'),
}

export const reward = z
  .strictObject({
    compose: key(
      z.enum(['additive', 'conditional', 'gated', 'gdpo']).default('additive'),
      'How terms become one reward: a sum, or rationality counted only with a good recommendation, or only with grounded reasoning; gdpo standardises each term in its group before the sum.',
    ),
    credit: key(
      z.enum(['whole', 'decoupled']).default('whole'),
      'decoupled: the answer’s tokens are credited with the terms of the recommendation alone, the reasoning’s with all.',
    ),
    gate_fail: key(z.number().default(-1), 'Reward of a rollout that fails the form gate.'),
    floor: key(
      z.enum(['method', 'on', 'off']).default('method'),
      'Does the gate also ask for prose beside the titles and against heavy repetition? method: yes for re2, no for r2rec.',
    ),
    ...ownWeights,
    weights: key(
      z.record(z.string(), z.number()).default({}),
      'Weights of further reward terms by id, or in place of the keys above: {post: 0.5, rep: 0}. 0 leaves a term and its forward passes out.',
    ),
    gain_kind: key(
      z.enum(['gain', 'post']).default('gain'),
      'gain: mean log-prob of the target’s tokens; post: its posterior among the candidates.',
    ),
    gain_clip: key(positive().default(1), 'gain, post and gain_prob are clipped to plus or minus this.', {
      unit: 'nats per token',
    }),
    suff_clip: key(positive().default(5), 'suff is clipped to plus or minus this.', { unit: 'nats' }),
    scorer: key(
      z.enum(['ref', 'policy']).default('ref'),
      'Who scores gain, post, gain_prob and ppl: the frozen model of Imitation, or the policy that sampled.',
    ),
    beam_width: key(count().default(10), 'beam: titles that the search keeps.', {
      unit: 'titles',
      symbol: 'B',
    }),
    len_buffer: key(count(0).default(64), 'The length penalty starts this far below max_new.', {
      unit: 'tokens',
    }),
    pop_gamma: key(
      z.number().min(0).max(0.5).default(0.25),
      'pop_hit: a hit on an item with n interactions counts n^-gamma, scaled to mean 1; higher favours rare items.',
      { symbol: 'gamma' },
    ),
    judge_scores: key(
      z.string().nullable().default(null),
      'judge: JSONL file of scores from 0 to 1 by hash, one {"key": ..., "score": ...} a line.',
    ),
    user: key(
      z.array(userReward).default([]),
      'Files with reward terms of your own (--reward FILE); their hashes become part of the configuration.',
    ),
  })
  .prefault({})

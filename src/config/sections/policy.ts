/**
 * How rewards become an update (spec 5.5, 5.6, 5.9): advantages, policy losses, aggregation, KL, entropy, masks, and
 * the arms that learn from preferences instead. Formulas: native/rl/advantage.h, native/ops/policy_terms.h,
 * native/ops/preference_loss.h. Keys of rl.
 */

import { z } from 'zod'
import { count, key, positive, share } from '../key.js'

/** Clip range below and above 1 (for gmpo below and above 0, of the log-ratio). */
const clip = (low: number, high: number) => z.tuple([share(), z.number().min(0)]).default([low, high])

const arm = {
  arm: key(
    z.enum(['policy', 'dpo', 'sdpo', 'simpo']).default('policy'),
    'What a step learns from: advantages of all rollouts, or pairs of the best and the worst of a prompt (dpo, simpo; sdpo: several losers).',
  ),
  preference: z
    .strictObject({
      dpo_beta: key(
        positive().default(0.1),
        'dpo: scale of the log-ratio; higher stays nearer the reference.',
        {
          symbol: 'beta',
        },
      ),
      sdpo_beta: key(positive().default(1), 'sdpo: scale of the log-ratio.', { symbol: 'beta' }),
      simpo_beta: key(positive().default(2), 'simpo: scale of the difference of mean log-probs.', {
        symbol: 'beta',
      }),
      simpo_margin: key(
        z.number().min(0).default(0.5),
        'simpo: by how much the winner is asked to lead, after scaling.',
        { symbol: 'gamma' },
      ),
      negatives: key(count().default(3), 'sdpo: at most this many losers, the worst first.', {
        unit: 'rollouts',
      }),
      reward_margin: key(z.number().min(0).default(0.2), 'A pair needs at least this difference of rewards.'),
      length_tolerance: key(
        share().default(0.4),
        'A pair’s lengths may differ by at most this share of the longer one, so that length is not what is learned.',
      ),
    })
    .prefault({}),
}

const advantage = {
  adv: key(
    z
      .enum([
        'grpo',
        'dr_grpo',
        'batch_std',
        'rloo',
        'rf++',
        'rf++_baseline',
        'remax',
        'opo',
        'gpg',
        'passk_best',
        'passk_bonus',
        'gdpo',
        'latent_r3',
      ])
      .default('grpo'),
    'How rewards become advantages: grpo divides the difference from the group’s mean by its deviation, dr_grpo does not, batch_std divides by the batch’s, rloo leaves one out, opo weighs the mean by length, gpg scales by the share of rewarded rollouts, remax subtracts a greedy rollout, rf++ and rf++_baseline whiten over all tokens, latent_r3 over the batch, passk_* aim at the best of several, gdpo standardises each reward term.',
    { symbol: 'A' },
  ),
  adv_epsilon: key(
    positive().default(1e-6),
    'Added to a standard deviation that is divided by; 1e-4 is usual for gdpo.',
  ),
  pass_k: key(count().default(4), 'passk_bonus: the number of tries of which one should hit.', {
    unit: 'rollouts',
    symbol: 'k',
  }),
  pass_std: key(z.boolean().default(false), 'passk_best: divide by the group’s standard deviation.'),
  discount: key(share().default(1), 'rf++: below 1, early tokens earn less of what comes later.', {
    unit: 'per token',
    symbol: 'gamma',
  }),
}

const loss = {
  loss: key(
    z
      .enum([
        'ppo_clip',
        'two_sided',
        'gspo',
        'gspo_token',
        'luspo',
        'cispo',
        'gmpo',
        'sapo',
        'reinforce',
        'clip_cov',
        'kl_cov',
      ])
      .default('ppo_clip'),
    'Policy loss: a clipped ratio per token (ppo_clip, two_sided), per sequence (gspo, gspo_token, luspo, gmpo), a held one (cispo), a smooth gate (sapo), none (reinforce); clip_cov and kl_cov hold back the tokens that cost most entropy.',
  ),
  eps: key(
    clip(0.2, 0.28),
    'Clip range of the ratio, low and high; a higher high keeps exploration alive. gspo, luspo and gmpo have their own.',
    { symbol: 'epsilon' },
  ),
  dual_c: key(
    z.number().min(0).default(3),
    'ppo_clip: bound of the loss for negative advantages; 0 turns it off.',
    { symbol: 'c' },
  ),
  gspo_eps: key(clip(3e-4, 4e-4), 'gspo, gspo_token, luspo: clip range of the ratio of sequences.', {
    symbol: 'epsilon',
  }),
  gmpo_eps: key(clip(0.4, 0.4), 'gmpo: clip range of a token’s log-ratio.', {
    unit: 'nats',
    symbol: 'epsilon',
  }),
  delta: key(positive().default(4), 'two_sided: cap of the ratio for negative advantages.', {
    symbol: 'delta',
  }),
  cispo_cap: key(
    z.number().min(0).default(0),
    'cispo: cap of the held ratio, from above only (5 is usual); 0 clips on both sides by eps.',
  ),
  sapo_tau: key(
    z.tuple([positive(), positive()]).default([1, 1.05]),
    'sapo: sharpness of the gate for positive and for negative advantages.',
    { symbol: 'tau' },
  ),
  cov: z
    .strictObject({
      share: key(
        share().default(2e-4),
        'clip_cov, kl_cov: share of a mini-batch’s tokens that is held back, at least one.',
      ),
      low: key(z.number().default(1), 'clip_cov: tokens with a covariance above this may be drawn.'),
      high: key(z.number().default(5), 'clip_cov: and below this.'),
      penalty: key(positive().default(1), 'kl_cov: weight of the log-ratio’s size on the chosen tokens.'),
    })
    .prefault({}),
  off_policy_limit: key(
    z.number().min(0).default(0),
    'Rollouts with a negative advantage are left out once the policy is further than this from the one that sampled; 0 keeps all.',
    { unit: 'nats per token', symbol: 'delta' },
  ),
  keep_entropy: key(
    share().default(1),
    'Share of tokens, those of highest entropy, that the policy loss trains (0.2 is usual); 1 trains all.',
  ),
  agg: key(
    z.enum(['token_mean', 'seq_mean_token_mean', 'seq_mean_token_sum', 'const_norm']).default('token_mean'),
    'How token losses become one number; sequence means favour short answers.',
  ),
}

const regularisers = {
  kl: z
    .strictObject({
      kind: key(
        z.enum(['k1', 'k2', 'k3', 'abs', 'k1+', 'k3+', 'abs+', 'unbiased']).default('k3'),
        'Estimator of the divergence from the reference; with + the gradient of k2, whose mean is that of the divergence; unbiased weighs k3 by the ratio.',
      ),
      beta: key(z.number().min(0).default(1e-3), 'Weight of the divergence; 0 also saves its forward pass.', {
        symbol: 'beta',
      }),
      where: key(
        z.enum(['loss', 'reward']).default('loss'),
        'loss: a term of its own; reward: every token’s k1 is taken from what it earns (one more forward pass).',
      ),
      target: key(
        positive().nullable().default(null),
        'Divergence that the weight is steered to; null keeps the weight.',
        { unit: 'nats per token' },
      ),
      horizon: key(
        positive().default(10_000),
        'Rollouts in which the weight may change by a fifth; higher steers more slowly.',
        { unit: 'rollouts' },
      ),
    })
    .prefault({}),
  entropy: key(z.number().min(0).default(0), 'Weight of an entropy bonus.'),
  entropy_target: key(
    positive().nullable().default(null),
    'While entropy is below this, the bonus’s weight rises by entropy_step at each step, else it falls; null keeps it.',
    { unit: 'nats per token' },
  ),
  entropy_step: key(positive().default(1e-3), 'Change of the entropy bonus’s weight at a step.'),
}

export const policy = { ...arm, ...advantage, ...loss, ...regularisers }

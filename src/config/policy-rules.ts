/** Settings of the policy update that are fine one by one and cannot work together. */

import { ReasonrecError } from '../engine/errors.js'
import type { Config } from './schema.js'

interface Rule {
  readonly broken: (rl: Config['rl']) => boolean
  readonly what: string
  readonly remedy: string
}

const decoupled = ({ reward }: Config['rl']): boolean => reward.credit === 'decoupled'
const onlyPolicy = ({ arm }: Config['rl']): boolean => arm === 'policy'

const rules: readonly Rule[] = [
  {
    broken: ({ adv, kl }) => adv === 'rf++' && kl.where === 'loss' && kl.beta > 0,
    what: 'rl.adv rf++ takes the divergence from the reward, not from the loss',
    remedy: 'set rl.kl.where to reward, or rl.kl.beta to 0',
  },
  {
    broken: ({ adv, discount }) => discount < 1 && adv !== 'rf++',
    what: 'rl.discount is read by rl.adv rf++ only',
    remedy: 'set rl.discount to 1, or rl.adv to rf++',
  },
  {
    broken: ({ adv, pass_k, group }) => adv === 'passk_bonus' && pass_k > group,
    what: 'rl.pass_k is above rl.group: no k of its rollouts can be drawn',
    remedy: 'lower rl.pass_k or raise rl.group',
  },
  {
    broken: (rl) => rl.adv === 'gdpo' && rl.reward.compose !== 'gdpo',
    what: 'rl.adv gdpo needs the reward term by term',
    remedy: 'set rl.reward.compose to gdpo',
  },
  {
    broken: (rl) => rl.reward.compose === 'gdpo' && rl.adv !== 'grpo' && rl.adv !== 'gdpo',
    what: 'rl.reward.compose gdpo is an advantage estimator of its own',
    remedy: 'set rl.adv to gdpo, or rl.reward.compose to additive',
  },
  {
    broken: (rl) => rl.adv === 'remax' && decoupled(rl),
    what: 'rl.adv remax has one greedy reward per prompt, not one per kind of credit',
    remedy: 'set rl.reward.credit to whole, or choose another rl.adv',
  },
  {
    broken: ({ kl }) => kl.where === 'reward' && kl.beta === 0,
    what: 'rl.kl.where reward without a weight',
    remedy: 'set rl.kl.beta above 0, or rl.kl.where to loss',
  },
  {
    broken: (rl) => rl.kl.where === 'reward' && (rl.reward.compose === 'gdpo' || decoupled(rl)),
    what: 'a divergence in the reward has no place among standardised or decoupled terms',
    remedy: 'set rl.kl.where to loss',
  },
  {
    broken: ({ kl }) => kl.target !== null && kl.beta === 0,
    what: 'rl.kl.target steers a weight that starts at 0 and stays there',
    remedy: 'set rl.kl.beta above 0, or rl.kl.target to null',
  },
  {
    broken: ({ loss, delta, eps }) => loss === 'two_sided' && delta <= 1 + eps[1],
    what: 'rl.delta lies within the clip range rl.eps',
    remedy: 'raise rl.delta above 1 + eps',
  },
  {
    broken: ({ loss, cov }) => (loss === 'clip_cov' || loss === 'kl_cov') && cov.share === 0,
    what: 'rl.cov.share 0 holds no token back',
    remedy: 'set rl.cov.share above 0, or rl.loss to ppo_clip',
  },
  {
    broken: ({ keep_entropy }) => keep_entropy === 0,
    what: 'rl.keep_entropy 0 trains no token',
    remedy: 'raise it',
  },
  {
    broken: (rl) => !onlyPolicy(rl) && rl.kl.where === 'reward',
    what: `preferences have no place for a divergence in the reward`,
    remedy: 'set rl.kl.where to loss (where the arm’s own reference term stands for it)',
  },
  {
    broken: (rl) =>
      !onlyPolicy(rl) && (rl.kl.target !== null || rl.entropy > 0 || rl.entropy_target !== null),
    what: 'rl.kl.target and rl.entropy* belong to rl.arm policy',
    remedy: 'leave them at their defaults, or set rl.arm to policy',
  },
  {
    broken: (rl) => !onlyPolicy(rl) && rl.allfail !== 'none',
    what: 'rl.allfail belongs to rl.arm policy',
    remedy: 'set rl.allfail to none, or rl.arm to policy',
  },
  {
    broken: ({ allfail, answer }) => allfail === 'simpo' && answer !== 'constrained',
    what: 'rl.allfail simpo compares answers that were chosen among the candidates',
    remedy: 'set rl.answer to constrained, or rl.allfail to add_gt',
  },
]

export function checkPolicyRules({ rl }: Config): void {
  const rule = rules.find(({ broken }) => broken(rl))
  if (rule) throw new ReasonrecError('RR_CONFIG_VALUE', rule.what, { remedy: rule.remedy })
}

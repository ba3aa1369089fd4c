/** The pre-training recipe as data: stages, their texts and their learning rates. docs/embedded-default.md says why. */

import type { FormMixture } from './re2-forms.js'
import type { SkillMixture } from './skills.js'

export interface Stage {
  readonly name: string
  readonly steps: number
  /** Sequences of a step: of one skill each, in RE2's forms, in R2Rec's forms. */
  readonly sequences: { readonly skills: number; readonly re2: number; readonly r2rec: number }
  readonly skills: SkillMixture
  readonly form: FormMixture & {
    /** Share of answers without reasoning. */
    readonly direct: number
    /** Share of ratings among R2Rec's forms; the others rank. */
    readonly rating: number
  }
  /** Peak, steps of linear warm-up, share of the stage with a linear decline at its end, last rate over peak. */
  readonly rate: {
    readonly peak: number
    readonly warmup: number
    readonly decline: number
    readonly last: number
  }
}

export const pretrainingSeed = 11n
/**
 * Standard deviations of the first weights: the embedding, what reads the residual stream, what writes to it. With 0.02
 * throughout nothing was looked up after 2 M tokens: a token's own vector was drowned by the first block's output.
 *
 * `common` is added to or subtracted from every entry's vector, by coordinate and for all entries alike. A projection
 * without bias turns it into constant parts of queries and keys, which is what a head needs that looks at the token
 * before, whatever it is. Without it, no word was connected with the maker behind it in 16 M tokens (copying, and every
 * query by a maker); with it, in 1 M.
 */
export const initialDeviations = { embedding: 0.3, common: 0.4, reads: 0.09, writes: 0.05 } as const
export const optimiser = { beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weightDecay: 0.05, clipNorm: 1 } as const

const short = { long: 0, distracted: 0.3, single: 0.6, sameTitle: 0.6, read: 0.05 } as const
const whole = {
  shares: { facts: 0.05, common: 0.05, copy: 0.1, lookUp: 0.5, ranking: 0.3 },
  copied: [4, 20],
  long: 0.85,
  distracted: 0.8,
  single: 0.2,
  sameTitle: 0.4,
  read: 0.05,
} as const
const form = { planted: 0.4, match: 0.95, alike: false, direct: 0.2, rating: 0.4 } as const
const constant = { peak: 1.5e-3, warmup: 0, decline: 0, last: 1 } as const

export const stages: readonly Stage[] = [
  {
    name: 'skills, short lists',
    steps: 1600,
    sequences: { skills: 24, re2: 0, r2rec: 0 },
    skills: {
      shares: { facts: 0.1, common: 0.05, copy: 0.2, lookUp: 0.45, ranking: 0.2 },
      copied: [3, 12],
      ...short,
    },
    form,
    rate: { ...constant, warmup: 50 },
  },
  {
    name: 'skills',
    steps: 2600,
    sequences: { skills: 14, re2: 3, r2rec: 3 },
    skills: whole,
    form,
    rate: constant,
  },
  {
    name: 'skills and forms',
    steps: 2200,
    sequences: { skills: 8, re2: 6, r2rec: 6 },
    skills: whole,
    form: { ...form, alike: true },
    rate: { ...constant, decline: 1, last: 0.03 },
  },
]

/** Learning rate at a step of a stage, counted from 0. */
export function stageRate({ steps, rate }: Stage, step: number): number {
  if (step < rate.warmup) return (rate.peak * (step + 1)) / rate.warmup
  const begin = steps * (1 - rate.decline)
  const share = rate.decline === 0 ? 0 : Math.max(0, (step - begin) / (steps - begin))
  return rate.peak * (1 - share * (1 - rate.last))
}

/** The same stages with fewer steps, to look at a change quickly. */
export function scaled(factor: number): readonly Stage[] {
  return stages.map((stage) => ({ ...stage, steps: Math.max(1, Math.round(stage.steps * factor)) }))
}

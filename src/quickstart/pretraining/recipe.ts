/** The pre-training recipe as data: stages, their texts and their learning rates. docs/embedded-default.md says why. */

import type { TextMixture } from './texts.js'

export interface Stage {
  readonly name: string
  readonly steps: number
  /** Sequences of a step: skills (facts, common, look-up) and form (reason, direct). */
  readonly skills: number
  readonly form: number
  /** Share of direct texts among form. */
  readonly direct: number
  readonly mixture: TextMixture
  /** Peak, steps of linear warm-up, share of the stage with a linear decline at its end, last rate over peak. */
  readonly rate: {
    readonly peak: number
    readonly warmup: number
    readonly decline: number
    readonly last: number
  }
}

export const pretrainingSeed = 11n
/** Standard deviation of the first weights: about 0.7 / sqrt(d). With 0.02 nothing was looked up after 2 M tokens. */
export const initialDeviation = 0.06
export const optimiser = { beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weightDecay: 0.05, clipNorm: 1 } as const

const choice = { match: 0.95, sameTitle: 0.35 } as const

export const stages: readonly Stage[] = [
  {
    name: 'skills',
    steps: 300,
    skills: 16,
    form: 0,
    direct: 0,
    mixture: {
      skills: [0.3, 0.05, 0.65],
      long: 0,
      distracted: 0.5,
      single: 0.6,
      match: 0.95,
      sameTitle: 0.6,
    },
    rate: { peak: 3e-3, warmup: 50, decline: 0, last: 1 },
  },
  {
    name: 'skills and form',
    steps: 4200,
    skills: 8,
    form: 12,
    direct: 0.2,
    mixture: { skills: [0.13, 0.08, 0.79], long: 0.65, distracted: 0.75, single: 0.3, ...choice },
    rate: { peak: 3e-3, warmup: 0, decline: 0.5, last: 0.05 },
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

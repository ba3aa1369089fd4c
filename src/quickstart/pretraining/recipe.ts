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
  /** The optimiser starts anew (its moments, not the weights): a stage that was added to a finished one. */
  readonly restart?: boolean
  /**
   * Peak, steps of linear warm-up, share of the stage with a linear decline at its end, last rate over peak. `planned`:
   * the length the decline was laid out for, where the stage is cut before it.
   */
  readonly rate: {
    readonly planned?: number

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
 */
export const initialDeviations = { embedding: 0.3, reads: 0.09, writes: 0.05 } as const
export const optimiser = { beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weightDecay: 0.05, clipNorm: 1 } as const

const skill = { distracted: 0.5, single: 0.6, sameTitle: 0.6, planted: 0, match: 1 } as const

const form = {
  long: 0.65,
  distracted: 0.75,
  single: 0.3,
  sameTitle: 0.35,
  planted: 0.4,
  match: 0.95,
} as const

export const stages: readonly Stage[] = [
  {
    name: 'copy',
    steps: 600,
    skills: 64,
    form: 0,
    direct: 0,
    mixture: { skills: [0, 0, 1, 0], copied: [2, 4], long: 0, ...skill },
    rate: { peak: 1e-3, warmup: 50, decline: 0, last: 1 },
  },
  {
    name: 'look-up',
    steps: 900,
    skills: 24,
    form: 0,
    direct: 0,
    mixture: { skills: [0.1, 0.05, 0.15, 0.7], copied: [3, 12], long: 0, ...skill },
    rate: { peak: 1.5e-3, warmup: 0, decline: 0, last: 1 },
  },
  {
    name: 'skills and form',
    steps: 1400,
    skills: 8,
    form: 12,
    direct: 0.2,
    mixture: {
      skills: [0.1, 0.08, 0.05, 0.77],
      copied: [6, 20],
      ...form,
    },
    rate: { planned: 2200, peak: 1.5e-3, warmup: 0, decline: 0.5, last: 0.05 },
  },
  {
    name: 'finish',
    steps: 700,
    skills: 8,
    form: 12,
    direct: 0.2,
    mixture: { ...form, skills: [0.08, 0.08, 0.14, 0.7], copied: [2, 16] },
    restart: true,
    rate: { peak: 1e-3, warmup: 20, decline: 1, last: 0.05 },
  },
]

/** Learning rate at a step of a stage, counted from 0. */
export function stageRate({ steps: length, rate }: Stage, step: number): number {
  const steps = rate.planned ?? length
  if (step < rate.warmup) return (rate.peak * (step + 1)) / rate.warmup
  const begin = steps * (1 - rate.decline)
  const share = rate.decline === 0 ? 0 : Math.max(0, (step - begin) / (steps - begin))
  return rate.peak * (1 - share * (1 - rate.last))
}

/** The same stages with fewer steps, to look at a change quickly. */
export function scaled(factor: number): readonly Stage[] {
  return stages.map((stage) => ({ ...stage, steps: Math.max(1, Math.round(stage.steps * factor)) }))
}

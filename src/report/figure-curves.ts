/** Curves over the steps of Pattern Imitation and Pattern Internalization, one quantity a figure. */

import type { TopLevelSpec } from 'vega-lite'
import { type Figure, palette, single, top } from './figure-style.js'
import type { RunFiles } from './run-files.js'

export interface Point {
  readonly x: number
  readonly y: number
  readonly series?: string
}

/** More points than this cannot be seen at this width; longer runs are drawn as means of equal bins. */
export const maxPoints = 1500

export function imitateFigures(run: RunFiles): (Figure | null)[] {
  const from = (field: 'loss' | 'lr' | 'grad_norm'): Point[] =>
    run.imitate.map((line) => ({ x: line.step, y: line[field] }))
  return [
    curve(
      'sft-loss',
      'imitate',
      'Loss',
      'Negative log-likelihood of the response tokens; the line is a running mean.',
      'nats per token',
      from('loss'),
      { smooth: true },
    ),
    curve('sft-grad-norm', 'imitate', 'Gradient norm', 'Before clipping.', 'L2 norm', from('grad_norm'), {
      zero: true,
      smooth: true,
    }),
    curve(
      'sft-learning-rate',
      'imitate',
      'Learning rate',
      'As applied at each step.',
      'learning rate',
      from('lr'),
      { zero: true, scientific: true },
    ),
  ]
}

export function internalizeFigures(run: RunFiles): (Figure | null)[] {
  const lines = run.internalize
  const from = (pick: (line: (typeof lines)[number]) => number, name?: string): Point[] =>
    lines.map((line) => ({ x: line.step, y: pick(line), ...(name !== undefined && { series: name }) }))
  const terms = [...new Set(lines.flatMap((line) => Object.keys(line.reward_terms ?? {})))]
  const termPoints = terms.flatMap((term) =>
    lines.flatMap((line) => {
      const value = line.reward_terms?.[term]
      return value === undefined ? [] : [{ x: line.step, y: value, series: term.replace(/_/g, ' ') }]
    }),
  )
  const clip = [
    ...from((line) => line.clip_ratio_low, 'low side'),
    ...from((line) => line.clip_ratio_high, 'high side'),
  ]
  return [
    curve(
      'rl-reward',
      'internalize',
      'Reward',
      'Mean over the completions of a step; the line is a running mean.',
      'reward',
      from((line) => line.reward),
      { smooth: true },
    ),
    curve(
      'rl-reward-terms',
      'internalize',
      'Reward terms',
      'Mean of each term before weighting.',
      'term value',
      termPoints,
    ),
    curve(
      'rl-kl',
      'internalize',
      'KL to the reference',
      'k3 estimate against the model as it left Pattern Imitation.',
      'nats per token',
      from((line) => line.kl),
      { zero: true },
    ),
    curve(
      'rl-entropy',
      'internalize',
      'Entropy',
      'Of the next-token distribution, at the sampled tokens.',
      'nats per token',
      from((line) => line.entropy),
      { zero: true },
    ),
    curve(
      'rl-completion-length',
      'internalize',
      'Completion length',
      'Mean over the completions of a step.',
      'tokens',
      from((line) => line.completion_length),
      { zero: true },
    ),
    curve(
      'rl-clip-ratio',
      'internalize',
      'Clip ratio',
      'Share of tokens whose ratio was cut.',
      'share of tokens',
      clip,
      { zero: true },
    ),
    curve(
      'rl-grad-norm',
      'internalize',
      'Gradient norm',
      'Before clipping.',
      'L2 norm',
      from((line) => line.grad_norm),
      { zero: true },
    ),
    curve(
      'rl-learning-rate',
      'internalize',
      'Learning rate',
      'As applied at each step.',
      'learning rate',
      from((line) => line.lr),
      { zero: true, scientific: true },
    ),
    curve(
      'rl-loss',
      'internalize',
      'Policy loss',
      'Clipped surrogate and KL term; its level says little, its jumps do.',
      'loss',
      from((line) => line.loss),
    ),
  ]
}

interface CurveOptions {
  readonly zero?: boolean
  readonly smooth?: boolean
  readonly scientific?: boolean
}

const scientific = "datum.value === 0 ? '0' : format(datum.value, '.1~e')"

function curve(
  id: string,
  section: Figure['section'],
  title: string,
  caption: string,
  unit: string,
  points: readonly Point[],
  options: CurveOptions = {},
): Figure | null {
  const finite = points.filter((point) => Number.isFinite(point.y))
  if (finite.length === 0) return null
  const names = [...new Set(finite.map((point) => point.series))]
  const values = names.flatMap((name) => thin(finite.filter((point) => point.series === name)))
  const several = names.length > 1 || names[0] !== undefined
  const x = {
    field: 'x',
    type: 'quantitative' as const,
    title: 'step',
    scale: { nice: false },
    axis: { tickMinStep: 1, tickCount: 6 },
  }
  const y = {
    field: 'y',
    type: 'quantitative' as const,
    title: unit,
    scale: { zero: options.zero ?? false, nice: 5 },
    axis: { tickCount: 5, ...(options.scientific && { labelExpr: scientific }) },
  }
  const color = several
    ? { field: 'series', type: 'nominal' as const, sort: names as string[] }
    : { value: palette.blue }
  const smooth = options.smooth === true && !several && values.length >= 16
  const half = Math.max(2, Math.round(values.length / 24))
  const layer = smooth
    ? [
        { mark: { type: 'line', strokeWidth: 1, opacity: 0.4 }, encoding: { x, y, color } },
        {
          transform: [
            {
              window: [{ op: 'mean', field: 'y', as: 'mean' }],
              frame: [-half, half],
              sort: [{ field: 'x' }],
            },
          ],
          mark: { type: 'line', strokeWidth: 2.25 },
          encoding: { x, y: { ...y, field: 'mean' }, color },
        },
      ]
    : [
        {
          mark: { type: 'line', ...(values.length / names.length < 16 && { point: { size: 28 } }) },
          encoding: { x, y, color },
        },
      ]
  const thinned = finite.length > values.length ? ' Long series: means of equal bins.' : ''
  const skipped = points.length - finite.length
  const gaps = skipped > 0 ? ` ${skipped} value(s) were not finite.` : ''
  return {
    id,
    title,
    caption: caption + thinned + gaps,
    section,
    wide: false,
    spec: { ...top(values), ...single, layer } as TopLevelSpec,
  }
}

/** Means of equal bins where there are more than maxPoints; the input otherwise. */
export function thin<T extends Point>(points: readonly T[]): T[] {
  if (points.length <= maxPoints) return [...points]
  return Array.from({ length: maxPoints }, (_, bin) => {
    const part = points.slice(
      Math.floor((bin * points.length) / maxPoints),
      Math.floor(((bin + 1) * points.length) / maxPoints),
    )
    const last = part[part.length - 1]!
    return { ...last, y: part.reduce((sum, point) => sum + point.y, 0) / part.length }
  })
}

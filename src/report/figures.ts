/**
 * The figures of a run as Vega-Lite specifications with their data inside: what is drawn can be opened
 * and changed in any Vega-Lite editor. figure-svg.ts turns them into SVG.
 */

import type { TopLevelSpec } from 'vega-lite'
import { houseStyle, palette } from './figure-style.js'
import { modeLabel, qualityLabel, rowLabel } from './labels.js'
import type { RunFiles } from './run-files.js'

export interface Figure {
  /** File name without ending, and anchor in the report. */
  readonly id: string
  readonly title: string
  readonly caption: string
  readonly section: 'result' | 'collect' | 'imitate' | 'internalize' | 'popularity'
  /** Takes the whole width of the page. */
  readonly wide: boolean
  readonly spec: TopLevelSpec
}

interface Point {
  readonly x: number
  readonly y: number
  readonly series?: string
}

const single = { width: 380, height: 190 }
const wide = { width: 800, height: 240 }
const schema = 'https://vega.github.io/schema/vega-lite/v6.json'

/** More points than this cannot be seen at this width; longer runs are drawn as means of equal bins. */
export const maxPoints = 1500

/** Every figure the run has data for; a phase without data has no figure, and the report says so. */
export function figuresOf(run: RunFiles): Figure[] {
  return [
    intervalFigure(run),
    hitFigure(run),
    decileFigure(run),
    ...imitateFigures(run),
    ...internalizeFigures(run),
    ...popularityFigures(run),
  ].filter((figure) => figure !== null)
}

/** HR@1 of each row with its interval. */
function intervalFigure(run: RunFiles): Figure | null {
  const rows = run.summary.table ?? []
  if (rows.length === 0) return null
  const doubled = new Set(rows.map((row) => row.id).filter((id, place, all) => all.indexOf(id) !== place))
  const values = rows.map((row) => ({
    row: doubled.has(row.id) ? `${rowLabel(row.id)} (${modeLabel(row.mode)})` : rowLabel(row.id),
    hr1: row.hr1,
    lo: row.lo95?.hr1 ?? row.hr1,
    hi: row.hi95?.hr1 ?? row.hr1,
    kind: row.mode === 'none' ? 'counting' : 'language model',
  }))
  const y = { field: 'row', type: 'nominal' as const, sort: null, title: null, axis: { grid: true, labelLimit: 240, ...upright } }
  const color = {
    field: 'kind',
    type: 'nominal' as const,
    scale: { domain: ['language model', 'counting'], range: [palette.blue, palette.grey] },
    legend: null,
  }
  return {
    id: 'hr1-intervals',
    title: 'HR@1 with 95 % intervals',
    caption: 'Bootstrap over users. Grey: rows that need no language model.',
    section: 'result',
    wide: true,
    spec: {
      ...top(values),
      width: wide.width - 110,
      height: { step: 24 },
      layer: [
        {
          mark: { type: 'rule', strokeWidth: 2 },
          encoding: { y, x: { field: 'lo', type: 'quantitative', title: 'HR@1 (share of tests)' }, x2: { field: 'hi' }, color },
        },
        {
          mark: { type: 'point', filled: true, size: 70, opacity: 1 },
          encoding: { y, x: { field: 'hr1', type: 'quantitative', scale: { zero: true } }, color },
        },
      ],
    } as TopLevelSpec,
  }
}

const upright = { titleAngle: 0, domain: false, ticks: false }

/** HR@1 over the whole run: validations, and the rollouts of Pattern Internalization. */
function hitFigure(run: RunFiles): Figure | null {
  const imitateSteps = run.imitate.at(-1)?.step ?? 0
  const place = { base: 0, imitate: 0, internalize: imitateSteps }
  const validations = run.validations.map((line) => ({
    x: place[line.after] + (line.after === 'base' ? 0 : line.step),
    y: line.hr1,
    series: 'validation',
  }))
  const rollouts = thin(run.internalize.map((line) => ({ x: imitateSteps + line.step, y: line.hr1, series: 'rollouts in training' })))
  const values = [...rollouts, ...validations.sort((a, b) => a.x - b.x)]
  if (values.length === 0) return null
  const floors = (run.summary.table ?? [])
    .filter((row) => row.id === 'random' || row.id === 'item_knn')
    .map((row) => ({ floor: row.hr1, name: `${rowLabel(row.id)} on the test` }))
  const x = { field: 'x', type: 'quantitative' as const, title: 'training step (imitation, then internalization)', axis: { tickMinStep: 1 } }
  const y = { field: 'y', type: 'quantitative' as const, title: 'HR@1', scale: { zero: true } }
  const color = {
    field: 'series',
    type: 'nominal' as const,
    scale: { domain: ['validation', 'rollouts in training'], range: [palette.blue, palette.amber] },
  }
  const boundary = imitateSteps > 0 && run.internalize.length > 0 ? [{ at: imitateSteps, name: 'internalization begins' }] : []
  const layer = [
    {
      data: { values: floors },
      mark: { type: 'rule', strokeDash: [4, 4], color: palette.grey },
      encoding: { y: { field: 'floor', type: 'quantitative' } },
    },
    {
      data: { values: floors },
      mark: { type: 'text', align: 'right', baseline: 'bottom', dy: -3, fontSize: 10, color: '#6b7280' },
      encoding: { y: { field: 'floor', type: 'quantitative' }, x: { value: wide.width - 50 }, text: { field: 'name' } },
    },
    { data: { values: boundary }, mark: { type: 'rule', color: '#b4bac4' }, encoding: { x: { field: 'at', type: 'quantitative' } } },
    {
      data: { values: boundary },
      mark: { type: 'text', align: 'left', baseline: 'top', dx: 5, fontSize: 10, color: '#6b7280' },
      encoding: { x: { field: 'at', type: 'quantitative' }, y: { value: 0 }, text: { field: 'name' } },
    },
    { mark: { type: 'line' }, encoding: { x, y, color } },
    { transform: [{ filter: "datum.series === 'validation'" }], mark: { type: 'point', filled: true, size: 60, opacity: 1 }, encoding: { x, y, color } },
  ]
  return {
    id: 'hr1-over-training',
    title: 'HR@1 over training',
    caption:
      'Points: validation instances, think-then-score. Amber: share of sampled completions that named the next item (training instances, sampling temperature), which is another quantity and is shown for its trend.',
    section: 'result',
    wide: true,
    spec: { ...top(values), width: wide.width - 50, height: wide.height, layer } as TopLevelSpec,
  }
}

/** Where in the popularity range the collected targets lie. */
function decileFigure(run: RunFiles): Figure | null {
  const deciles = run.collect?.target_deciles
  if (!deciles) return null
  const names = { all: 'all instances', A: 'kept A, unhinted', B: 'kept B, hinted', C: 'kept C, filled' } as const
  const values = (Object.keys(names) as (keyof typeof names)[]).flatMap((key) => {
    const counts = deciles[key] ?? []
    const total = counts.reduce((sum, value) => sum + value, 0)
    return total === 0 ? [] : counts.map((value, place) => ({ decile: place + 1, share: value / total, count: value, series: names[key] }))
  })
  if (values.length === 0) return null
  const domain = Object.values(names).filter((name) => values.some((value) => value.series === name))
  const range = [palette.grey, palette.blue, palette.orange, palette.amber].filter((_, place) => domain.includes(Object.values(names)[place]!))
  return {
    id: 'popularity-deciles',
    title: 'Targets of kept traces by popularity',
    caption:
      'Share of each pass by the popularity decile of the target, rarest items first. A pass that leans right keeps popular targets more often than the instances have them.',
    section: 'collect',
    wide: true,
    spec: {
      ...top(values),
      width: wide.width - 40,
      height: 200,
      mark: { type: 'bar', cornerRadiusEnd: 1 },
      encoding: {
        x: { field: 'decile', type: 'ordinal', title: 'popularity decile of the target (1 rarest, 10 most popular)', axis: { labelAngle: 0 } },
        xOffset: { field: 'series', type: 'nominal', sort: domain },
        y: { field: 'share', type: 'quantitative', title: 'share of the pass', axis: { format: '.0%' } },
        color: { field: 'series', type: 'nominal', scale: { domain, range } },
      },
    } as TopLevelSpec,
  }
}

function imitateFigures(run: RunFiles): (Figure | null)[] {
  const from = (field: 'loss' | 'lr' | 'grad_norm'): Point[] => run.imitate.map((line) => ({ x: line.step, y: line[field] }))
  return [
    curve('sft-loss', 'imitate', 'Loss', 'Negative log-likelihood of the response tokens; the line is a running mean.', 'nats per token', from('loss'), { smooth: true }),
    curve('sft-grad-norm', 'imitate', 'Gradient norm', 'Before clipping.', 'L2 norm', from('grad_norm'), { zero: true, smooth: true }),
    curve('sft-learning-rate', 'imitate', 'Learning rate', 'As applied at each step.', 'learning rate', from('lr'), { zero: true, format: '.1e' }),
  ]
}

function internalizeFigures(run: RunFiles): (Figure | null)[] {
  const lines = run.internalize
  const from = (pick: (line: (typeof lines)[number]) => number, name?: string): Point[] =>
    lines.map((line) => ({ x: line.step, y: pick(line), ...(name !== undefined && { series: name }) }))
  const terms = [...new Set(lines.flatMap((line) => Object.keys(line.reward_terms ?? {})))]
  const termPoints = terms.flatMap((term) => lines.flatMap((line) => {
    const value = line.reward_terms?.[term]
    return value === undefined ? [] : [{ x: line.step, y: value, series: term.replace(/_/g, ' ') }]
  }))
  const clip = [...from((line) => line.clip_ratio_low, 'low side'), ...from((line) => line.clip_ratio_high, 'high side')]
  return [
    curve('rl-reward', 'internalize', 'Reward', 'Mean over the completions of a step; the line is a running mean.', 'reward', from((line) => line.reward), { smooth: true }),
    curve('rl-reward-terms', 'internalize', 'Reward terms', 'Mean of each term before weighting.', 'term value', termPoints),
    curve('rl-kl', 'internalize', 'KL to the reference', 'k3 estimate against the model as it left Pattern Imitation.', 'nats per token', from((line) => line.kl), { zero: true }),
    curve('rl-entropy', 'internalize', 'Entropy', 'Of the next-token distribution, at the sampled tokens.', 'nats per token', from((line) => line.entropy), { zero: true }),
    curve('rl-completion-length', 'internalize', 'Completion length', 'Mean over the completions of a step.', 'tokens', from((line) => line.completion_length), { zero: true }),
    curve('rl-clip-ratio', 'internalize', 'Clip ratio', 'Share of tokens whose ratio was cut.', 'share of tokens', clip, { zero: true }),
    curve('rl-grad-norm', 'internalize', 'Gradient norm', 'Before clipping.', 'L2 norm', from((line) => line.grad_norm), { zero: true }),
    curve('rl-learning-rate', 'internalize', 'Learning rate', 'As applied at each step.', 'learning rate', from((line) => line.lr), { zero: true, format: '.1e' }),
    curve('rl-loss', 'internalize', 'Policy loss', 'Clipped surrogate and KL term; its level says little, its jumps do.', 'loss', from((line) => line.loss)),
  ]
}

interface CurveOptions {
  readonly zero?: boolean
  readonly smooth?: boolean
  readonly format?: string
}

function curve(id: string, section: Figure['section'], title: string, caption: string, unit: string, points: readonly Point[], options: CurveOptions = {}): Figure | null {
  const finite = points.filter((point) => Number.isFinite(point.y))
  if (finite.length === 0) return null
  const names = [...new Set(finite.map((point) => point.series))]
  const values = names.flatMap((name) => thin(finite.filter((point) => point.series === name)))
  const several = names.length > 1 || names[0] !== undefined
  const x = { field: 'x', type: 'quantitative' as const, title: 'step', axis: { tickMinStep: 1 } }
  const y = { field: 'y', type: 'quantitative' as const, title: unit, scale: { zero: options.zero ?? false }, axis: { tickCount: 5, ...(options.format && { format: options.format }) } }
  const color = several ? { field: 'series', type: 'nominal' as const, sort: names as string[] } : { value: palette.blue }
  const smooth = options.smooth === true && !several && values.length >= 16
  const half = Math.max(2, Math.round(values.length / 24))
  const layer = smooth
    ? [
        { mark: { type: 'line', strokeWidth: 1, opacity: 0.4 }, encoding: { x, y, color } },
        {
          transform: [{ window: [{ op: 'mean', field: 'y', as: 'mean' }], frame: [-half, half], sort: [{ field: 'x' }] }],
          mark: { type: 'line', strokeWidth: 2.25 },
          encoding: { x, y: { ...y, field: 'mean' }, color },
        },
      ]
    : [{ mark: { type: 'line', ...(values.length / names.length < 16 && { point: { size: 28 } }) }, encoding: { x, y, color } }]
  const thinned = finite.length > values.length ? ' Long series: means of equal bins.' : ''
  const skipped = points.length - finite.length
  const gaps = skipped > 0 ? ` ${skipped} value(s) were not finite.` : ''
  return { id, title, caption: caption + thinned + gaps, section, wide: false, spec: { ...top(values), ...single, layer } as TopLevelSpec }
}

/** Popularity of what each model recommends: one figure per metric that was recorded for it. */
function popularityFigures(run: RunFiles): (Figure | null)[] {
  const quality = run.summary.quality ?? {}
  const keys = [...new Set(Object.values(quality).flatMap((metrics) => Object.keys(metrics)))]
  const wanted = keys.filter((key) => /^(arp|aplt|gini|pop_?lift)/i.test(key)).slice(0, 4)
  return wanted.map((key) => {
    const values = Object.entries(quality).flatMap(([id, metrics]) => {
      const value = metrics[key]
      return value === undefined || !Number.isFinite(value) ? [] : [{ model: rowLabel(id), value }]
    })
    if (values.length === 0) return null
    const y = { field: 'model', type: 'nominal' as const, sort: null, title: null, axis: { ...upright, labelLimit: 160 } }
    const x = { field: 'value', type: 'quantitative' as const, title: key, axis: { grid: true, tickCount: 5 } }
    return {
      id: `popularity-${key.toLowerCase().replace(/[^a-z0-9]+/g, '-')}`,
      title: `Popularity of recommendations: ${key}`,
      caption: `${qualityLabel(key)}.`,
      section: 'popularity' as const,
      wide: false,
      spec: { ...top(values), width: single.width - 90, height: { step: 26 }, mark: { type: 'bar', height: 14, color: palette.blue }, encoding: { x, y } } as TopLevelSpec,
    }
  })
}

function top(values: readonly object[]): object {
  return { $schema: schema, data: { values }, config: houseStyle }
}

/** Means of equal bins where there are more than maxPoints; the input otherwise. */
export function thin<T extends Point>(points: readonly T[]): T[] {
  if (points.length <= maxPoints) return [...points]
  return Array.from({ length: maxPoints }, (_, bin) => {
    const part = points.slice(Math.floor((bin * points.length) / maxPoints), Math.floor(((bin + 1) * points.length) / maxPoints))
    const last = part[part.length - 1]!
    return { ...last, y: part.reduce((sum, point) => sum + point.y, 0) / part.length }
  })
}

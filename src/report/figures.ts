/**
 * The figures of a run as Vega-Lite specifications with their data inside: what is drawn can be opened
 * and changed in any Vega-Lite editor. figure-svg.ts turns them into SVG.
 */

import type { TopLevelSpec } from 'vega-lite'
import { imitateFigures, internalizeFigures, thin } from './figure-curves.js'
import { type Figure, palette, single, top, wide } from './figure-style.js'
import { fullRowLabel, modeLabel, qualityLabel, rowLabel } from './labels.js'
import type { RunFiles } from './run-files.js'

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
    row: doubled.has(row.id) ? `${fullRowLabel(row)} (${modeLabel(row.mode)})` : fullRowLabel(row),
    hr1: row.hr1,
    lo: row.lo95?.hr1 ?? row.hr1,
    hi: row.hi95?.hr1 ?? row.hr1,
    kind: row.mode === 'none' ? 'counting' : 'language model',
  }))
  const y = {
    field: 'row',
    type: 'nominal' as const,
    sort: null,
    title: null,
    axis: { grid: true, ...upright },
  }
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
      width: wide.width,
      height: 24 * rows.length + 48,
      layer: [
        {
          mark: { type: 'rule', strokeWidth: 2 },
          encoding: {
            y,
            x: { field: 'lo', type: 'quantitative', title: 'HR@1 (share of tests)', axis: { tickCount: 8 } },
            x2: { field: 'hi' },
            color,
          },
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
  const rollouts = thin(
    run.internalize.map((line) => ({
      x: imitateSteps + line.step,
      y: line.hr1,
      series: 'rollouts in training',
    })),
  )
  const values = [...rollouts, ...validations.sort((a, b) => a.x - b.x)]
  if (values.length === 0) return null
  const floors = (run.summary.table ?? [])
    .filter((row) => row.id === 'random' || row.id === 'item_knn')
    .map((row) => ({ floor: row.hr1, name: `${rowLabel(row.id)} on the test` }))
  const x = {
    field: 'x',
    type: 'quantitative' as const,
    title: 'training step (imitation, then internalization)',
    scale: { nice: false },
    axis: { tickMinStep: 1 },
  }
  const y = {
    field: 'y',
    type: 'quantitative' as const,
    title: 'HR@1',
    scale: { zero: true, nice: 5 },
    axis: { tickCount: 5 },
  }
  const color = {
    field: 'series',
    type: 'nominal' as const,
    scale: {
      domain: ['validation', 'rollouts in training'].slice(
        validations.length > 0 ? 0 : 1,
        rollouts.length > 0 ? 2 : 1,
      ),
      range: [palette.blue, palette.amber].slice(validations.length > 0 ? 0 : 1),
    },
  }
  const boundary =
    imitateSteps > 0 && run.internalize.length > 0
      ? [{ at: imitateSteps, name: 'internalization begins' }]
      : []
  const layer = [
    {
      data: { values: floors },
      mark: { type: 'rule', strokeDash: [4, 4], color: palette.grey },
      encoding: { y: { field: 'floor', type: 'quantitative' } },
    },
    {
      data: { values: floors },
      mark: { type: 'text', align: 'right', baseline: 'bottom', dy: -3, fontSize: 10, color: '#6b7280' },
      encoding: {
        y: { field: 'floor', type: 'quantitative' },
        x: { value: 'width' },
        text: { field: 'name' },
      },
    },
    {
      data: { values: boundary },
      mark: { type: 'rule', color: '#b4bac4' },
      encoding: { x: { field: 'at', type: 'quantitative' } },
    },
    {
      data: { values: boundary },
      mark: { type: 'text', align: 'left', baseline: 'top', dx: 5, fontSize: 10, color: '#6b7280' },
      encoding: { x: { field: 'at', type: 'quantitative' }, y: { value: 0 }, text: { field: 'name' } },
    },
    { mark: { type: 'line' }, encoding: { x, y, color } },
    {
      transform: [{ filter: "datum.series === 'validation'" }],
      mark: { type: 'point', filled: true, size: 60, opacity: 1 },
      encoding: { x, y, color },
    },
  ]
  return {
    id: 'hr1-over-training',
    title: 'HR@1 over training',
    caption: [
      'Points: validation instances.',
      ...(rollouts.length > 0
        ? [
            'Amber: share of sampled completions that named the next item (training instances, sampling temperature), which is another quantity and is shown for its trend.',
          ]
        : []),
    ].join(' '),
    section: 'result',
    wide: true,
    spec: { ...top(values), ...wide, layer } as TopLevelSpec,
  }
}

/** Where in the popularity range the collected targets lie. */
function decileFigure(run: RunFiles): Figure | null {
  const deciles = run.collect?.target_deciles
  if (!deciles) return null
  const names = {
    all: 'all instances',
    A: 'kept A, unhinted',
    B: 'kept B, hinted',
    C: 'kept C, filled',
  } as const
  const values = (Object.keys(names) as (keyof typeof names)[]).flatMap((key) => {
    const counts = deciles[key] ?? []
    const total = counts.reduce((sum, value) => sum + value, 0)
    return total === 0
      ? []
      : counts.map((value, place) => ({
          decile: place + 1,
          share: value / total,
          count: value,
          series: names[key],
        }))
  })
  if (values.length === 0) return null
  const domain = Object.values(names).filter((name) => values.some((value) => value.series === name))
  const range = [palette.grey, palette.blue, palette.orange, palette.amber].filter((_, place) =>
    domain.includes(Object.values(names)[place]!),
  )
  return {
    id: 'popularity-deciles',
    title: 'Targets of kept traces by popularity',
    caption:
      'Share of each pass by the popularity decile of the target, rarest items first. A pass that leans right keeps popular targets more often than the instances have them.',
    section: 'collect',
    wide: true,
    spec: {
      ...top(values),
      ...wide,
      height: 264,
      mark: { type: 'bar' },
      encoding: {
        x: {
          field: 'decile',
          type: 'ordinal',
          title: 'popularity decile of the target (1 rarest, 10 most popular)',
          axis: { labelAngle: 0 },
        },
        xOffset: { field: 'series', type: 'nominal', sort: domain },
        y: { field: 'share', type: 'quantitative', title: 'share of the pass', axis: { format: '.0%' } },
        color: { field: 'series', type: 'nominal', scale: { domain, range } },
      },
    } as TopLevelSpec,
  }
}

/** Key, title and the title of the axis. */
const popularityAxes: readonly (readonly [string, string, string])[] = [
  ['arp', 'Average popularity (ARP)', 'training interactions of what is recommended'],
  ['aplt', 'Long tail (APLT)', 'share of recommendations'],
  ['gini', 'Concentration (Gini)', 'Gini of recommended items'],
  ['candidate_lift', 'Popularity against the candidates', 'relative to the mean candidate'],
]

/** Popularity of what each model recommends: one figure per metric that was recorded for it. */
function popularityFigures(run: RunFiles): (Figure | null)[] {
  const quality = run.summary.quality ?? {}
  return popularityAxes.map(([key, title, unit]) => {
    const values = Object.entries(quality).flatMap(([id, metrics]) => {
      const value = metrics[key]
      return value === undefined || !Number.isFinite(value) ? [] : [{ model: rowLabel(id), value }]
    })
    if (values.length === 0) return null
    const y = { field: 'model', type: 'nominal' as const, sort: null, title: null, axis: upright }
    const x = {
      field: 'value',
      type: 'quantitative' as const,
      title: unit,
      axis: { grid: true, tickCount: 5 },
    }
    return {
      id: `popularity-${key.replace('_', '-')}`,
      title,
      caption: `${qualityLabel(key)}.`,
      section: 'popularity' as const,
      wide: false,
      spec: {
        ...top(values),
        width: single.width,
        height: 26 * values.length + 48,
        mark: { type: 'bar', height: 14, color: palette.blue },
        encoding: { x, y },
      } as TopLevelSpec,
    }
  })
}

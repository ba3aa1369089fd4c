/**
 * The look of every figure: one font stack, the Okabe-Ito colours (told apart with any colour vision),
 * thin lines, horizontal grid only. Text and grid colours are set again by the report's style sheet, so
 * that a figure follows light and dark.
 */

import type { TopLevelSpec } from 'vega-lite'

export const fontStack = "Inter, 'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif"

/** Okabe and Ito, without yellow (too pale on white) and black (invisible on dark). */
export const palette = {
  blue: '#0072b2',
  orange: '#d55e00',
  green: '#009e73',
  sky: '#56b4e9',
  purple: '#cc79a7',
  amber: '#e69f00',
  grey: '#8a8f98',
} as const

export const series: readonly string[] = [
  palette.blue,
  palette.orange,
  palette.green,
  palette.purple,
  palette.amber,
  palette.sky,
  palette.grey,
]

const ink = '#3b4252'
const faint = '#e3e6ea'

export const houseStyle = {
  background: 'transparent',
  aria: false,
  font: fontStack,
  padding: { left: 0, right: 10, top: 4, bottom: 2 },
  view: { stroke: null },
  axis: {
    labelColor: ink,
    titleColor: ink,
    labelFontSize: 11,
    titleFontSize: 11,
    titleFontWeight: 'normal' as const,
    titlePadding: 8,
    labelPadding: 5,
    labelLimit: 320,
    gridColor: faint,
    gridWidth: 1,
    domainColor: '#b4bac4',
    tickColor: '#b4bac4',
    tickSize: 4,
  },
  axisX: { grid: false },
  axisY: {
    domain: false,
    ticks: false,
    titleAngle: 0,
    titleAlign: 'left' as const,
    titleAnchor: 'end' as const,
    titleX: 0,
    titleY: -12,
    titleBaseline: 'bottom' as const,
  },
  legend: {
    labelColor: ink,
    titleColor: ink,
    labelFontSize: 11,
    titleFontSize: 11,
    orient: 'bottom' as const,
    direction: 'horizontal' as const,
    symbolStrokeWidth: 3,
    symbolSize: 90,
    columnPadding: 16,
    title: null,
    labelLimit: 320,
    padding: 2,
    offset: 6,
  },
  line: { strokeWidth: 2, strokeJoin: 'round' as const },
  range: { category: [...series] },
}

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

/** Pixels of the whole figure, axes and legend included: the columns of the report, so that text keeps its size. */
export const single = { width: 394, height: 236 }
export const wide = { width: 824, height: 300 }
const schema = 'https://vega.github.io/schema/vega-lite/v6.json'

/** What every specification begins with. */
export function top(values: readonly object[]): object {
  return {
    $schema: schema,
    autosize: { type: 'fit', contains: 'padding' },
    data: { values },
    config: houseStyle,
  }
}

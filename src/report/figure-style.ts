/**
 * The look of every figure: one font stack, the Okabe-Ito colours (told apart with any colour vision),
 * thin lines, horizontal grid only. Text and grid colours are set again by the report's style sheet, so
 * that a figure follows light and dark.
 */

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
  padding: { left: 4, right: 12, top: 6, bottom: 4 },
  view: { stroke: null },
  axis: {
    labelColor: ink,
    titleColor: ink,
    labelFontSize: 11,
    titleFontSize: 11,
    titleFontWeight: 'normal' as const,
    titlePadding: 8,
    labelPadding: 5,
    gridColor: faint,
    gridWidth: 1,
    domainColor: '#b4bac4',
    tickColor: '#b4bac4',
    tickSize: 4,
  },
  axisX: { grid: false },
  axisY: { domain: false, ticks: false, titleAngle: 0, titleAlign: 'left' as const, titleAnchor: 'end' as const, titleX: 0, titleY: -12, titleBaseline: 'bottom' as const },
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
    padding: 2,
    offset: 6,
  },
  line: { strokeWidth: 2, strokeJoin: 'round' as const },
  range: { category: [...series] },
}

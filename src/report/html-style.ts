/** The style sheet of report.html: one column of text, wide tables and figures, light and dark, printable. */

import { fontStack } from './figure-style.js'

export const styleSheet = `
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1c2330; --soft: #5b6472; --faint: #e6e8ec; --wash: #f6f7f9;
  --accent: #0072b2; --hit: #00795a; --miss: #b84a00; --axis: #b4bac4;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #12151b; --ink: #e4e7ec; --soft: #9aa3b2; --faint: #2a2f3a; --wash: #1a1e26;
    --accent: #56b4e9; --hit: #35c79c; --miss: #f0915a; --axis: #4a5160;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-padding-top: 1rem; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 400 1rem/1.6 ${fontStack}; font-feature-settings: "kern", "liga"; }
main, header, footer { max-width: 54rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 4rem; padding-bottom: .5rem; }
.kicker { margin: 0 0 .75rem; color: var(--accent); font-size: .8125rem; font-weight: 600; letter-spacing: .06em; text-transform: uppercase; }
h1 { margin: 0 0 1rem; font-size: clamp(1.75rem, 4.5vw, 2.5rem); font-weight: 650; line-height: 1.15; letter-spacing: -.022em; text-wrap: balance; overflow-wrap: anywhere; }
.lead { margin: 0; max-width: 46rem; color: var(--soft); font-size: 1.125rem; line-height: 1.55; }
nav { margin: 1.75rem 0 0; padding: .75rem 0; border-block: 1px solid var(--faint); font-size: .875rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: 0; padding: 0; list-style: none; }
a { color: inherit; text-decoration-color: var(--axis); text-underline-offset: .2em; }
nav a { color: var(--soft); text-decoration: none; }
a:hover, nav a:hover { color: var(--accent); }
section { padding-top: 2.75rem; }
h2 { margin: 0 0 1rem; font-size: 1.5rem; font-weight: 650; letter-spacing: -.014em; line-height: 1.25; }
h3 { margin: 2.25rem 0 .75rem; font-size: 1.0625rem; font-weight: 650; }
p { margin: 0 0 1rem; max-width: 46rem; overflow-wrap: anywhere; }
main ul { margin: 0 0 1.25rem; padding-left: 1.2rem; max-width: 46rem; }
main li { margin: .2rem 0; overflow-wrap: anywhere; }
.headline { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: 1.5rem; margin: 0 0 2rem; }
.headline div { border-top: 2px solid var(--accent); padding-top: .75rem; }
.headline dt { color: var(--soft); font-size: .875rem; }
.headline dd { margin: 0; }
.headline .value { font-size: 2.125rem; font-weight: 600; line-height: 1.2; letter-spacing: -.02em; font-variant-numeric: tabular-nums; }
.headline .detail { color: var(--soft); font-size: .8125rem; font-variant-numeric: tabular-nums; }
.facts { display: grid; grid-template-columns: minmax(8rem, max-content) 1fr; gap: .35rem 1.5rem; margin: 0 0 1.5rem; font-size: .9375rem; }
.facts dt { color: var(--soft); overflow-wrap: anywhere; }
.facts dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
.warning { margin: 0 0 1.75rem; padding: .9rem 1.1rem; border-left: 3px solid var(--miss); background: var(--wash); font-size: .9375rem; }
.warning strong { display: block; margin-bottom: .25rem; }
.warning ul { margin: 0; }
.scroll { overflow-x: auto; margin: 0 0 1.75rem; }
table { width: 100%; border-collapse: collapse; font-size: .9375rem; font-variant-numeric: tabular-nums; }
table.narrow { width: auto; min-width: min(100%, 26rem); }
table.narrow .number { padding-left: 1.5rem; }
caption { padding: 0 0 .6rem; color: var(--soft); font-size: .875rem; text-align: left; line-height: 1.5; }
th, td { padding: .5rem .9rem .5rem 0; text-align: left; vertical-align: baseline; border-bottom: 1px solid var(--faint); }
th:last-child, td:last-child { padding-right: 0; }
thead th { border-bottom: 1px solid var(--axis); color: var(--soft); font-size: .8125rem; font-weight: 500; vertical-align: bottom; }
tbody th { font-weight: 500; }
.number { text-align: right; white-space: nowrap; }
.quiet { color: var(--soft); }
.strong { font-weight: 650; }
.detail { display: block; color: var(--soft); font-size: .75rem; font-weight: 400; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 23rem), 1fr)); gap: 2rem 2.25rem; margin: 1.5rem 0 2rem; }
figure { margin: 0; min-width: 0; }
figure.wide { grid-column: 1 / -1; }
figure svg { display: block; width: 100%; height: auto; overflow: visible; }
.figure-title { margin: 0 0 .4rem; font-size: .9375rem; font-weight: 600; }
figcaption { margin-top: .4rem; color: var(--soft); font-size: .8125rem; line-height: 1.45; }
figure svg .role-axis-label text, figure svg .role-axis-title text, figure svg .role-legend-label text, figure svg .mark-text text { fill: var(--soft); }
figure svg .role-axis-grid line { stroke: var(--faint); }
figure svg .role-axis-domain line, figure svg .role-axis-tick line { stroke: var(--axis); }
@media screen and (prefers-color-scheme: dark) {
  figure svg [stroke="#0072b2"] { stroke: #3d9fdd; }
  figure svg [fill="#0072b2"] { fill: #3d9fdd; }
}
.followed, .sample { margin: 0 0 1.75rem; padding: 1.1rem 1.25rem 1.25rem; border: 1px solid var(--faint); border-radius: .5rem; break-inside: avoid; }
.asked { margin: 0 0 1rem; font-size: .875rem; color: var(--soft); max-width: none; }
.asked b { color: var(--ink); font-weight: 600; }
.steps { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 14rem), 1fr)); gap: 1.25rem; }
.step { min-width: 0; }
.step h4 { display: flex; justify-content: space-between; gap: .75rem; margin: 0 0 .5rem; padding-bottom: .4rem; border-bottom: 1px solid var(--faint); font-size: .875rem; font-weight: 600; }
.verdict { font-weight: 600; white-space: nowrap; }
.hit { color: var(--hit); }
.miss { color: var(--miss); }
blockquote { margin: 0 0 .75rem; font-size: .9375rem; line-height: 1.55; white-space: pre-line; overflow-wrap: anywhere; }
.answer { margin: 0; font-size: .9375rem; }
.answer span { color: var(--soft); }
details { margin-top: .9rem; color: var(--soft); font-size: .8125rem; }
summary { cursor: pointer; }
.chain { margin: .6rem 0; font-size: .92em; }
.chain caption { text-align: left; color: var(--soft); padding-bottom: .2rem; }
.chain th, .chain td { padding: .1rem .8rem .1rem 0; text-align: left; vertical-align: top; border: 0; }
.chain .rating { font-variant-numeric: tabular-nums; }
.chain .thought { font-style: italic; }
.samples { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 23rem), 1fr)); gap: 1.25rem; }
.samples .sample { margin: 0; }
pre { margin: 0 0 1.5rem; padding: 1rem 1.1rem; overflow-x: auto; background: var(--wash); border-radius: .5rem; font: 400 .8125rem/1.55 ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace; }
footer { margin-top: 3.5rem; padding-top: 1.25rem; padding-bottom: 4rem; border-top: 1px solid var(--faint); color: var(--soft); font-size: .8125rem; }
@media (max-width: 36rem) {
  header { padding-top: 2.25rem; }
  .facts { grid-template-columns: 1fr; gap: 0; }
  .facts dd { margin-bottom: .6rem; }
}
@media print {
  :root { --paper: #fff; --ink: #000; --soft: #444; --faint: #ddd; --wash: #f6f6f6; --accent: #005a8c; --hit: #00613f; --miss: #933b00; --axis: #999; }
  body { font-size: 10pt; }
  main, header, footer { max-width: none; padding-inline: 0; }
  nav { display: none; }
  header { padding-top: 0; }
  section { padding-top: 1.5rem; }
  h2, h3, caption, .figure-title { break-after: avoid; }
  figure, tr, .step, .warning { break-inside: avoid; }
  .scroll { overflow: visible; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; }
  @page { margin: 18mm; }
}
`

/**
 * report.html: one file, no script, nothing loaded from anywhere (the policy in its head forbids both);
 * figures are inline SVG. Everything from outside passes the escaping template of html-text.ts.
 */

import type { DrawnChain } from '../methods/method.js'
import type { SampleLine } from '../phases/run/run-record.js'
import { walkOf } from './chain-text.js'
import type { Figure } from './figure-style.js'
import { styleSheet } from './html-style.js'
import { escapeHtml, type Html, html, trusted } from './html-text.js'
import { rowLabel } from './labels.js'
import type { Followed } from './sample.js'
import type { Block, Cell, Section, Story } from './story-blocks.js'

export const contentPolicy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

export type FigureSvgs = ReadonlyMap<string, string>

/** `svgs` by figure id. */
export function htmlReport(story: Story, svgs: FigureSvgs): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${trusted(contentPolicy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${story.title}</title>
<style>${trusted(styleSheet)}</style>
</head>
<body>
<header>
<p class="kicker">reasonrec run report</p>
<h1>${story.title}</h1>
<p class="lead">${story.lead}</p>
<nav aria-label="Sections"><ul>${story.sections.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li>`)}</ul></nav>
</header>
<main>
${story.sections.map((section) => sectionHtml(section, svgs))}
</main>
<footer>Written by reasonrec from the files of the run directory. The specification of each figure, with its data, lies in figures/ beside this file; the tables are in table.csv and table.json.</footer>
</body>
</html>
`.markup
}

function sectionHtml({ id, title, blocks }: Section, svgs: FigureSvgs): Html {
  return html`<section id="${id}" aria-labelledby="${id}-title">
<h2 id="${id}-title">${title}</h2>
${blocks.map((block) => blockHtml(block, svgs))}
</section>
`
}

function blockHtml(block: Block, svgs: FigureSvgs): Html {
  switch (block.kind) {
    case 'text':
      return html`<p>${block.text}</p>\n`
    case 'list':
      return html`<ul>${block.items.map((item) => html`<li>${item}</li>`)}</ul>\n`
    case 'warning':
      return html`<div class="warning" role="note"><strong>${block.title}</strong><ul>${block.items.map((item) => html`<li>${item}</li>`)}</ul></div>\n`
    case 'headline':
      return html`<dl class="headline">${block.entries.map(
        ({ label, value, detail }) =>
          html`<div><dt>${label}</dt><dd class="value">${value}</dd><dd class="detail">${detail}</dd></div>`,
      )}</dl>\n`
    case 'facts':
      return html`<dl class="facts">${block.entries.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>\n`
    case 'table':
      return tableHtml(block)
    case 'figures':
      return html`<div class="figures">${block.figures.map((figure) => figureHtml(figure, svgs.get(figure.id)))}</div>\n`
    case 'followed':
      return followedHtml(block.followed)
    case 'samples':
      return html`<h3>${block.title}</h3>\n<div class="samples">${block.samples.map(
        (sample) =>
          html`<article class="sample">${askedHtml(sample)}${stepHtml(sample)}${candidatesHtml(sample)}</article>`,
      )}</div>\n`
    case 'code':
      return html`<pre><code>${block.text}</code></pre>\n`
  }
}

function tableHtml(block: Block & { kind: 'table' }): Html {
  const kind = (column: number): Html | false => block.numeric[column] === true && trusted(' class="number"')
  const cell = (value: Cell | string, column: number): Html => {
    const { text, detail, strong, quiet } = typeof value === 'string' ? ({ text: value } as Cell) : value
    const classes = [block.numeric[column] && 'number', strong && 'strong', quiet && 'quiet']
      .filter(Boolean)
      .join(' ')
    const mark = classes ? html` class="${classes}"` : ''
    const inside = html`${text}${detail !== undefined && html`<span class="detail">${detail}</span>`}`
    return column === 0 && block.head.length > 2
      ? html`<th scope="row"${mark}>${inside}</th>`
      : html`<td${mark}>${inside}</td>`
  }
  return html`<div class="scroll"><table${block.head.length <= 3 && block.numeric.includes(true) && trusted(' class="narrow"')}>
<caption>${block.caption}</caption>
<thead><tr>${block.head.map((text, column) => html`<th scope="col"${kind(column)}>${text}</th>`)}</tr></thead>
<tbody>
${block.rows.map((row) => html`<tr>${row.map(cell)}</tr>\n`)}</tbody>
</table></div>
`
}

function figureHtml(figure: Figure, svg: string | undefined): Html {
  if (svg === undefined) return html``
  // The label is escaped by hand: it goes into markup that Vega wrote.
  const labelled = svg.replace(
    /^<svg /,
    `<svg role="img" aria-label="${escapeHtml(`${figure.title}. ${figure.caption}`)}" `,
  )
  return html`<figure id="figure-${figure.id}" class="${figure.wide ? 'wide' : 'single'}">
<p class="figure-title">${figure.title}</p>
${trusted(labelled)}
<figcaption>${figure.caption}</figcaption>
</figure>
`
}

function followedHtml({ steps }: Followed): Html {
  const first = steps[0]
  if (!first) return html``
  return html`<article class="followed">${askedHtml(first)}<div class="steps">${steps.map(stepHtml)}</div>${candidatesHtml(first)}</article>\n`
}

function askedHtml(sample: SampleLine): Html {
  return html`<p class="asked"><b>History</b> ${sample.history.join(' → ')}<br><b>Next in truth</b> ${sample.target}</p>`
}

function stepHtml(sample: SampleLine): Html {
  const step = sample.step > 0 || sample.watched ? `, step ${sample.step}` : ''
  const reward = sample.reward === undefined ? '' : ` · reward ${sample.reward.toFixed(3)}`
  return html`<div class="step"><h4><span>${rowLabel(sample.model)}${step}${reward}</span>${verdict(sample.hit)}</h4>
<blockquote>${sample.reasoning || '(no reasoning that could be read)'}</blockquote>
${(sample.chains ?? []).map(chainHtml)}<p class="answer"><span>Answer</span> ${sample.answer || '(none)'}</p></div>`
}

function chainHtml(chain: DrawnChain): Html {
  const caption = `${walkOf(chain)}, ${chain.closed ? 'closed' : 'open'}`
  return html`<table class="chain"><caption>${caption}</caption><tbody>${chain.hops.map(
    ({ hop, title, rating, thought }) =>
      html`<tr><th scope="row">${hop}</th><td class="rating">${rating ?? '?'}</td><td>${title}</td><td class="thought">${thought ?? ''}</td></tr>`,
  )}</tbody></table>\n`
}

function verdict(hit: boolean): Html {
  return hit ? html`<span class="verdict hit">✓ hit</span>` : html`<span class="verdict miss">✗ miss</span>`
}

function candidatesHtml(sample: SampleLine): Html {
  if (sample.candidates.length === 0) return html``
  return html`<details><summary>${sample.candidates.length} candidates</summary>${sample.candidates.join(' · ')}</details>`
}

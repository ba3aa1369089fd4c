/**
 * report.md: the story of report.html as Markdown (GitHub's dialect), figures as files under figures/.
 * Text from outside is escaped so that it can neither become markup nor a link.
 */

import type { ResultRow } from '../eval/result-row.js'
import type { DrawnChain } from '../methods/method.js'
import type { SampleLine } from '../phases/run/run-record.js'
import { walkOf } from './chain-text.js'
import { withoutControls } from './html-text.js'
import { fullRowLabel, modeLabel, rowLabel } from './labels.js'
import { count, interval, metric, percent } from './numbers.js'
import type { Block, Cell, Section, Story } from './story-blocks.js'
import { shownMetrics } from './table.js'
import { terminalLine } from './terminal-text.js'

export function markdownReport(story: Story): string {
  const parts = [
    `# ${escapeMarkdown(story.title)}`,
    escapeMarkdown(story.lead),
    ...story.sections.map(sectionMarkdown),
  ]
  return `${parts.join('\n\n')}\n`
}

/** The result table alone, for docs and issues. */
export function markdownTable(rows: readonly ResultRow[]): string {
  const metrics = shownMetrics(rows)
  const head = ['row', 'answers by', 'n', ...metrics.map(([, label]) => label), 'parsed']
  const cells = rows.map((row) => [
    fullRowLabel(row),
    modeLabel(row.mode),
    count(row.n),
    ...metrics.map(([key]) => ({
      text: metric(row[key]),
      detail: interval(row.lo95?.[key], row.hi95?.[key]),
    })),
    percent(row.parse_rate),
  ])
  return pipeTable(
    head,
    head.map((_, column) => column > 1),
    cells,
  )
}

function sectionMarkdown({ title, blocks }: Section): string {
  return [`## ${escapeMarkdown(title)}`, ...blocks.map(blockMarkdown)].join('\n\n')
}

function blockMarkdown(block: Block): string {
  switch (block.kind) {
    case 'text':
      return escapeMarkdown(block.text)
    case 'list':
      return block.items.map((item) => `- ${escapeMarkdown(item)}`).join('\n')
    case 'warning':
      return `**${escapeMarkdown(block.title)}**\n\n${block.items.map((item) => `- ${escapeMarkdown(item)}`).join('\n')}`
    case 'headline':
      return block.entries
        .map(
          ({ label, value, detail }) =>
            `- ${escapeMarkdown(label)}: **${escapeMarkdown(value)}** ${escapeMarkdown(detail)}`,
        )
        .join('\n')
    case 'facts':
      return block.entries
        .map(([name, value]) => `- ${escapeMarkdown(name)}: ${escapeMarkdown(value)}`)
        .join('\n')
    case 'table':
      return `${escapeMarkdown(block.caption)}\n\n${pipeTable(block.head, block.numeric, block.rows)}`
    case 'figures':
      return block.figures
        .map(
          ({ id, title, caption }) =>
            `![${escapeMarkdown(title)}](figures/${id}.svg)\n\n${escapeMarkdown(`${title}. ${caption}`)}`,
        )
        .join('\n\n')
    case 'followed': {
      const [first] = block.followed.steps
      return first ? [asked(first), ...block.followed.steps.map(step)].join('\n\n') : ''
    }
    case 'samples':
      return [
        `### ${escapeMarkdown(block.title)}`,
        ...block.samples.flatMap((sample) => [asked(sample), step(sample)]),
      ].join('\n\n')
    case 'code':
      return fenced(block.text)
  }
}

function asked(sample: SampleLine): string {
  return `History: ${sample.history.map(escapeMarkdown).join(' → ')}. Next in truth: ${escapeMarkdown(sample.target)}.`
}

function chainTable(chain: DrawnChain): string {
  const cell = (text: string): string => escapeMarkdown(text).replace(/\s+/gu, ' ')
  const rows = chain.hops.map(
    ({ hop, title, rating, thought }) =>
      `> | ${hop} | ${rating ?? '?'} | ${cell(title)} | ${cell(thought ?? '')} |`,
  )
  return [
    `> ${walkOf(chain)}, ${chain.closed ? 'closed' : 'open'}`,
    '>',
    '> | hop | rating | title | thought |',
    '> |---|---|---|---|',
    ...rows,
  ].join('\n')
}

function step(sample: SampleLine): string {
  const at = sample.step > 0 || sample.watched ? `, step ${sample.step}` : ''
  const text = escapeMarkdown(sample.reasoning) || '(no reasoning that could be read)'
  const chains = (sample.chains ?? []).map((chain) => `${chainTable(chain)}\n>\n`).join('')
  return `> ${escapeMarkdown(rowLabel(sample.model))}${at}, **${sample.hit ? 'hit' : 'miss'}**: ${text}\n>\n${chains}> Answer: ${escapeMarkdown(sample.answer) || '(none)'}`
}

function pipeTable(
  head: readonly string[],
  numeric: readonly boolean[],
  rows: readonly (readonly (Cell | string)[])[],
): string {
  const cell = (value: Cell | string): string => {
    if (typeof value === 'string') return escapeMarkdown(value)
    const text = value.strong ? `**${escapeMarkdown(value.text)}**` : escapeMarkdown(value.text)
    return value.detail === undefined ? text : `${text} ${escapeMarkdown(value.detail)}`
  }
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [
    line(head.map(escapeMarkdown)),
    line(numeric.map((right) => (right ? '---:' : '---'))),
    ...rows.map((row) => line(row.map(cell))),
  ].join('\n')
}

/** One line; punctuation that could begin markup, HTML, a table cell or a bare link is escaped. */
export function escapeMarkdown(raw: string): string {
  return terminalLine(raw)
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
    .replace(/[\\`*_[\]{}|#~$!]/g, '\\$&')
    .replace(/\b(https?|ftp|mailto)(:)/gi, '$1\\$2')
    .replace(/\b(www)\./gi, '$1\\.')
    .replace(/@/g, '\\@')
    .replace(/^([-+=])/, '\\$1')
    .replace(/^(\d+)([.)])(?=\s|$)/, '$1\\$2')
}

/** A fence longer than any run of backticks inside. */
function fenced(text: string): string {
  const clean = withoutControls(text).trimEnd()
  const longest = Math.max(2, ...[...clean.matchAll(/`+/g)].map(([run]) => run.length))
  const fence = '`'.repeat(longest + 1)
  return `${fence}yaml\n${clean}\n${fence}`
}

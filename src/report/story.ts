/**
 * The report as data: sections of plain blocks in the order they are read. html.ts and markdown.ts write
 * the same story; nothing here knows about either. All text in blocks is unescaped.
 */

import type { SetFacts } from '../phases/run/run-record.js'
import { publishedComparison } from './comparison.js'
import type { Figure } from './figure-style.js'
import { judgeSection } from './judge-text.js'
import { fullRowLabel, isCounted, modeLabel, rowLabel, storyModels } from './labels.js'
import {
  count,
  interval,
  metric,
  parameters,
  percent,
  probability,
  signed,
  signedInterval,
} from './numbers.js'
import type { RunFiles } from './run-files.js'
import { chooseSamples } from './sample.js'
import { auditSection } from './story-audit.js'
import { type Block, figuresBlock, type Section, type Story } from './story-blocks.js'
import { originBlocks } from './story-origin.js'
import {
  collectionSection,
  costSection,
  imitationSection,
  internalizationSection,
  qualitySection,
} from './story-phases.js'
import { differenceName, excludesZero, metricLabel, setsName, shownMetrics } from './table.js'

export function storyOf(run: RunFiles, figures: readonly Figure[]): Story {
  const dataset = setsName(run.summary)
  const model = run.summary.model?.name
  const subject = [dataset, model].filter((name) => name !== undefined).join(' · ')
  return {
    title: subject ? `Reasoning recommender: ${subject}` : `Reasoning recommender: ${run.name}`,
    lead: lead(run),
    sections: [
      whatWasRun(run),
      results(run, figures),
      auditSection(run),
      ...(run.summary.baselines_only
        ? []
        : [
            collectionSection(run, figures),
            imitationSection(run, figures),
            internalizationSection(run, figures),
          ]),
      samplesSection(run),
      qualitySection(run, figures),
      judgeSection(run),
      costSection(run),
      configSection(run),
    ].filter((section) => section.blocks.length > 0),
  }
}

function resultsOf({ dataset, tested }: RunFiles['summary']): string {
  return tested
    ? `Test results on ${tested.name}; the trained models learned from ${dataset?.name}, the counted rows from ${tested.name}`
    : 'Test results'
}

/** The row of a model under the mode the story follows: thinking first, where it was judged so. */
function modelRow(run: RunFiles, id: string) {
  const rows = run.summary.table?.filter((row) => row.id === id) ?? []
  return (['think_score', 'score', 'free', 'pointwise'] as const).flatMap(
    (mode) => rows.find((row) => row.mode === mode) ?? [],
  )[0]
}

function lead(run: RunFiles): string {
  if (!run.finished) {
    const done = [
      run.collect && 'Reasoning Collection',
      run.imitate.length > 0 && 'Pattern Imitation',
      run.internalize.length > 0 && 'Pattern Internalization',
    ].filter((name) => typeof name === 'string')
    return done.length > 0
      ? `An unfinished run: there are records of ${done.join(', ')}, and no final evaluation.`
      : 'An unfinished run, without a record of any phase.'
  }
  if (run.summary.baselines_only)
    return 'Baselines alone, on the tests, candidates and intervals of every other run: no phase of a method was run, and nothing here is its result.'
  const base = modelRow(run, 'base')
  const last = modelRow(run, 'internalized') ?? modelRow(run, 'imitated')
  if (!base || !last) return 'A finished run.'
  const change = run.summary.differences?.find(
    (d) =>
      d.metric === 'hr1' &&
      d.a.id === last.id &&
      d.b.id === 'base' &&
      d.a.mode === last.mode &&
      d.b.mode === base.mode,
  )
  const verdict = change
    ? `a paired difference of ${signed(change.difference)} ${signedInterval(change.lo95, change.hi95)}, which ${excludesZero(change) ? 'excludes' : 'does not exclude'} zero`
    : 'the paired difference was not recorded'
  return `HR@1 went from ${metric(base.hr1)} (base model) to ${metric(last.hr1)} (${rowLabel(last.id).toLowerCase()}; ${modeLabel(last.mode)}; n = ${count(last.n)}): ${verdict}. ${againstCounting(run, last.hr1)}`.trim()
}

/** Says plainly whether the language model beats counting. */
function againstCounting(run: RunFiles, hr1: number): string {
  const floors = run.summary.table?.filter((row) => isCounted(row) && row.id !== 'oracle') ?? []
  const best = [...floors].sort((a, b) => b.hr1 - a.hr1)[0]
  if (!best) return ''
  const relation = hr1 > best.hr1 ? 'which it exceeds' : 'which it does not reach'
  return `The best row that needs no language model is ${rowLabel(best.id)} with ${metric(best.hr1)}, ${relation}.`
}

function whatWasRun(run: RunFiles): Section {
  const { dataset, tested, model, config_hash: hash, environment } = run.summary
  const rows = run.summary.baselines_only ? [] : storyModels.flatMap((id) => modelRow(run, id) ?? [])
  const headline: Block[] =
    rows.length > 0
      ? [
          {
            kind: 'headline',
            entries: rows.map((row) => ({
              label: `${rowLabel(row.id)} HR@1`,
              value: metric(row.hr1),
              detail: `${interval(row.lo95?.hr1, row.hi95?.hr1)} 95 %`,
            })),
          },
        ]
      : []
  const facts: [string, string][] = []
  if (model)
    facts.push([
      'Model',
      `${model.name}, ${model.family}, ${parameters(model.parameters)} parameters, vocabulary of ${count(model.vocab)}`,
    ])
  if (dataset) facts.push([tested ? 'Trained on' : 'Data', setFacts(dataset)])
  if (tested) facts.push(['Tested on', setFacts(tested)])
  facts.push(['Run', run.summary.run ?? run.name])
  if (hash) facts.push(['Configuration hash', hash])
  for (const [key, value] of Object.entries(environment ?? {})) facts.push([key, String(value)])
  const notes = [
    ...(dataset?.notes ?? []).map((text) => (tested ? `${dataset?.name}: ${text}` : text)),
    ...(tested?.notes ?? []).map((text) => `${tested?.name}: ${text}`),
    ...(run.summary.truncated ?? []).map((text) => `Truncated: ${text}`),
  ]
  return {
    id: 'run',
    title: 'What was run',
    blocks: [
      ...headline,
      ...(run.missing.length > 0
        ? [
            {
              kind: 'warning' as const,
              title: 'Missing or unreadable in this run directory',
              items: run.missing,
            },
          ]
        : []),
      { kind: 'facts', entries: facts },
      ...(notes.length > 0
        ? [
            { kind: 'text' as const, text: 'Notes on the data, as it was read:' },
            { kind: 'list' as const, items: notes },
          ]
        : []),
      ...(run.summary.baselines_only ? [] : originBlocks(run.config)),
    ],
  }
}

function setFacts({ name, items, train, valid, test }: SetFacts): string {
  return `${name}: ${count(items)} items; instances: ${count(train)} train, ${count(valid)} validation, ${count(test)} test`
}

function results(run: RunFiles, figures: readonly Figure[]): Section {
  const table = run.summary.table ?? []
  const figure = figuresBlock(figures, 'result')
  if (table.length === 0) {
    return {
      id: 'result',
      title: 'Result',
      blocks: [
        { kind: 'text', text: 'There is no result table: the final evaluation has not been run.' },
        ...figure,
      ],
    }
  }
  const metrics = shownMetrics(table)
  const bests = Object.fromEntries(
    metrics.map(([key]) => [
      key,
      Math.max(...table.filter((row) => !isCounted(row)).map((row) => row[key] ?? 0)),
    ]),
  )
  const rows = table.map((row) => [
    { text: fullRowLabel(row), quiet: isCounted(row) },
    { text: modeLabel(row.mode), quiet: true },
    { text: count(row.n), quiet: true },
    ...metrics.map(([key]) => ({
      text: metric(row[key]),
      detail: interval(row.lo95?.[key], row.hi95?.[key]),
      strong: !isCounted(row) && row[key] === bests[key],
    })),
    { text: percent(row.parse_rate), quiet: true },
  ])
  const blocks: Block[] = [
    {
      kind: 'table',
      caption: `${resultsOf(run.summary)}. Brackets: 95 % bootstrap intervals, users drawn with replacement. Parsed: share of answers that named a candidate in the asked form.`,
      head: ['Row', 'Answers by', 'n', ...metrics.map(([, label]) => label), 'Parsed'],
      numeric: [false, false, true, ...metrics.map(() => true), true],
      rows,
    },
  ]
  const { differences } = run.summary
  if (differences?.length) blocks.push(differencesTable(differences))
  else
    blocks.push({
      kind: 'text',
      text: 'Paired differences were not recorded for this run; overlapping intervals above do not by themselves mean that two rows are equal.',
    })
  blocks.push(...figure)
  const comparison = publishedComparison(run.summary)
  if (comparison) {
    blocks.push({
      kind: 'table',
      caption: comparison.title,
      head: ['Model', 'Source', 'n', 'HR@1'],
      numeric: [false, false, true, true],
      rows: comparison.rows.map((row) => [
        { text: row.name, strong: row.kind === 'ours', quiet: row.kind === 'counting' },
        { text: row.kind === 'ours' ? 'this run' : row.note, quiet: true },
        { text: count(row.n), quiet: true },
        {
          text: metric(row.hr1),
          strong: row.kind === 'ours',
          ...(row.lo95 !== undefined && { detail: interval(row.lo95, row.hi95) }),
        },
      ]),
    })
    blocks.push(...comparison.remarks.map((text) => ({ kind: 'text' as const, text })))
  }
  return { id: 'result', title: 'Result', blocks }
}

function differencesTable(differences: NonNullable<RunFiles['summary']['differences']>): Block {
  return {
    kind: 'table',
    caption:
      'Paired differences on the same tests; an interval without zero in bold. p is two-sided, by bootstrap over users.',
    head: ['Difference', 'Metric', 'Value', '95 %', 'p', 'n'],
    numeric: [false, false, true, true, true, true],
    rows: differences.map((d) => [
      differenceName(d),
      metricLabel(d.metric),
      { text: signed(d.difference), strong: excludesZero(d) },
      signedInterval(d.lo95, d.hi95),
      probability(d.p),
      { text: count(d.n), quiet: true },
    ]),
  }
}

function samplesSection(run: RunFiles): Section {
  const { followed, hits, misses } = chooseSamples(run.samples)
  const blocks: Block[] = []
  if (followed.length > 0) {
    blocks.push({
      kind: 'text',
      text: 'The same person and the same candidates, asked of each model in turn. Those whose outcome changes come first; none was chosen for how it reads.',
    })
    blocks.push(...followed.map((one) => ({ kind: 'followed' as const, followed: one })))
  }
  if (hits.length > 0) blocks.push({ kind: 'samples', title: 'Hits', samples: hits })
  if (misses.length > 0) blocks.push({ kind: 'samples', title: 'Misses', samples: misses })
  if (blocks.length === 0) blocks.push({ kind: 'text', text: 'No sample was recorded.' })
  return { id: 'samples', title: 'Samples of reasoning', blocks }
}

function configSection(run: RunFiles): Section {
  return {
    id: 'config',
    title: 'Configuration as run',
    blocks:
      run.config === null
        ? [{ kind: 'text', text: 'config.yaml is missing.' }]
        : [{ kind: 'code', text: run.config }],
  }
}

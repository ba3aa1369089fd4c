/** The section of the report that says whether the answers could be had without reading the history. */

import type { Finding } from '../eval/audit/findings.js'
import { modeLabel, rowLabel } from './labels.js'
import { count, metric, percent, probability } from './numbers.js'
import type { RunFiles } from './run-files.js'
import type { Block, Section } from './story-blocks.js'

const verdicts = {
  clean: 'No probe found a way to the answer that does not read the history.',
  warn: 'The answer could be had from something that is not shown here but easily is elsewhere, or some tests are not what they look like.',
  leak: 'The answer can be had without reading the history from lists, titles or places that come with the data: read every number with the findings below, and published numbers on these lists too.',
} as const

export function auditSection(run: RunFiles): Section {
  const { audit, dataset, tested } = run.summary
  const of = (name: string | undefined): string => (tested ? ` on ${name}` : '')
  return {
    id: 'audit',
    title: 'Leak audit',
    blocks: [
      ...(audit
        ? [
            {
              kind: 'text' as const,
              text: `Verdict${of(tested?.name)}: ${audit.verdict}. ${verdicts[audit.verdict]}`,
            },
            ...findingBlocks(audit.findings),
            ...(audit.trained
              ? [
                  {
                    kind: 'text' as const,
                    text: `Verdict${of(dataset?.name)}, which only trains: ${audit.trained.verdict}. Its findings concern the table by what a model could learn from it, not by its own lists.`,
                  },
                  ...findingBlocks(audit.trained.findings),
                ]
              : []),
          ]
        : []),
      ...placeBlocks(run),
    ],
  }
}

function findingBlocks(findings: readonly Finding[]): Block[] {
  const grave = findings.filter(({ level }) => level !== 'note')
  const notes = findings.filter(({ level }) => level === 'note')
  const where = ({ part }: Finding): string => (part === null ? '' : ` (${part})`)
  return [
    ...(grave.length > 0
      ? [
          {
            kind: 'warning' as const,
            title: 'Found',
            items: grave.map(
              (one) => `${one.level}${where(one)}: ${one.what}. Here: ${one.here}. To mend it: ${one.mend}.`,
            ),
          },
        ]
      : []),
    ...(notes.length > 0
      ? [{ kind: 'list' as const, items: notes.map((one) => `${one.what}${where(one)}; here: ${one.here}.`) }]
      : []),
  ]
}

/** Answers by place of the list: an order that was drawn must not matter. */
function placeBlocks(run: RunFiles): Block[] {
  const rows = Object.entries(run.summary.places ?? {})
  if (rows.length === 0) return []
  const first = run.summary.table?.filter(({ id }) => id === rows[0]?.[0]) ?? []
  // A model may stand there with reasoning and without; places are those of the first way.
  const mode = (first.find((row) => row.mode !== 'score') ?? first[0])?.mode ?? 'score'
  return [
    {
      kind: 'table',
      caption: `Place of the list: HR@1 where the target stood in the first and in the last quarter of the places, and the place answered most (${modeLabel(mode)}; rows trained on answers alone: without reasoning). Even answers would give each place the share in the last column; a small p says that the place matters`,
      head: ['row', 'n', 'HR@1, first places', 'HR@1, last places', 'most answered', 'p', 'even share'],
      numeric: [false, true, true, true, true, true, true],
      rows: rows.map(([id, { n, places, most_answered: most, p }]) => {
        const quarter = Math.max(1, Math.floor(places.length / 4))
        return [
          rowLabel(id),
          count(n),
          metric(hitsOf(places.slice(0, quarter))),
          metric(hitsOf(places.slice(-quarter))),
          percent(most),
          probability(p),
          percent(1 / places.length),
        ]
      }),
    },
  ]
}

function hitsOf(places: readonly { readonly tests: number; readonly hr1: number | null }[]): number {
  const tests = places.reduce((sum, place) => sum + place.tests, 0)
  return places.reduce((sum, place) => sum + place.tests * (place.hr1 ?? 0), 0) / tests
}

/** The sections of the report that follow the three phases: collection, imitation, internalization, quality, cost. */

import type { Figure } from './figure-style.js'
import { gateLabel, isReasoningMetric, qualityLabel, rowLabel } from './labels.js'
import { count, duration, metric, percent, quantity } from './numbers.js'
import type { RunFiles } from './run-files.js'
import { watchedSamples } from './sample.js'
import { type Block, figuresBlock, type Section } from './story-blocks.js'
import { teacherBlocks } from './story-teacher.js'

const passLabels = { A: 'A, unhinted', B: 'B, hinted', C: 'C, filled by the builtin teacher' } as const

export function collectionSection(run: RunFiles, figures: readonly Figure[]): Section {
  const title = 'Reasoning Collection'
  const { collect } = run
  if (!collect)
    return {
      id: 'collect',
      title,
      blocks: [{ kind: 'text', text: 'Nothing was collected in this run directory.' }],
    }
  const kept = collect.kept.A + collect.kept.B + collect.kept.C
  const passes = ['A', 'B', 'C'] as const
  const blocks: Block[] = [
    {
      kind: 'text',
      text: `${'teacher' in collect && collect.teacher ? 'Another model' : 'The model'} was asked to explain and then to choose for ${count(collect.instances)} training instances; ${count(collect.sampled)} responses were judged and ${count(kept)} kept. Pass A does not see the answer. Pass B is asked only where A kept nothing and sees the answer as a private note, which is not stored. ${percent(collect.builtin_share)} of what was kept was written by the builtin template teacher, not by a language model.`,
    },
    {
      kind: 'table',
      caption: 'Kept traces by pass',
      head: ['Pass', 'Kept', 'Share of kept'],
      numeric: [false, true, true],
      rows: passes.map((pass) => [
        passLabels[pass],
        count(collect.kept[pass]),
        kept > 0 ? percent(collect.kept[pass] / kept) : '–',
      ]),
    },
  ]
  const generators = Object.entries(collect.generators)
  if (generators.length > 0) {
    blocks.push({
      kind: 'table',
      caption: 'Who wrote the kept traces',
      head: ['Generator', 'Kept', 'Share of kept'],
      numeric: [false, true, true],
      rows: generators.map(([name, number]) => [
        name,
        count(number),
        kept > 0 ? percent(number / kept) : '–',
      ]),
    })
  }
  blocks.push(...teacherBlocks(collect))
  blocks.push(...rejections(collect.rejected))
  const figure = figuresBlock(figures, 'collect')
  blocks.push(
    ...(figure.length > 0
      ? figure
      : [{ kind: 'text' as const, text: 'Popularity deciles of the targets were not recorded.' }]),
  )
  return { id: 'collect', title, blocks }
}

function rejections(rejected: Readonly<Record<string, Readonly<Record<string, number>>>>): Block[] {
  const passes = Object.keys(rejected).sort()
  const order = new Intl.Collator('en', { numeric: true })
  const gates = [...new Set(passes.flatMap((pass) => Object.keys(rejected[pass] ?? {})))].sort(order.compare)
  if (gates.length === 0) return [{ kind: 'text', text: 'No response was rejected by a gate.' }]
  return [
    {
      kind: 'table',
      caption: 'Rejections: the first gate that a response failed',
      head: ['Gate', ...passes.map((pass) => `Pass ${pass}`)],
      numeric: [false, ...passes.map(() => true)],
      rows: gates.map((gate) => [
        gateLabel(gate),
        ...passes.map((pass) => count(rejected[pass]?.[gate] ?? 0)),
      ]),
    },
  ]
}

export function imitationSection(run: RunFiles, figures: readonly Figure[]): Section {
  const title = 'Pattern Imitation'
  const last = run.imitate.at(-1)
  const first = run.imitate[0]
  if (!first || !last)
    return {
      id: 'imitate',
      title,
      blocks: [{ kind: 'text', text: 'No step of Pattern Imitation was recorded.' }],
    }
  const partial =
    last.step < last.steps ? ` The run stopped at step ${count(last.step)} of ${count(last.steps)}.` : ''
  return {
    id: 'imitate',
    title,
    blocks: [
      {
        kind: 'text',
        text: `Supervised tuning on the kept traces, loss on the response only: ${count(run.imitate.length)} steps, loss ${metric(first.loss)} at the first and ${metric(last.loss)} at the last.${partial}${skippedUpdates(run.imitate)}`,
      },
      ...figuresBlock(figures, 'imitate'),
    ],
  }
}

export function internalizationSection(run: RunFiles, figures: readonly Figure[]): Section {
  const title = 'Pattern Internalization'
  const lines = run.internalize
  const last = lines.at(-1)
  const first = lines[0]
  if (!first || !last)
    return {
      id: 'internalize',
      title,
      blocks: [{ kind: 'text', text: 'No step of Pattern Internalization was recorded.' }],
    }
  const tenth = Math.max(1, Math.round(lines.length / 10))
  const mean = (part: typeof lines, field: (typeof fields)[number][0]): string =>
    quantity(part.reduce((sum, line) => sum + (line[field] ?? 0), 0) / part.length)
  const partial =
    last.step < last.steps ? ` The run stopped at step ${count(last.step)} of ${count(last.steps)}.` : ''
  const mismatch = Math.max(...lines.map((line) => line.logprob_mismatch))
  const fields = [
    ['reward', 'Reward'],
    ['hr1', 'HR@1 of rollouts'],
    ['parse_rate', 'Parsed'],
    ['completion_length', 'Completion length, tokens'],
    ['entropy', 'Entropy, nats per token'],
    ['kl', 'KL to the reference, nats per token'],
    ['truncated', 'Cut at the limit of length'],
    ['frac_reward_zero_std', 'Groups without reward spread'],
    ['grad_norm', 'Gradient norm'],
  ] as const
  return {
    id: 'internalize',
    title,
    blocks: [
      {
        kind: 'text',
        text: `Group-relative policy optimisation on sampled completions: ${count(lines.length)} steps.${partial}${skippedUpdates(lines)} Largest difference between a token’s sampled and trained log-probability before an update: ${mismatch === 0 ? '0 (bitwise equal)' : mismatch.toExponential(2)}.`,
      },
      ...figuresBlock(figures, 'internalize'),
      {
        kind: 'table',
        caption: `Mean over the first and the last ${tenth === 1 ? 'step' : `${tenth} steps`}`,
        head: ['Quantity', 'First', 'Last'],
        numeric: [false, true, true],
        rows: fields.map(([field, label]) => [
          label,
          mean(lines.slice(0, tenth), field),
          mean(lines.slice(-tenth), field),
        ]),
      },
      ...termsByOutcome(lines.slice(-tenth)),
      ...watchedBlocks(run),
    ],
  }
}

/** What hits and misses earn: a term that pays both alike says nothing about the recommendation. */
function termsByOutcome(lines: RunFiles['internalize']): Block[] {
  type Terms = Readonly<Record<string, number>>
  const mean = (all: readonly (Terms | undefined)[], id: string): string => {
    const values = all.flatMap((terms) => (terms?.[id] === undefined ? [] : [terms[id]]))
    return values.length === 0 ? '–' : quantity(values.reduce((sum, value) => sum + value, 0) / values.length)
  }
  const hits = lines.map((line) => line.reward_terms_hit)
  const misses = lines.map((line) => line.reward_terms_miss)
  const ids = [...new Set([...hits, ...misses].flatMap((terms) => Object.keys(terms ?? {})))]
  if (ids.length === 0) return []
  return [
    {
      kind: 'table',
      caption: `Reward terms of hits and of misses before weighting, mean over the last ${lines.length === 1 ? 'step' : `${lines.length} steps`}`,
      head: ['Term', 'Hits', 'Misses'],
      numeric: [false, true, true],
      rows: ids.map((id) => [id, mean(hits, id), mean(misses, id)]),
    },
  ]
}

/** The same few prompts throughout the training. */
function watchedBlocks({ samples }: RunFiles): Block[] {
  const watched = watchedSamples(samples)
  if (watched.length === 0) return []
  return [
    {
      kind: 'text',
      text: 'The same prompts, asked again while the policy was trained; each time the likeliest response. They were chosen by hash from the validation part, before anything was trained.',
    },
    ...watched.map((followed): Block => ({ kind: 'followed', followed })),
  ]
}

function skippedUpdates(lines: readonly { readonly skipped?: boolean }[]): string {
  const skipped = lines.filter((line) => line.skipped).length
  return skipped > 0
    ? ` ${skipped === 1 ? 'One update was' : `${count(skipped)} updates were`} dropped because loss or gradient norm was not finite.`
    : ''
}

export function qualitySection(run: RunFiles, figures: readonly Figure[]): Section {
  const title = 'Reasoning quality and popularity'
  const quality = run.summary.quality ?? {}
  const models = Object.keys(quality)
  const keys = [...new Set(models.flatMap((model) => Object.keys(quality[model] ?? {})))]
  if (keys.length === 0) {
    return {
      id: 'quality',
      title,
      blocks: [{ kind: 'text', text: 'No quality or popularity metric was recorded.' }],
    }
  }
  const table = (caption: string, wanted: readonly string[]): Block[] =>
    wanted.length === 0
      ? []
      : [
          {
            kind: 'table',
            caption,
            head: ['Metric', ...models.map(rowLabel)],
            numeric: [false, ...models.map(() => true)],
            rows: wanted.map((key) => [
              qualityLabel(key),
              ...models.map((model) => {
                const value = quality[model]?.[key]
                return value === undefined ? '–' : quantity(value)
              }),
            ]),
          },
        ]
  return {
    id: 'quality',
    title,
    blocks: [
      ...table('Reasoning, measured without a judge', keys.filter(isReasoningMetric)),
      ...table(
        'Popularity and diversity of the first recommendation. What can be reached depends on the candidate lists; read the columns against each other.',
        keys.filter((key) => !isReasoningMetric(key)),
      ),
      ...figuresBlock(figures, 'popularity'),
    ],
  }
}

/** Seconds and tokens by phase, from the summary where there is one and from the steps otherwise. */
export function costSection(run: RunFiles): Section {
  const { seconds } = run.summary
  const last = run.collectLines.at(-1)
  const trained = (lines: readonly { tokens: number; tokens_per_second: number }[]) => ({
    tokens: lines.reduce((sum, line) => sum + line.tokens, 0),
    seconds: lines.reduce(
      (sum, line) => sum + (line.tokens_per_second > 0 ? line.tokens / line.tokens_per_second : 0),
      0,
    ),
  })
  const imitate = trained(run.imitate)
  const internalize = trained(run.internalize)
  const rate = (part: { tokens: number; seconds: number }): string =>
    part.seconds > 0 ? quantity(part.tokens / part.seconds) : '–'
  const rows = [
    ['Reasoning Collection', duration(seconds?.collect), '–', last ? quantity(last.tokens_per_second) : '–'],
    [
      'Pattern Imitation',
      duration(seconds?.imitate),
      imitate.tokens > 0 ? count(imitate.tokens) : '–',
      rate(imitate),
    ],
    [
      'Pattern Internalization',
      duration(seconds?.internalize),
      internalize.tokens > 0 ? count(internalize.tokens) : '–',
      rate(internalize),
    ],
    ['Evaluation', duration(seconds?.evaluate), '–', '–'],
  ]
  const facts = secondsFacts(run)
  return {
    id: 'cost',
    title: 'Cost',
    blocks: [
      {
        kind: 'table',
        caption: 'By phase',
        head: ['Phase', 'Wall time', 'Tokens in steps', 'Tokens per second'],
        numeric: [false, true, true, true],
        rows,
      },
      ...(facts.length > 0
        ? [{ kind: 'facts' as const, entries: facts }]
        : [{ kind: 'text' as const, text: 'Totals are written when the run ends.' }]),
    ],
  }
}

function secondsFacts(run: RunFiles): [string, string][] {
  const { seconds, cpu_seconds: cpu, world_size: world } = run.summary
  if (!seconds) return []
  const total = Object.values(seconds).reduce((sum, value) => sum + value, 0)
  return [
    ['Wall time', duration(total)],
    ['CPU time', duration(cpu)],
    ['Processes', String(world ?? 1)],
  ]
}

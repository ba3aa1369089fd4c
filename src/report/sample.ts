/** Samples of what a model wrote: a box for the terminal, and the choice of those the report shows. */

import Table from 'cli-table3'
import pc from 'picocolors'
import type { SampleLine } from '../phases/run/run-record.js'
import { chainLines } from './chain-text.js'
import { rowLabel, storyModels } from './labels.js'
import type { TerminalOptions } from './table.js'
import { shortened, terminalLine, terminalText } from './terminal-text.js'

export interface SampleOptions extends TerminalOptions {
  /** Columns of the whole box. */
  readonly width?: number
}

/** History, reasoning, answer, hit or miss, in a box. */
export function renderSample(sample: SampleLine, options: SampleOptions = {}): string {
  const color = pc.createColors(options.color ?? pc.isColorSupported)
  const width = Math.max(40, Math.min(options.width ?? process.stderr.columns ?? 100, 110))
  const labels = 11
  const table = new Table({
    colWidths: [labels, width - labels - 3],
    wordWrap: true,
    style: { head: [], border: [], compact: true },
  })
  const step = sample.step > 0 ? `, step ${sample.step}` : ''
  const head = `${terminalLine(sample.phase)} · ${terminalLine(rowLabel(sample.model))}${step}`
  const verdict = sample.hit ? color.green('✓ hit') : color.red('✗ miss')
  const reward = sample.reward === undefined ? '' : color.dim(`  reward ${sample.reward.toFixed(3)}`)
  const history = sample.history.map((title) => shortened(terminalLine(title), 60)).join(' → ')
  const reasoning = shortened(terminalText(sample.reasoning), 1200)
  table.push(
    [color.dim('sample'), color.bold(head)],
    [color.dim('history'), history || color.dim('(empty)')],
    [color.dim('reasoning'), reasoning || color.dim('(none that could be read)')],
    [
      color.dim('answer'),
      `${shortened(terminalLine(sample.answer), 200) || color.dim('(none)')}  ${verdict}${reward}`,
    ],
  )
  for (const [index, chain] of (sample.chains ?? []).entries())
    table.push([color.dim('chain'), chainLines(chain, index + 1).join('\n')])
  if (!sample.hit) table.push([color.dim('target'), shortened(terminalLine(sample.target), 200)])
  return table.toString()
}

/** One test instance seen through the models of the story, in its order. */
export interface Followed {
  readonly instance: string
  readonly steps: readonly SampleLine[]
}

/**
 * Prompts that were asked throughout Internalization, each with at most `steps` of its responses: the first, the last, and
 * those between at equal distances.
 */
export function watchedSamples(samples: readonly SampleLine[], steps = 6): Followed[] {
  const byInstance = new Map<string, SampleLine[]>()
  for (const sample of samples)
    if (sample.watched) byInstance.set(sample.instance, [...(byInstance.get(sample.instance) ?? []), sample])
  return [...byInstance].map(([instance, all]) => {
    const ordered = [...new Map(all.map((sample) => [sample.step, sample])).values()].sort(
      (a, b) => a.step - b.step,
    )
    const shown = Math.min(steps, ordered.length)
    const places = Array.from({ length: shown }, (_, k) =>
      shown === 1 ? 0 : Math.round((k * (ordered.length - 1)) / (shown - 1)),
    )
    return { instance, steps: places.map((place) => ordered[place] as SampleLine) }
  })
}

export interface ChosenSamples {
  readonly followed: readonly Followed[]
  readonly hits: readonly SampleLine[]
  readonly misses: readonly SampleLine[]
}

/**
 * Followed: instances judged under the most models first; among these, those whose outcome changed on the
 * way, then in the order of the file. Hits and misses: of the last model that has samples, without the
 * instances already shown. Nothing is chosen for looking good.
 */
export function chooseSamples(
  samples: readonly SampleLine[],
  limits = { followed: 3, hits: 4, misses: 4 },
): ChosenSamples {
  const judged = samples.filter((sample) => sample.phase === 'evaluate')
  const pool = judged.length > 0 ? judged : samples.filter((sample) => !sample.watched)
  const byInstance = new Map<string, Map<string, SampleLine>>()
  for (const sample of pool) {
    const models = byInstance.get(sample.instance) ?? new Map<string, SampleLine>()
    models.set(sample.model, sample) // the last line of a model is its latest state
    byInstance.set(sample.instance, models)
  }
  const candidates: Followed[] = []
  for (const [instance, models] of byInstance) {
    const steps = storyModels.flatMap((model) => models.get(model) ?? [])
    if (steps.length > 1) candidates.push({ instance, steps })
  }
  const changed = ({ steps }: Followed): number => (steps.some((step) => step.hit !== steps[0]?.hit) ? 1 : 0)
  const followed = [...candidates]
    .sort((a, b) => b.steps.length - a.steps.length || changed(b) - changed(a))
    .slice(0, limits.followed)
  const shown = new Set(followed.map(({ instance }) => instance))
  const last = [...storyModels].reverse().find((model) => pool.some((sample) => sample.model === model))
  const rest = pool.filter(
    (sample) => (last === undefined || sample.model === last) && !shown.has(sample.instance),
  )
  const unique = [...new Map(rest.map((sample) => [sample.instance, sample])).values()]
  return {
    followed,
    hits: unique.filter((sample) => sample.hit).slice(0, limits.hits),
    misses: unique.filter((sample) => !sample.hit).slice(0, limits.misses),
  }
}

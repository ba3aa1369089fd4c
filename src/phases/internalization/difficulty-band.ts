/**
 * Difficulty of prompts (rl.sampling.band): the share p of rl.sampling.band_samples responses of the model as it left
 * Imitation that are right. Only prompts with 0 < p < 1 can give a group both hits and misses.
 *   keep    prompts outside are left out          weight   prompts are drawn with probability in proportion to p (1 - p)
 * Rates are measured once, before the first step, and kept in pass-rates.jsonl of the run, chunk by chunk: a run that is
 * interrupted goes on where it was. They are not measured again while the policy changes.
 */

import { existsSync } from 'node:fs'
import { chosen } from '../../data/random.js'
import type { Instance } from '../../data/types.js'
import { ReasonrecError } from '../../engine/errors.js'
import { isRight } from '../../rewards/reward.js'
import { askResponses } from '../prediction/responses.js'
import type { PhaseContext, StageModel } from '../run/context.js'
import { JsonLines, readJsonLines } from '../run/files.js'
import { shownInstance } from '../run/instances.js'
import { derivedSeed, streamId } from '../run/streams.js'

export const passRateFile = 'pass-rates.jsonl'

/** A line of pass-rates.jsonl. */
export interface PassRate {
  readonly instance: string
  readonly samples: number
  readonly right: number
}

/** Prompts to train on, and how often each is drawn; null: all alike. */
export interface Band {
  readonly instances: readonly Instance[]
  readonly weights: readonly number[] | null
}

export async function difficultyBand(
  context: PhaseContext,
  imitated: StageModel,
  instances: readonly Instance[],
): Promise<Band> {
  const { band, band_instances } = context.config.rl.sampling
  if (band === 'none') return { instances, weights: null }
  const count = band_instances ?? instances.length
  const measured = chosen(instances, count, ({ id }) => id, context.config.seed, 'difficulty')
  const rates = await passRates(context, imitated, measured)
  const { instances: kept, weights } = bandOf(measured, rates, band)
  context.progress.note(
    `difficulty: ${kept.length} of ${measured.length} prompts are neither always right nor always wrong`,
  )
  if (kept.length > 0) return { instances: kept, weights }
  throw new ReasonrecError('RR_NO_PROMPTS', 'no prompt lies within the difficulty band', {
    expected: 'a prompt that is right in some samples and wrong in others',
    got: `${measured.length} prompts with ${context.config.rl.sampling.band_samples} samples each`,
    remedy: 'raise rl.sampling.band_samples, or set rl.sampling.band to none',
  })
}

/** p (1 - p) of those with 0 < p < 1, in the order of the instances. */
export function bandOf(
  instances: readonly Instance[],
  rates: readonly PassRate[],
  band: 'keep' | 'weight',
): Band {
  const byId = new Map(rates.map((rate) => [rate.instance, rate.right / rate.samples]))
  const within = instances.filter(({ id }) => (byId.get(id) ?? 0) > 0 && (byId.get(id) ?? 0) < 1)
  const spread = ({ id }: Instance): number => (byId.get(id) ?? 0) * (1 - (byId.get(id) ?? 0))
  return { instances: within, weights: band === 'weight' ? within.map(spread) : null }
}

async function passRates(
  context: PhaseContext,
  imitated: StageModel,
  instances: readonly Instance[],
): Promise<PassRate[]> {
  const { run, config, signal } = context
  const path = run.file(passRateFile)
  const done = existsSync(path) ? readJsonLines<PassRate>(path).length : 0
  if (done < instances.length) {
    context.progress.note(`measuring the difficulty of ${instances.length - done} prompts`)
    const lines = new JsonLines(path)
    try {
      for (let next = done; next < instances.length; next += config.rl.prompts) {
        signal.throwIfAborted()
        const chunk = instances.slice(next, next + config.rl.prompts)
        for (const rate of await measuredRates(context, imitated, chunk, next)) lines.append(rate)
        lines.sync()
      }
    } finally {
      lines.close()
    }
  }
  return readJsonLines<PassRate>(path)
}

/** `first`: place of the first in the whole list, so that a prompt draws the same in any chunk. */
async function measuredRates(
  context: PhaseContext,
  imitated: StageModel,
  instances: readonly Instance[],
  first: number,
): Promise<PassRate[]> {
  const { config, dataset, method } = context
  const { rl, seed } = config
  const samples = rl.sampling.band_samples
  const asks = instances.map((instance, index) => ({
    instance: method.question(dataset, shownInstance(dataset, instance, 0), 'practice'),
    mode: 'reason' as const,
    streams: Array.from({ length: samples }, (_, sample) => streamId('difficulty', 0, first + index, sample)),
  }))
  const groups = await askResponses(context, imitated, asks, {
    style: rl.answer,
    maxNew: rl.max_new,
    sampling: { temperature: rl.temperature },
    seed: derivedSeed(seed, 'difficulty'),
  })
  return groups.map(({ ask, responses }) => ({
    instance: ask.instance.id,
    samples,
    right: responses.filter(({ text }) => isRight(method.parse(dataset, ask.instance, text), ask.instance))
      .length,
  }))
}

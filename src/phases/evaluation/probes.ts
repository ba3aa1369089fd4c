/**
 * Does a reasoning do work? Four probes (spec 7.5), each on the reasonings that an evaluated row has written; nothing is
 * sampled. C: the test's candidates, y its target, z the reasoning, a the answer the row gave.
 *
 *   frozen_scorer  the user's model as given, which no phase trained: log-prob gain per token of y behind z against the direct
 *                  prompt; the same over tests whose z does not name y; gain of y's posterior among C, and of its place
 *   truncation     HR@1 and y's posterior by the row's own model behind the first 0, 25, 50, 75 and 100 % of z's words
 *   sufficiency    HR@1 by the frozen model shown C and z but no history, against C alone
 *   perturbation   the row's own model behind z: how much a's posterior falls when the history titles that z cites are
 *                  removed from the prompt, against as many that it does not cite. A reasoning that is read falls more.
 *
 * Values are one line of predictions.jsonl per test, of mode "probe <name>"; their means stand in the summary's quality.
 */

import { seeded } from '../../data/random.js'
import type { Instance, ItemIndex } from '../../data/types.js'
import { posterior } from '../../eval/merged-thoughts.js'
import { meanRank, metricsOfStanding, standing } from '../../eval/metrics.js'
import { untrustedPassage } from '../../prompts/untrusted-text.js'
import { citations } from '../../rewards/citations.js'
import { type ChoiceScores, type ScoreRequest, scoreChoices } from '../prediction/responses.js'
import type { ModelContext, StageModel } from '../run/context.js'

export const probeNames = ['frozen_scorer', 'truncation', 'sufficiency', 'perturbation'] as const
export type ProbeName = (typeof probeNames)[number]

/** What a probe looks at. */
export interface Probed {
  /** As the row was shown it. */
  readonly instance: Instance
  readonly reasoning: string
  /** The item the row put first. */
  readonly answer: ItemIndex | null
}

/** A test's values by name; a value that the test does not have is left out. */
export type ProbeValues = Readonly<Record<string, number>>

export interface ProbeModels {
  /** The row's own. */
  readonly own: StageModel
  /** The model as the user gave it. */
  readonly frozen: StageModel
}

type Probe = (context: ModelContext, models: ProbeModels, probed: readonly Probed[]) => Promise<ProbeValues[]>

export const probes: Readonly<Record<ProbeName, Probe>> = {
  frozen_scorer: frozenScorer,
  truncation: truncation,
  sufficiency: sufficiency,
  perturbation: perturbation,
}

export const truncationShares = [0, 25, 50, 75, 100] as const

async function frozenScorer(
  context: ModelContext,
  { frozen }: ProbeModels,
  probed: readonly Probed[],
): Promise<ProbeValues[]> {
  const scores = await scoredAll(context, frozen, probed, ({ instance, reasoning }) => [
    behind(context, instance, [reasoning]),
    direct(context, instance),
  ])
  return probed.map(({ instance, reasoning }, index) => {
    const [[given], [without]] = scores[index] as [ChoiceScores[], ChoiceScores[]]
    const target = instance.candidates.indexOf(instance.target)
    const gain = (given?.mean[target] ?? Number.NaN) - (without?.mean[target] ?? Number.NaN)
    const named = citations(context.dataset, instance, reasoning).candidates.has(instance.target)
    return {
      frozen_gain: gain,
      frozen_gain_positive: gain > 0 ? 1 : 0,
      ...(!named && { frozen_gain_unnamed: gain }),
      posterior_gain: posteriorOf(given, target) - posteriorOf(without, target),
      rank_gain: placeOf(without, target) - placeOf(given, target),
    }
  })
}

async function truncation(
  context: ModelContext,
  { own }: ProbeModels,
  probed: readonly Probed[],
): Promise<ProbeValues[]> {
  const scores = await scoredAll(context, own, probed, ({ instance, reasoning }) => [
    behind(
      context,
      instance,
      truncationShares.map((share) => firstWords(reasoning, share / 100)),
    ),
  ])
  return probed.map(({ instance: { candidates, target } }, index) => {
    const place = candidates.indexOf(target)
    const [cut] = scores[index] as [ChoiceScores[]]
    return Object.fromEntries(
      truncationShares.flatMap((share, step) => [
        [`truncated_${share}_hr1`, hitOf(cut[step], place)],
        [`truncated_${share}_posterior`, posteriorOf(cut[step], place)],
      ]),
    )
  })
}

async function sufficiency(
  context: ModelContext,
  { frozen }: ProbeModels,
  probed: readonly Probed[],
): Promise<ProbeValues[]> {
  const scores = await scoredAll(context, frozen, probed, ({ instance, reasoning }) => {
    const { evidence: _, ...blind } = { ...instance, history: [] }
    return [behind(context, blind, [reasoning]), direct(context, blind)]
  })
  return probed.map(({ instance: { candidates, target } }, index) => {
    const place = candidates.indexOf(target)
    const [[given], [without]] = scores[index] as [ChoiceScores[], ChoiceScores[]]
    return { sufficient_hr1: hitOf(given, place), sufficient_hr1_without: hitOf(without, place) }
  })
}

async function perturbation(
  context: ModelContext,
  { own }: ProbeModels,
  probed: readonly Probed[],
): Promise<ProbeValues[]> {
  const removed = probed.map((one) => removals(context, one))
  const scores = await scoredAll(context, own, probed, ({ instance, reasoning }, index) => {
    const pair = removed[index]
    const histories = pair ? [[], pair.cited, pair.uncited] : []
    return histories.map((gone) => behind(context, without(context, instance, gone), [reasoning]))
  })
  return probed.map(({ instance, answer }, index) => {
    if (!removed[index] || answer === null) return {}
    const place = instance.candidates.indexOf(answer)
    const [whole, cited, uncited] = (scores[index] as ChoiceScores[][]).map(([one]) =>
      posteriorOf(one, place),
    )
    const fall = (left = Number.NaN): number => (whole as number) - left
    return {
      perturbed_cited_fall: fall(cited),
      perturbed_uncited_fall: fall(uncited),
      perturbed_difference: fall(cited) - fall(uncited),
    }
  })
}

/** As many cited and uncited history items, chosen by the test's id; null where there are none of either. */
function removals(
  { dataset, config }: ModelContext,
  { instance, reasoning }: Probed,
): { readonly cited: readonly ItemIndex[]; readonly uncited: readonly ItemIndex[] } | null {
  const named = citations(dataset, instance, reasoning).history
  const cited = instance.history.filter((item) => named.has(item))
  const uncited = instance.history.filter((item) => !named.has(item))
  const count = Math.min(cited.length, uncited.length)
  if (count === 0) return null
  const random = seeded(config.seed, 'perturbation', instance.id)
  return {
    cited: random.shuffled(cited).slice(0, count),
    uncited: random.shuffled(uncited).slice(0, count),
  }
}

/** The question as it is asked about a user who never chose these. */
function without(
  { dataset, method }: ModelContext,
  instance: Instance,
  gone: readonly ItemIndex[],
): Instance {
  if (gone.length === 0) return instance
  const { evidence: _, ...plain } = instance
  return method.question(dataset, {
    ...plain,
    history: instance.history.filter((item) => !gone.includes(item)),
  })
}

/** The first `share` of the words, rounded up, with what stands between them. */
export function firstWords(text: string, share: number): string {
  const pieces = text.trim().split(/(\s+)/)
  const count = Math.ceil(share * Math.ceil(pieces.length / 2))
  return pieces.slice(0, Math.max(0, 2 * count - 1)).join('')
}

function behind({ encoding }: ModelContext, instance: Instance, reasonings: readonly string[]): ScoreRequest {
  return {
    prompt: encoding.prompt(instance, 'reason'),
    prefixes: reasonings.map((reasoning) => encoding.beforeAnswer(untrustedPassage(reasoning))),
    choices: encoding.choices(instance),
  }
}

function direct({ encoding }: ModelContext, instance: Instance): ScoreRequest {
  return {
    prompt: encoding.prompt(instance, 'direct'),
    prefixes: [encoding.frame.directOpen],
    choices: encoding.choices(instance),
  }
}

/** scores[test][request][prefix], all in one call. */
async function scoredAll(
  context: ModelContext,
  { model, adapters }: StageModel,
  probed: readonly Probed[],
  requestsOf: (one: Probed, index: number) => ScoreRequest[],
): Promise<ChoiceScores[][][]> {
  const requests = probed.map(requestsOf)
  const scores = await scoreChoices(context, model, adapters, requests.flat())
  let next = 0
  return requests.map((own) => own.map(() => scores[next++] as ChoiceScores[]))
}

function posteriorOf(scores: ChoiceScores | undefined, place: number): number {
  return scores ? (posterior(Array.from(scores.joint))[place] ?? Number.NaN) : Number.NaN
}

function hitOf(scores: ChoiceScores | undefined, place: number): number {
  return metricsOfStanding(standing(scores ? Array.from(scores.joint) : null, place), 'expected').hr1
}

function placeOf(scores: ChoiceScores | undefined, place: number): number {
  const found = standing(scores ? Array.from(scores.joint) : null, place)
  return found ? meanRank(found) : Number.NaN
}

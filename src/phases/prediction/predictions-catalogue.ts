/**
 * Answers by a beam over the catalogue's titles, and answers by several thoughts.
 *   think_beam   I3: greedy reasoning, then a beam of eval.beam hypotheses over the trie of titles: the top items in order.
 *                An item that the beam lost has rank infinity; it is never scored afterwards to be put back.
 *   direct_beam  I5: the same behind the direct prompt, without reasoning.
 *   thoughts     I4: eval.thoughts.count sampled reasonings; behind each every candidate is scored, or the catalogue
 *                searched; their lists are merged (eval/merged-thoughts.ts).
 * With eval.mask_history the items of the history shown are no answers.
 */

import type { Instance, ItemIndex } from '../../data/types.js'
import { generate, type Sample } from '../../engine/index.js'
import { mergedThoughts, type NamedItems } from '../../eval/merged-thoughts.js'
import { untrustedPassage } from '../../prompts/untrusted-text.js'
import { decodeOptions, type ModelContext, type StageModel } from '../run/context.js'
import { derivedSeed, streamId } from '../run/streams.js'
import { catalogueBeam, foundItems } from './catalogue-beam.js'
import type { Prediction } from './predictions.js'
import { greedy, seed, thinkingOf, thinkingScript } from './thinking.js'

export async function thinkThenSearch(
  context: ModelContext,
  stage: StageModel,
  instances: readonly Instance[],
): Promise<Prediction[]> {
  const { thinkOpen } = context.encoding.frame
  const samples = await generate(
    stage.model,
    stage.adapters,
    instances.map((instance, index) => ({
      prompt: context.encoding.prompt(instance, 'reason'),
      samples: [{ stream: streamId('evaluate', 0, index, 0), given: thinkOpen }],
      ...searched(context, instance),
    })),
    thinkingScript(context, greedy),
    decodeOptions(context, seed(context)),
    { signal: context.signal },
  )
  return instances.map((instance, index) => {
    const sample = samples[index]![0]!
    return { ...named(instance, sample), ...thinkingOf(context, sample) }
  })
}

/** The catalogue searched behind reasonings that were written before, perhaps for somebody else. */
export async function searchBehind(
  context: ModelContext,
  stage: StageModel,
  instances: readonly Instance[],
  reasonings: readonly string[],
): Promise<Prediction[]> {
  return searchGiven(context, stage, instances, 'reason', (index) => ({
    given: context.encoding.beforeAnswer(untrustedPassage(reasonings[index] as string)),
    reasoning: reasonings[index] as string,
  }))
}

export async function directThenSearch(
  context: ModelContext,
  stage: StageModel,
  instances: readonly Instance[],
): Promise<Prediction[]> {
  return searchGiven(context, stage, instances, 'direct', () => ({
    given: context.encoding.frame.directOpen,
    reasoning: '',
  }))
}

async function searchGiven(
  context: ModelContext,
  stage: StageModel,
  instances: readonly Instance[],
  mode: 'reason' | 'direct',
  behind: (index: number) => { readonly given: Int32Array; readonly reasoning: string },
): Promise<Prediction[]> {
  const samples = await generate(
    stage.model,
    stage.adapters,
    instances.map((instance, index) => ({
      prompt: context.encoding.prompt(instance, mode),
      // Nothing is sampled, so the stream is never read.
      samples: [{ stream: 0n, given: behind(index).given }],
      ...searched(context, instance),
    })),
    [],
    decodeOptions(context, 0n),
    { signal: context.signal },
  )
  return instances.map((instance, index) => ({
    ...named(instance, samples[index]![0]!),
    reasoning: behind(index).reasoning,
    parsed: true,
    tokens: 0,
  }))
}

/** The beam, and beside it the target's own log-prob, which says what a reasoning adds even where the beam lost it. */
function searched(context: ModelContext, { history, target }: Instance) {
  const { beam, renormalise, mask_history } = context.config.eval
  const title = context.encoding.catalogue().titles[target]
  return {
    beam: catalogueBeam(context, { width: beam, renormalise }, mask_history ? history : []),
    candidates: title ? [title] : [],
  }
}

function named(
  instance: Instance,
  sample: Sample,
): Pick<Prediction, 'instance' | 'scores' | 'item' | 'ranking' | 'target_mean'> {
  const { items } = foundItems(sample)
  return {
    instance: instance.id,
    scores: null,
    item: items[0] ?? null,
    ranking: items,
    target_mean: sample.candidateMean[0] ?? null,
  }
}

export async function severalThoughts(
  context: ModelContext,
  stage: StageModel,
  instances: readonly Instance[],
): Promise<Prediction[]> {
  const { thoughts } = context.config.eval
  const { encoding, config } = context
  const samples = await generate(
    stage.model,
    stage.adapters,
    instances.map((instance) => ({
      prompt: encoding.prompt(instance, 'reason'),
      // By the test's id: what a thought draws does not depend on which tests are asked beside it.
      samples: Array.from({ length: thoughts.count }, (_, thought) => ({
        stream: derivedSeed(config.seed, `thought ${thought} of ${instance.id}`),
        given: encoding.frame.thinkOpen,
      })),
      ...(instance.candidates.length > 0
        ? { candidates: encoding.choices(instance) }
        : searched(context, instance)),
    })),
    thinkingScript(context, { temperature: thoughts.temperature, topP: thoughts.top_p }),
    decodeOptions(context, seed(context)),
    { signal: context.signal },
  )
  return instances.map((instance, index) => mergedAnswer(context, instance, samples[index]!))
}

function mergedAnswer(context: ModelContext, instance: Instance, samples: readonly Sample[]): Prediction {
  const { merge } = context.config.eval.thoughts
  const lists = samples.map((sample) => saidBy(instance, sample))
  const merged = mergedThoughts(lists, merge)
  const best = bestThought(lists, merged.items[0])
  const thinking = samples.map((sample) => thinkingOf(context, sample))
  const scoreOf = new Map(merged.items.map((item, place) => [item, merged.scores[place] as number]))
  const overLists = instance.candidates.length > 0
  return {
    instance: instance.id,
    scores: overLists ? instance.candidates.map((item) => scoreOf.get(item) as number) : null,
    item: overLists ? null : (merged.items[0] ?? null),
    ...(!overLists && { ranking: merged.items.slice(0, context.config.eval.beam) }),
    target_mean: null,
    reasoning: thinking[best]?.reasoning ?? '',
    parsed: thinking.every(({ parsed }) => parsed),
    tokens: thinking.reduce((sum, { tokens }) => sum + tokens, 0),
  }
}

function saidBy({ candidates }: Instance, sample: Sample): NamedItems {
  return candidates.length > 0
    ? { items: candidates, scores: Array.from(sample.candidateJoint) }
    : foundItems(sample)
}

/** The thought that speaks best for the item: the one that is shown. */
function bestThought(lists: readonly NamedItems[], item: ItemIndex | undefined): number {
  const scores = lists.map(({ items, scores: own }) => {
    const place = item === undefined ? -1 : items.indexOf(item)
    return place < 0 ? Number.NEGATIVE_INFINITY : (own[place] as number)
  })
  return scores.indexOf(Math.max(...scores))
}

/**
 * Answers in the model's own words.
 *   free    I1: greedy text, parsed; the answer names an item by its exact title, or it is a miss;
 *   ground  I6: the same text, its answer then grounded in the titles most like it (eval/title-grounding.ts): among the
 *           candidates, or in the whole catalogue. What has no answer tag is grounded by its last line.
 */

import { normaliseTitle } from '../../data/title.js'
import type { Instance, Item, ItemIndex } from '../../data/types.js'
import { embeddingGrounder } from '../../eval/title-embedding.js'
import { type TitleGrounder, wordGrounder } from '../../eval/title-grounding.js'
import type { ParsedAnswer } from '../../methods/method.js'
import type { ModelContext, StageModel } from '../run/context.js'
import { streamId } from '../run/streams.js'
import type { Prediction } from './predictions.js'
import { askResponses, type Response } from './responses.js'
import { greedy, maxNew, seed } from './thinking.js'

interface Written {
  readonly instance: Instance
  readonly response: Response
  readonly parsed: ParsedAnswer
}

export async function writeFreely(
  context: ModelContext,
  stage: StageModel,
  instances: readonly Instance[],
): Promise<Prediction[]> {
  const written = await writeAnswers(context, stage, instances)
  return written.map(({ instance, response, parsed: { reasoning, item, answer, ranking: named } }) => ({
    instance: instance.id,
    scores: null,
    item,
    ...(named && { ranking: named }),
    named: candidatesNamed(context, instance, answer ?? response.text),
    in_catalogue: item !== null || (answer !== null && namesItem(context, answer)),
    target_mean: null,
    reasoning: reasoning ?? response.text,
    parsed: item !== null,
    tokens: response.written,
  }))
}

/** As published tables count: titles that stand in the text, upper and lower case alike. */
export function candidatesNamed(
  { dataset }: { readonly dataset: Pick<ModelContext['dataset'], 'items'> },
  { candidates }: Instance,
  answer: string,
): number {
  const text = answer.toLowerCase()
  return candidates.filter((item) => text.includes((dataset.items[item] as Item).title.text.toLowerCase()))
    .length
}

const catalogues = new WeakMap<ModelContext['dataset'], ReadonlySet<string>>()

function namesItem({ dataset }: ModelContext, answer: string): boolean {
  let titles = catalogues.get(dataset)
  if (!titles) {
    titles = new Set(dataset.items.map(({ title }) => normaliseTitle(title.text)))
    catalogues.set(dataset, titles)
  }
  return titles.has(normaliseTitle(answer))
}

export async function writeThenGround(
  context: ModelContext,
  stage: StageModel,
  instances: readonly Instance[],
): Promise<Prediction[]> {
  const written = await writeAnswers(context, stage, instances)
  const grounder = await grounderOf(context)
  const tag = context.method.form.answerOpen.trim()
  const rankings = await grounder.rank(
    written.map(({ parsed, response }) => parsed.answer ?? answerIn(response.text, tag)),
    written.map(({ instance }) => allowed(context, instance)),
  )
  return written.map(({ instance, response, parsed }, index) => {
    // An answer of labels is a ranking already; its text is like no title.
    const ranking = (parsed.ranking ?? (rankings[index] as ItemIndex[])).slice(0, context.config.eval.beam)
    return {
      instance: instance.id,
      scores: null,
      item: ranking[0] ?? null,
      ranking,
      target_mean: null,
      reasoning: parsed.reasoning ?? response.text,
      parsed: parsed.item !== null,
      tokens: response.written,
    }
  })
}

async function writeAnswers(
  context: ModelContext,
  stage: StageModel,
  instances: readonly Instance[],
): Promise<Written[]> {
  const asks = instances.map((instance, index) => ({
    instance,
    mode: 'reason' as const,
    streams: [streamId('evaluate', 0, index, 0)],
  }))
  const options = { style: 'free', maxNew: maxNew(context), sampling: greedy, seed: seed(context) } as const
  const groups = await askResponses(context, stage, asks, options)
  return groups.map(({ ask: { instance }, responses }) => {
    const response = responses[0]!
    return { instance, response, parsed: context.method.parse(context.dataset, instance, response.text) }
  })
}

/** The first line behind the last opening tag of an answer; without one the last line. */
export function answerIn(text: string, tag: string): string {
  const open = text.lastIndexOf(tag)
  const closing = tag.replace('<', '</')
  const said = open < 0 ? text : (text.slice(open + tag.length).split(closing)[0] ?? '')
  const lines = said
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
  return (open < 0 ? lines.at(-1) : lines[0]) ?? ''
}

/** Null: every item. */
function allowed({ dataset, config }: ModelContext, instance: Instance): ReadonlySet<ItemIndex> | null {
  if (instance.candidates.length > 0) return new Set(instance.candidates)
  if (!config.eval.mask_history) return null
  const history = new Set(instance.history)
  return new Set(dataset.items.map((_, item) => item).filter((item) => !history.has(item)))
}

const grounders = new WeakMap<ModelContext['dataset'], Promise<TitleGrounder>>()

/** Made once for a dataset: embedding a catalogue takes a forward for each title. */
function grounderOf({ dataset, config }: ModelContext): Promise<TitleGrounder> {
  const known = grounders.get(dataset)
  if (known) return known
  const { grounding_model } = config.eval
  const made =
    grounding_model === null ? wordGrounder(dataset.items) : embeddingGrounder(dataset.items, grounding_model)
  grounders.set(dataset, made)
  return made
}

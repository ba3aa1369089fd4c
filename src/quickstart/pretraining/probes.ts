/**
 * What the model can do, on fresh random lists.
 *   re2     the title it names greedily after two given values in RE2's own prompt and form: `valid`, a candidate;
 *           `history`, one of the history instead; `match`, a best match (ties count)
 *   r2rec   the label it names first in R2Rec's ranking form after a given walk: `valid`, one of the list's; `match`
 */

import type { Random } from '../../data/random.js'
import { generate, type Model, type TokenIds } from '../../engine/index.js'
import { joined } from '../../prompts/tokenizer.js'
import { untrustedPassage } from '../../prompts/untrusted-text.js'
import { kinds, pick } from './draws.js'
import { reasoningText } from './re2-forms.js'
import { label, type Writer } from './writer.js'

interface Probe {
  readonly history: readonly number[]
  readonly candidates: readonly number[]
  readonly best: readonly number[]
  readonly ids: Int32Array
}

export async function probeForms(
  model: Model,
  writer: Writer,
  random: Random,
  count: number,
): Promise<Readonly<Record<'re2' | 'r2rec', Readonly<Record<string, number>>>>> {
  const share = (of: readonly boolean[]): number =>
    Math.round((1000 * of.filter(Boolean).length) / of.length) / 1000
  const titled = Array.from({ length: count }, () => titleProbe(writer, random))
  const titles = await greedyTexts(model, writer, titled, 2)
  const labelled = Array.from({ length: count }, () => labelProbe(writer, random))
  const labels = await greedyTexts(model, writer, labelled, 1)
  const named = (items: readonly number[], text: string): boolean =>
    items.some((item) => writer.title(item) === text)
  return {
    re2: {
      valid: share(titled.map(({ candidates }, index) => named(candidates, titles[index] ?? ''))),
      history: share(titled.map(({ history }, index) => named(history, titles[index] ?? ''))),
      match: share(titled.map(({ best }, index) => named(best, titles[index] ?? ''))),
    },
    r2rec: {
      valid: share(labels.map((text) => /^C(0[1-9]|1\d|20)$/.test(text))),
      match: share(
        labelled.map(({ candidates, best }, index) =>
          best.some((item) => label(candidates.indexOf(item)) === labels[index]),
        ),
      ),
    },
  }
}

interface Lists {
  readonly history: readonly number[]
  readonly candidates: readonly number[]
  readonly best: readonly number[]
  readonly items: readonly [number, number]
  readonly values: readonly [string, string]
}

/** Two values of different kinds, each of a title of the history. */
function lists({ shelves }: Writer, length: number, random: Random): Lists {
  const history = shelves.list(length, random)
  const candidates = shelves.list(20, random, new Set(history))
  const [one, other] = random.shuffled(kinds) as ['theme', 'maker']
  const items = [pick(history, random), pick(history, random)] as const
  const values = [shelves.value(items[0], one), shelves.value(items[1], other)] as const
  return { history, candidates, best: shelves.best(candidates, ...values), items, values }
}

function titleProbe(writer: Writer, random: Random): Probe {
  const drawn = lists(writer, 8, random)
  const { history, candidates, items, values } = drawn
  const reasoning = reasoningText(
    { value: values[0], item: items[0] },
    { value: values[1], item: items[1] },
    (item) => writer.title(item),
  )
  const instance = { id: 'probe', user: 'nobody', history, candidates, target: candidates[0] as number }
  const prompt = writer.encoding.prompt(instance, 'reason')
  return { ...drawn, ids: joined([prompt, writer.encoding.beforeAnswer(untrustedPassage(reasoning))]) }
}

/** Without a chain: two history titles are walked. */
function labelProbe(writer: Writer, random: Random): Probe {
  const drawn = lists(writer, 5, random)
  const { history, candidates, items, values } = drawn
  const { tokenizer, frame } = writer.encoding
  const rated = history.map((item) => [item, 1 + random.below(5)] as const)
  const ratingOf = (item: number): number => rated.find(([other]) => other === item)?.[1] ?? 0
  const parts = [
    'history',
    ...rated.flatMap(([item, rating]) => ['\n+ ', writer.titlePart(item), ` ${rating}`]),
    '\nchoose',
    ...candidates.flatMap((item, place) => [`\n${label(place)} `, writer.titlePart(item)]),
    '\nexplain',
  ]
  const [first, second] = items
  const other = writer.shelves.value(first, 'mood')
  const walk = [
    `1 ${writer.title(first)} ${ratingOf(first)} likes ${values[0]} ${other === values[0] ? writer.shelves.value(first, 'maker') : other}`,
    `4 ${writer.title(second)} ${ratingOf(second)} so ${values.join(' ')}`,
  ]
  const prompt = tokenizer.encodePrompt({ messages: [{ role: 'user', parts }] })
  const opened = [frame.thinkOpen, tokenizer.encodeParts([walk.join('\n')]), frame.forcedAnswer]
  return { ...drawn, ids: joined([prompt, ...opened]) }
}

async function greedyTexts(
  model: Model,
  writer: Writer,
  probes: readonly Probe[],
  tokens: number,
): Promise<string[]> {
  const prompts: TokenIds[] = probes.map(({ ids }) => ids)
  const script = [{ kind: 'free', maxNew: tokens, sampling: { temperature: 0 } }] as const
  const samples = await generate(
    model,
    {},
    prompts.map((prompt) => ({ prompt, samples: [{ stream: 0n }] })),
    script,
    { seed: 0n, maxRows: 64 },
  )
  return samples.map(([sample]) => writer.encoding.tokenizer.decode(sample?.tokens ?? []))
}

/**
 * What the model can do, on fresh random lists: the title it names greedily after two given values. `valid`: the
 * title is a candidate; `history`: it is one of the history instead; `match`: it is a best match (ties count).
 */

import type { Random } from '../../data/random.js'
import type { Dataset } from '../../data/types.js'
import { generate, type Model, type TokenIds } from '../../engine/index.js'
import type { Encoding } from '../../phases/encoding.js'
import { joined } from '../../prompts/tokenizer.js'
import { untrustedPassage } from '../../prompts/untrusted-text.js'
import { kinds, pick, type Shelves } from './draws.js'
import { reasoningText } from './texts.js'

export interface ProbeResult {
  readonly valid: number
  readonly history: number
  readonly match: number
}

/** Two values of two history titles are given inside RE2's own prompt and form. */
export async function probeForm(
  model: Model,
  dataset: Dataset,
  encoding: Encoding,
  shelves: Shelves,
  random: Random,
  count: number,
): Promise<ProbeResult> {
  const byTitle = new Map(dataset.items.map(({ title }, index) => [title.text, index]))
  const probes = Array.from({ length: count }, () => {
    const history = shelves.list(8, random)
    const candidates = shelves.list(20, random, new Set(history))
    const [one, other] = random.shuffled(kinds) as ['theme', 'maker']
    const [first, second] = [pick(history, random), pick(history, random)]
    const evidence = [
      { value: shelves.value(first, one), item: first },
      { value: shelves.value(second, other), item: second },
    ] as const
    const reasoning = reasoningText(...evidence, (item) => dataset.items[item]?.title.text ?? '')
    const prompt = encoding.prompt(
      { id: 'probe', user: 'nobody', history, candidates, target: candidates[0] as number },
      'reason',
    )
    return {
      history,
      candidates,
      best: shelves.best(candidates, evidence[0].value, evidence[1].value),
      ids: joined([prompt, encoding.beforeAnswer(untrustedPassage(reasoning))]),
    }
  })
  const named = await greedyTitles(
    model,
    encoding,
    probes.map(({ ids }) => ids),
    byTitle,
  )
  const share = (holds: (index: number, item: number) => boolean): number => {
    const hits = named.filter((item, index) => item !== undefined && holds(index, item)).length
    return Math.round((1000 * hits) / count) / 1000
  }
  return {
    valid: share((index, item) => probes[index]?.candidates.includes(item) ?? false),
    history: share((index, item) => probes[index]?.history.includes(item) ?? false),
    match: share((index, item) => probes[index]?.best.includes(item) ?? false),
  }
}

async function greedyTitles(
  model: Model,
  encoding: Encoding,
  prompts: readonly TokenIds[],
  byTitle: ReadonlyMap<string, number>,
): Promise<(number | undefined)[]> {
  const script = [{ kind: 'free', maxNew: 2, sampling: { temperature: 0 } }] as const
  const samples = await generate(
    model,
    {},
    prompts.map((prompt) => ({ prompt, samples: [{ stream: 0n }] })),
    script,
    { seed: 0n, maxRows: 64 },
  )
  return samples.map(([sample]) => byTitle.get(encoding.tokenizer.decode(sample?.tokens ?? [])))
}

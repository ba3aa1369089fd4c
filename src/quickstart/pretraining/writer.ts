/** Token ids of the pieces that texts of pre-training are made of, and which of them are learnt. */

import type { Random } from '../../data/random.js'
import type { Dataset } from '../../data/types.js'
import type { Encoding } from '../../phases/run/encoding.js'
import type { PromptPart } from '../../prompts/prompt.js'
import { joined } from '../../prompts/tokenizer.js'
import { type Kind, kinds, pick, type Shelves } from './draws.js'

/** Ids and the weight of each token in the loss: 0 or 1. */
export interface WeighedText {
  readonly ids: Int32Array
  readonly weights: Float32Array
}

/** A value and the title it is cited from. */
export interface Evidence {
  readonly value: string
  readonly item: number
}

export class Writer {
  constructor(
    readonly dataset: Dataset,
    readonly shelves: Shelves,
    readonly encoding: Encoding,
  ) {}

  text(text: string): Int32Array {
    return this.encoding.tokenizer.encodeParts([text])
  }

  titleIds(item: number): Int32Array {
    return this.encoding.tokenizer.encodeParts([this.titlePart(item)])
  }

  title(item: number): string {
    return this.dataset.items[item]?.title.text ?? ''
  }

  titlePart(item: number): PromptPart {
    return this.dataset.items[item]?.title ?? ''
  }

  /** "\n+ " and a title, for each item. */
  listed(mark: '+' | '-', items: readonly number[]): Int32Array[] {
    return items.flatMap((item) => [this.text(`\n${mark} `), this.titleIds(item)])
  }

  /** "\nC01 " and a title, for each item. */
  labelled(items: readonly number[]): Int32Array[] {
    return items.flatMap((item, place) => [this.text(`\n${label(place)} `), this.titleIds(item)])
  }

  /** The labels of the `count` candidates that match best, best first; among equals by lot. */
  ranked(
    candidates: readonly number[],
    values: readonly [string, string | null],
    count: number,
    random: Random,
  ): string {
    const places = random.shuffled(candidates.map((_, place) => place))
    const match = (place: number): number =>
      this.shelves.match(candidates[place] as number, values[0], values[1])
    return places
      .sort((a, b) => match(b) - match(a))
      .slice(0, count)
      .map(label)
      .join(' > ')
  }

  /** Two values of different kinds, each uniform among the different values of its kind in a list. */
  evidence(items: readonly number[], random: Random): readonly [Evidence, Evidence] {
    const [one, other] = random.shuffled(kinds) as [Kind, Kind, Kind]
    const of = (kind: Kind): Evidence => {
      const value = pick([...new Set(items.map((item) => this.shelves.value(item, kind)))], random)
      return {
        value,
        item: pick(
          items.filter((item) => this.shelves.has(item, value)),
          random,
        ),
      }
    }
    return [of(one), of(other)]
  }

  /** `drawn` with one of its items exchanged for another that has both values, where there is one. */
  withBoth(
    drawn: readonly number[],
    [first, second]: readonly [string, string],
    without: readonly number[],
    random: Random,
  ): number[] {
    const used = new Set([...drawn, ...without])
    const fitting = this.shelves
      .with(first)
      .filter((item) => this.shelves.has(item, second) && !used.has(item))
    if (fitting.length === 0) return [...drawn]
    return random.shuffled([pick(fitting, random), ...drawn.slice(1)])
  }
}

/** Of a candidate by its place from 0: "C01". */
export function label(place: number): string {
  return `C${String(place + 1).padStart(2, '0')}`
}

export function unlearnt(ids: Int32Array): WeighedText {
  return { ids, weights: new Float32Array(ids.length) }
}

export function learnt(read: Int32Array, written: Int32Array): WeighedText {
  const ids = joined([read, written])
  const weights = new Float32Array(ids.length)
  weights.fill(1, read.length)
  return { ids, weights }
}

export function concatenated(texts: readonly WeighedText[]): WeighedText {
  const weights = new Float32Array(texts.reduce((sum, text) => sum + text.weights.length, 0))
  let end = 0
  for (const text of texts) {
    weights.set(text.weights, end)
    end += text.weights.length
  }
  return { ids: joined(texts.map(({ ids }) => ids)), weights }
}

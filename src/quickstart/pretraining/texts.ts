/**
 * The six kinds of text the embedded model is pre-trained on. Tokens in brackets are learnt, the others are only
 * read. Lists come from draws.ts: every title word with every maker, never a user, never a user's choice.
 *
 *   facts    Lagoon Orin is[ sea, calm, Orin]
 *   common   history + ... common[ sea]                        the value that most of the list have
 *   copy     history + ... choose -[ Lagoon Orin] -[ ...]       the same titles again
 *   look-up  [history + ...] choose - ... so sea calm<answer tags>[Cove Tamsin</answer>]      again and again
 *   reason   RE2's prompt, then[<think>likes sea + Lagoon Orin and calm + Glade Vell so sea calm</think><answer>...]
 *   direct   RE2's direct prompt, then[<answer>...]
 *
 * The reasoning cites two different values of different kinds, each of a title of the history, without regard to
 * how many titles share them: a form with arbitrary evidence. The answer is the candidate that matches the two
 * values best (probability `match`), else any candidate.
 */

import type { Random } from '../../data/random.js'
import type { Dataset, Instance } from '../../data/types.js'
import type { Encoding } from '../../phases/encoding.js'
import { joined } from '../../prompts/tokenizer.js'
import { untrusted, untrustedPassage } from '../../prompts/untrusted-text.js'
import type { WorldItem } from '../world.js'
import { type Kind, kinds, pick, Shelves } from './draws.js'

/** Ids and the weight of each token in the loss: 0 or 1. */
export interface WeighedText {
  readonly ids: Int32Array
  readonly weights: Float32Array
}

export interface TextMixture {
  /** Shares of facts, common, copy and look-up sequences; sum 1. */
  readonly skills: readonly [facts: number, common: number, copy: number, lookup: number]
  /** Fewest and most titles of a list to copy. */
  readonly copied: readonly [number, number]
  /** Share of look-up sequences with twenty candidates; the others have three to eight. */
  readonly long: number
  /** Share of look-up sequences with a history before the candidates. */
  readonly distracted: number
  /** Share of look-up queries with one value instead of two. */
  readonly single: number
  /** Share of two-value queries with both values from one title. */
  readonly sameTitle: number
  /** Probability that a candidate with both cited values is put into the list of a reason or direct text. */
  readonly planted: number
  /** Probability that the answer of reason and direct texts matches the cited values. */
  readonly match: number
}

/** Tokens of a sequence of skills at most. */
const skillTokens = 190

export class PretrainingTexts {
  private readonly shelves: Shelves

  constructor(
    private readonly dataset: Dataset,
    items: readonly WorldItem[],
    private readonly encoding: Encoding,
  ) {
    this.shelves = new Shelves(items)
  }

  skills(mixture: TextMixture, random: Random): WeighedText {
    const [facts, common, copy] = mixture.skills
    const draw = random.float()
    if (draw < facts) return this.packed(() => this.fact(random))
    if (draw < facts + common) return this.packed(() => this.common(random))
    if (draw < facts + common + copy) return this.copy(mixture, random)
    return this.lookUp(mixture, random)
  }

  form(mixture: TextMixture, direct: boolean, random: Random): WeighedText {
    const history =
      random.float() < 0.5
        ? this.shelves.list(8, random)
        : this.shelves.shelf(8, 0.3 + 0.5 * random.float(), random).items
    const [first, second] = this.evidence(history, random)
    const drawn = this.shelves.list(20, random, new Set(history))
    const candidates =
      random.float() < mixture.planted
        ? this.withBoth(drawn, first.value, second.value, history, random)
        : drawn
    const fits = random.float() < mixture.match
    const answer = pick(fits ? this.shelves.best(candidates, first.value, second.value) : candidates, random)
    const instance: Instance = { id: 'catalogue', user: 'nobody', history, target: answer, candidates }
    const prompt = this.encoding.prompt(instance, direct ? 'direct' : 'reason')
    if (direct) return learnt(prompt, this.encoding.directRight(instance).ids)
    const reasoning = untrustedPassage(reasoningText(first, second, (item) => this.title(item)))
    return learnt(prompt, this.encoding.response(reasoning, [untrusted(this.title(answer))]).ids)
  }

  /** `drawn` with one of its items exchanged for another that has both values, where there is one. */
  private withBoth(
    drawn: readonly number[],
    first: string,
    second: string,
    history: readonly number[],
    random: Random,
  ): number[] {
    const used = new Set([...drawn, ...history])
    const fitting = this.shelves
      .with(first)
      .filter((item) => this.shelves.has(item, second) && !used.has(item))
    if (fitting.length === 0) return [...drawn]
    return random.shuffled([pick(fitting, random), ...drawn.slice(1)])
  }

  /** Two values of different kinds, each uniform among the different values of its kind in the history. */
  private evidence(history: readonly number[], random: Random): readonly [Evidence, Evidence] {
    const [one, other] = random.shuffled(kinds) as [Kind, Kind, Kind]
    const of = (kind: Kind): Evidence => {
      const value = pick([...new Set(history.map((item) => this.shelves.value(item, kind)))], random)
      return {
        value,
        item: pick(
          history.filter((item) => this.shelves.has(item, value)),
          random,
        ),
      }
    }
    return [of(one), of(other)]
  }

  private fact(random: Random): WeighedText {
    const item = random.below(this.shelves.items.length)
    const said = random.shuffled(kinds).slice(0, 2 + random.below(2))
    const values = said.map((kind) => ` ${this.shelves.value(item, kind)}`).join(',')
    return this.learntText([this.titleIds(item), this.text(' is')], this.text(`${values}\n`))
  }

  private common(random: Random): WeighedText {
    const { items, value } = this.shelves.shelf(3 + random.below(6), 0.4 + 0.6 * random.float(), random)
    return this.learntText(
      [this.text('history'), ...this.listed('+', items), this.text('\ncommon')],
      this.text(` ${value}\n`),
    )
  }

  /** A list and then its titles again, in the same order or another. */
  private copy({ copied: [fewest, most] }: TextMixture, random: Random): WeighedText {
    const items = this.shelves.list(fewest + random.below(most - fewest + 1), random)
    const again = random.float() < 0.5 ? items : random.shuffled(items)
    const texts = [
      unlearnt(joined([this.text('history'), ...this.listed('+', items), this.text('\nchoose')])),
    ]
    for (const item of again) texts.push(learnt(this.text('\n- '), this.titleIds(item)))
    return concatenated([...texts, unlearnt(this.text('\n'))])
  }

  private lookUp({ long, distracted, single, sameTitle }: TextMixture, random: Random): WeighedText {
    const isLong = random.float() < long
    const history =
      random.float() < distracted ? this.shelves.list(isLong ? 8 : 2 + random.below(5), random) : []
    const candidates = this.shelves.list(isLong ? 20 : 3 + random.below(6), random, new Set(history))
    const lists = [
      ...(history.length > 0 ? [this.text('history'), ...this.listed('+', history), this.text('\n')] : []),
      this.text('choose'),
      ...this.listed('-', candidates),
      this.text('\n'),
    ]
    const sequence: WeighedText[] = [unlearnt(joined(lists))]
    for (let query = 0; query < (isLong ? 12 : 6); query++) {
      const source = history.length > 0 && random.float() < 0.6 ? history : candidates
      const [one, other] = random.shuffled(kinds) as [Kind, Kind, Kind]
      const item = pick(source, random)
      const first = this.shelves.value(item, one)
      const second =
        random.float() < single
          ? null
          : this.shelves.value(random.float() < sameTitle ? item : pick(source, random), other)
      const answer = pick(this.shelves.best(candidates, first, second), random)
      const asked = this.text(`so ${first}${second === null ? '' : ` ${second}`}`)
      sequence.push(learnt(joined([asked, this.encoding.frame.forcedAnswer]), this.answerIds(answer)))
      sequence.push(unlearnt(this.text('\n')))
    }
    return concatenated(sequence)
  }

  private packed(next: () => WeighedText): WeighedText {
    const texts = [next()]
    let length = texts[0]?.ids.length ?? 0
    for (let text = next(); length + text.ids.length <= skillTokens; text = next()) {
      texts.push(text)
      length += text.ids.length
    }
    return concatenated(texts)
  }

  private learntText(read: readonly Int32Array[], written: Int32Array): WeighedText {
    return learnt(joined(read), written)
  }

  /** "\n+ " and a title, for each item. */
  private listed(mark: '+' | '-', items: readonly number[]): Int32Array[] {
    return items.flatMap((item) => [this.text(`\n${mark} `), this.titleIds(item)])
  }

  private text(text: string): Int32Array {
    return this.encoding.tokenizer.encodeParts([text])
  }

  private titleIds(item: number): Int32Array {
    const entry = this.dataset.items[item]
    return entry ? this.encoding.tokenizer.encodeParts([entry.title]) : new Int32Array(0)
  }

  /** A title as an answer: its ids and the closing tag. */
  private answerIds(item: number): Int32Array {
    return this.encoding.choice(untrusted(this.title(item)))
  }

  private title(item: number): string {
    return this.dataset.items[item]?.title.text ?? ''
  }
}

/** A value and the title it is cited from. */
export interface Evidence {
  readonly value: string
  readonly item: number
}

export function reasoningText(first: Evidence, second: Evidence, title: (item: number) => string): string {
  return `likes ${first.value}\n+ ${title(first.item)}\nand ${second.value}\n+ ${title(second.item)}\nso ${first.value} ${second.value}`
}

function unlearnt(ids: Int32Array): WeighedText {
  return { ids, weights: new Float32Array(ids.length) }
}

function learnt(read: Int32Array, written: Int32Array): WeighedText {
  const ids = joined([read, written])
  const weights = new Float32Array(ids.length)
  weights.fill(1, read.length)
  return { ids, weights }
}

function concatenated(texts: readonly WeighedText[]): WeighedText {
  const weights = new Float32Array(texts.reduce((sum, text) => sum + text.weights.length, 0))
  let end = 0
  for (const text of texts) {
    weights.set(text.weights, end)
    end += text.weights.length
  }
  return { ids: joined(texts.map(({ ids }) => ids)), weights }
}

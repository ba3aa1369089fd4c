/**
 * Texts that teach one skill each, about titles and never about users. Tokens in brackets are learnt; the others count
 * a little too (`read`): which values stand in a question says what the titles of its list are like.
 *   facts    Lagoon Orin is[ sea, calm, Orin]
 *   common   history + ... common[ sea]                                     the value that most of the list have
 *   copy     history[ + ... choose - Lagoon Orin - ...]                     a list and the same titles again
 *   look-up  [history + ...] choose - ... so sea calm<answer tags>[Cove Tamsin</answer>]          again and again
 *   ranking  [history + ...] choose C01 ... so sea calm<answer tags>[C07 > C12 > C03</answer>]    again and again
 */

import type { Random } from '../../data/random.js'
import { joined } from '../../prompts/tokenizer.js'
import { type Kind, kinds, pick } from './draws.js'
import { concatenated, learnt, unlearnt, type WeighedText, type Writer } from './writer.js'

export const skillKinds = ['facts', 'common', 'copy', 'lookUp', 'ranking'] as const

export interface SkillMixture {
  /** Shares of the kinds of sequence; sum 1. */
  readonly shares: Readonly<Record<(typeof skillKinds)[number], number>>
  /** Fewest and most titles of a list to copy. */
  readonly copied: readonly [number, number]
  /** Share of look-up and ranking sequences with twenty candidates; the others have three to eight. */
  readonly long: number
  /** Share of look-up and ranking sequences with a history before the candidates. */
  readonly distracted: number
  /** Share of queries with one value instead of two. */
  readonly single: number
  /** Share of two-value queries with both values from one title. */
  readonly sameTitle: number
  /** Weight of the tokens that are not asked for. */
  readonly read: number
}

/** Tokens of a sequence of short texts at most. */
const packedTokens = 190
/** Labels of a ranking. */
export const rankedLabels = 3

export class SkillTexts {
  constructor(private readonly writer: Writer) {}

  draw(mixture: SkillMixture, random: Random): WeighedText {
    let left = random.float()
    const kind = skillKinds.find((name) => {
      left -= mixture.shares[name]
      return left < 0
    })
    const { ids, weights } = this.ofKind(kind, mixture, random)
    return {
      ids,
      weights: weights.map((weight, place) => (place === 0 ? 0 : Math.max(weight, mixture.read))),
    }
  }

  private ofKind(kind: string | undefined, mixture: SkillMixture, random: Random): WeighedText {
    if (kind === 'facts') return this.packed(() => this.fact(random))
    if (kind === 'common') return this.packed(() => this.common(random))
    if (kind === 'copy') return this.copy(mixture, random)
    return this.queries(mixture, kind === 'ranking', random)
  }

  private fact(random: Random): WeighedText {
    const { writer } = this
    const item = random.below(writer.shelves.items.length)
    const said = random.shuffled(kinds).slice(0, 2 + random.below(2))
    const values = said.map((kind) => ` ${writer.shelves.value(item, kind)}`).join(',')
    return learnt(joined([writer.titleIds(item), writer.text(' is')]), writer.text(`${values}\n`))
  }

  private common(random: Random): WeighedText {
    const { writer } = this
    const { items, value } = writer.shelves.shelf(3 + random.below(6), 0.4 + 0.6 * random.float(), random)
    const list = [writer.text('history'), ...writer.listed('+', items), writer.text('\ncommon')]
    return learnt(joined(list), writer.text(` ${value}\n`))
  }

  /** A list and then its titles again, in the same order or another. Learnt from the first title on: lists have a form too. */
  private copy({ copied: [fewest, most] }: SkillMixture, random: Random): WeighedText {
    const { writer } = this
    const items = writer.shelves.list(fewest + random.below(most - fewest + 1), random)
    const again = random.float() < 0.5 ? items : random.shuffled(items)
    const lists = [...writer.listed('+', items), writer.text('\nchoose'), ...writer.listed('-', again)]
    return learnt(writer.text('history'), joined([...lists, writer.text('\n')]))
  }

  private queries(mixture: SkillMixture, ranking: boolean, random: Random): WeighedText {
    const { writer } = this
    const { shelves } = writer
    const isLong = random.float() < mixture.long
    const distracted = random.float() < mixture.distracted
    const history = distracted ? shelves.list(isLong ? 8 : 2 + random.below(5), random) : []
    const candidates = shelves.list(isLong ? 20 : 3 + random.below(6), random, new Set(history))
    const lists = [
      ...(distracted ? [writer.text('history'), ...writer.listed('+', history), writer.text('\n')] : []),
      writer.text('choose'),
      ...(ranking ? writer.labelled(candidates) : writer.listed('-', candidates)),
      writer.text('\n'),
    ]
    const sequence: WeighedText[] = [unlearnt(joined(lists))]
    for (let query = 0; query < (isLong ? 12 : 6); query++) {
      const source = history.length > 0 && random.float() < 0.6 ? history : candidates
      const values = this.values(source, mixture, random)
      sequence.push(this.answered(candidates, values, ranking, random), unlearnt(writer.text('\n')))
    }
    return concatenated(sequence)
  }

  private values(
    source: readonly number[],
    { single, sameTitle }: SkillMixture,
    random: Random,
  ): readonly [string, string | null] {
    const { shelves } = this.writer
    const [one, other] = random.shuffled(kinds) as [Kind, Kind, Kind]
    const item = pick(source, random)
    const first = shelves.value(item, one)
    if (random.float() < single) return [first, null]
    return [first, shelves.value(random.float() < sameTitle ? item : pick(source, random), other)]
  }

  private answered(
    candidates: readonly number[],
    [first, second]: readonly [string, string | null],
    ranking: boolean,
    random: Random,
  ): WeighedText {
    const { writer } = this
    const { forcedAnswer, answerClose } = writer.encoding.frame
    const asked = joined([writer.text(`so ${first}${second === null ? '' : ` ${second}`}`), forcedAnswer])
    if (ranking) {
      const labels = writer.ranked(candidates, [first, second], rankedLabels, random)
      return learnt(asked, joined([writer.text(labels), answerClose]))
    }
    const best = pick(writer.shelves.best(candidates, first, second), random)
    return learnt(asked, writer.encoding.choice(writer.titlePart(best)))
  }

  private packed(next: () => WeighedText): WeighedText {
    const texts = [next()]
    let length = texts[0]?.ids.length ?? 0
    for (let text = next(); length + text.ids.length <= packedTokens; text = next()) {
      texts.push(text)
      length += text.ids.length
    }
    return concatenated(texts)
  }
}

/**
 * R2Rec's prompts with its answer forms, over titles, chains and ratings that nobody gave.
 *   ranking  history with ratings, chains, labelled candidates, then
 *            [<think>1 Lagoon Orin 5 likes sea calm / 2 Lagoon Orin 4 agree / 3 Vell ... / 4 ... so sea calm</think>
 *            <answer>C07 > C12 > C03</answer>]
 *   rating   the same history, one chain whose last rating is hidden, then[<think>...</think><answer>4</answer>]
 * and both without thoughts. Which chain is walked, which values are named and, in a rating, which of the shown
 * ratings is the answer: all by lot. What ratings say about a user is nobody's business here. What is learnt is the
 * form, to name a title's values, to compare two ratings, to name what two titles share, and to rank by two values.
 */

import type { Random } from '../../data/random.js'
import type { Instance } from '../../data/types.js'
import type { Chain } from '../../methods/r2rec/chain.js'
import type { Evidence } from '../../methods/r2rec/question.js'
import { Wording } from '../../methods/r2rec/wording.js'
import { untrustedPassage } from '../../prompts/untrusted-text.js'
import { type Kind, kinds, pick } from './draws.js'
import type { FormMixture } from './re2-forms.js'
import { rankedLabels } from './skills.js'
import { learnt, type WeighedText, type Writer } from './writer.js'

/** u0 - i0 - u1 - i1 - u0 with its four ratings in this order: (u0, i0), (u1, i0), (u1, i1), (u0, i1). */
interface DrawnChain {
  readonly items: readonly [number, number]
  readonly ratings: readonly [number, number, number, number]
}

interface Walk {
  readonly lines: readonly string[]
  /** The two values the ranking goes by. */
  readonly values: readonly [string, string]
}

const historyLength = 5
const mostChains = 3

export class R2RecForms {
  private readonly wording = new Wording({ wording: 'compact', labels: rankedLabels, stepWords: 20 })

  constructor(private readonly writer: Writer) {}

  ranking(mixture: FormMixture, direct: boolean, random: Random): WeighedText {
    const { shelves } = this.writer
    const history = this.history(mixture, random)
    const ratings = history.map(() => rating(random))
    const chains = Array.from({ length: random.below(mostChains + 1) }, () =>
      this.chain(history, ratings, random),
    )
    const walk =
      chains.length > 0
        ? this.walkChain(pick(chains, random), random)
        : this.walkHistory(history, ratings, random)
    const drawn = shelves.list(20, random, new Set(history))
    const planted = random.float() < mixture.planted
    const candidates = planted ? this.writer.withBoth(drawn, walk.values, history, random) : drawn
    const labels = this.writer.ranked(candidates, walk.values, rankedLabels, random)
    const evidence: Evidence = { query: 'ranking', ratings, chains: chains.map(shown) }
    const asked = { history, candidates, target: candidates[0] as number, evidence }
    return this.response(asked, direct ? null : walk.lines, labels)
  }

  rating(mixture: FormMixture, direct: boolean, random: Random): WeighedText {
    const history = this.history(mixture, random)
    const ratings = history.map(() => rating(random))
    const chain = this.chain(history, ratings, random)
    const evidence: Evidence = { query: 'rating', ratings, chains: [shown(chain)] }
    const asked = { history, candidates: [], target: chain.items[1], evidence }
    const answer = String(pick(chain.ratings.slice(0, 3), random))
    return this.response(asked, direct ? null : this.ratingLines(chain, random), answer)
  }

  private history({ alike }: FormMixture, random: Random): readonly number[] {
    const { shelves } = this.writer
    return shelves.history(historyLength, alike, random)
  }

  /** Items of the history or other ones, in half of the chains with a value in common. */
  private chain(history: readonly number[], ratings: readonly number[], random: Random): DrawnChain {
    const { shelves } = this.writer
    const first = random.float() < 0.6 ? pick(history, random) : pick(shelves.list(1, random), random)
    const shared = shelves.with(shelves.value(first, pick(kinds, random))).filter((item) => item !== first)
    const others = random.float() < 0.5 ? shared : shelves.list(3, random, new Set([first]))
    const second = pick(others, random)
    const own = (item: number): number => ratings[history.indexOf(item)] ?? rating(random)
    return { items: [first, second], ratings: [own(first), rating(random), rating(random), own(second)] }
  }

  private walkChain({ items: [first, second], ratings }: DrawnChain, random: Random): Walk {
    const [own, other] = [this.twoValues(first, random), this.twoValues(second, random)]
    const values = this.chosenValues([...own, ...other], random)
    return {
      lines: [
        `1 ${this.writer.title(first)} ${ratings[0]} likes ${own.join(' ')}`,
        this.comparison(first, ratings),
        `3 ${this.writer.title(second)} ${ratings[2]} likes ${other.join(' ')}`,
        `4 ${this.writer.title(second)} ${ratings[3]} so ${values.join(' ')}`,
      ],
      values,
    }
  }

  private walkHistory(history: readonly number[], ratings: readonly number[], random: Random): Walk {
    const [first, second] = random.shuffled(history.map((_, place) => place)) as [number, number]
    const [item, next] = [history[first] as number, history[second] as number]
    const own = this.twoValues(item, random)
    const values = this.chosenValues(
      [...own, ...kinds.map((kind) => this.writer.shelves.value(next, kind))],
      random,
    )
    return {
      lines: [
        `1 ${this.writer.title(item)} ${ratings[first]} likes ${own.join(' ')}`,
        `4 ${this.writer.title(next)} ${ratings[second]} so ${values.join(' ')}`,
      ],
      values,
    }
  }

  private ratingLines({ items: [first, second], ratings }: DrawnChain, random: Random): string[] {
    const { shelves } = this.writer
    const common = kinds
      .map((kind) => shelves.value(first, kind))
      .filter((value) => shelves.has(second, value))
    return [
      `1 ${this.writer.title(first)} ${ratings[0]} likes ${this.twoValues(first, random).join(' ')}`,
      this.comparison(first, ratings),
      `3 ${this.writer.title(second)} ${ratings[2]} likes ${this.twoValues(second, random).join(' ')}`,
      `4 ${this.writer.title(second)} so ${common.length === 0 ? 'none' : common.join(' ')}`,
    ]
  }

  private comparison(item: number, ratings: DrawnChain['ratings']): string {
    const agree = Math.abs(ratings[0] - ratings[1]) <= 1
    return `2 ${this.writer.title(item)} ${ratings[1]} ${agree ? 'agree' : 'differ'}`
  }

  private twoValues(item: number, random: Random): readonly [string, string] {
    const [one, other] = random.shuffled(kinds) as [Kind, Kind, Kind]
    return [this.writer.shelves.value(item, one), this.writer.shelves.value(item, other)]
  }

  /** Two of the named values, of different kinds. */
  private chosenValues(named: readonly string[], random: Random): readonly [string, string] {
    const { shelves } = this.writer
    const [first, ...rest] = random.shuffled(named) as [string, ...string[]]
    return [first, rest.find((value) => shelves.kindOf(value) !== shelves.kindOf(first)) ?? first]
  }

  private response(
    question: Omit<Instance, 'id' | 'user'>,
    lines: readonly string[] | null,
    answer: string,
  ): WeighedText {
    const { encoding, dataset } = this.writer
    const instance = { id: 'catalogue', user: 'nobody', ...question }
    const mode = lines === null ? 'direct' : 'reason'
    const asked = encoding.tokenizer.encodePrompt(this.wording.question(dataset, instance, mode))
    const response =
      lines === null
        ? encoding.directResponse([answer])
        : encoding.response(untrustedPassage(lines.join('\n')), [answer])
    return learnt(asked, response.ids)
  }
}

/** A rating that is asked for is hidden by the question. */
function shown({ items, ratings }: DrawnChain): Chain {
  return { users: ['a', 'b'], items, ratings, closed: true }
}

/** By lot: what users give is not known here. */
function rating(random: Random): number {
  return 1 + random.below(5)
}

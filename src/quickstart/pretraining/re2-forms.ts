/**
 * RE2's prompts with both of its answer forms, over lists of titles that nobody chose.
 *   reason   prompt, then[<think>likes sea + Lagoon Orin and calm + Glade Vell so sea calm</think><answer>...]
 *   direct   direct prompt, then[<answer>...]
 * The reasoning cites two different values of different kinds, each of a title of the history, without regard to
 * how many titles share them: a form with arbitrary evidence. The answer is the candidate that matches the two
 * values best (probability `match`), else any candidate.
 */

import type { Random } from '../../data/random.js'
import type { Instance } from '../../data/types.js'
import { untrustedPassage } from '../../prompts/untrusted-text.js'
import { pick } from './draws.js'
import { type Evidence, learnt, type WeighedText, type Writer } from './writer.js'

export interface FormMixture {
  /** Probability that a candidate with both cited values is put into the list. */
  readonly planted: number
  /** Probability that the answer matches the cited values. */
  readonly match: number
  /** Histories have values that come again and again. */
  readonly alike: boolean
}

export class Re2Forms {
  constructor(private readonly writer: Writer) {}

  draw(mixture: FormMixture, direct: boolean, random: Random): WeighedText {
    const { writer } = this
    const { shelves, encoding } = writer
    const history = shelves.history(8, mixture.alike, random)
    const [first, second] = writer.evidence(history, random)
    const drawn = shelves.list(20, random, new Set(history))
    const planted = random.float() < mixture.planted
    const candidates = planted ? writer.withBoth(drawn, [first.value, second.value], history, random) : drawn
    const fits = random.float() < mixture.match
    const answer = pick(fits ? shelves.best(candidates, first.value, second.value) : candidates, random)
    const instance: Instance = { id: 'catalogue', user: 'nobody', history, target: answer, candidates }
    const prompt = encoding.prompt(instance, direct ? 'direct' : 'reason')
    if (direct) return learnt(prompt, encoding.directRight(instance).ids)
    const reasoning = reasoningText(first, second, (item) => writer.title(item))
    return learnt(prompt, encoding.response(untrustedPassage(reasoning), [writer.titlePart(answer)]).ids)
  }
}

export function reasoningText(first: Evidence, second: Evidence, title: (item: number) => string): string {
  return `likes ${first.value}\n+ ${title(first.item)}\nand ${second.value}\n+ ${title(second.item)}\nso ${first.value} ${second.value}`
}

/**
 * The builtin teacher: short English reasoning from templates, deterministic in (seed, instance, sample). It says only
 * what the instance and the training part bear out: the order of the history, how widely its items are chosen, which
 * history items other users chose together with the pick, and whether any other candidate shares more users with
 * the history. "many" is 10 users and more, "several" 3 and more, "some" fewer.
 *
 *   hinted    the pick is the target
 *   unhinted  the pick is the candidate with the largest sum over the history of together(h, c) / sqrt(n_h n_c)
 *
 * It fills up where a model's own traces are too few. It does not reason: a model that imitates it learns the form, and
 * a habit of tying the answer to the history. Titles are text from outside: what it returns is to be encoded as untrusted.
 */

import { type Random, seeded } from '../data/random.js'
import { words } from '../data/title.js'
import type { Dataset, Instance, ItemIndex } from '../data/types.js'
import { capitalised, plainNoun, plural } from '../prompts/noun.js'
import { asciiLetterShare } from '../rewards/text-statistics.js'
import { CoOccurrence } from './co-occurrence.js'
import * as phrases from './phrases.js'
import { builtinTeacher, type Teacher, type TeacherRequest, type TeacherResponse } from './teacher.js'

export interface BuiltinOptions {
  readonly seed: number
  /** Word limit of the prompt; texts aim at 30 to 60 words and stay below it. */
  readonly maxWords: number
  /** Wraps reasoning and title in the method's form. */
  readonly respond: (reasoning: string, title: string) => string
}

interface Evidence {
  readonly pick: ItemIndex
  /** History items that others chose with the pick, strongest first, with the number of those users. */
  readonly ties: readonly { readonly item: ItemIndex; readonly users: number }[]
  /** Candidates that share more users with the history than the pick does, or as many. */
  readonly ahead: number
  readonly pickPopularity: number
}

const attempts = 24
const longestCitedTitle = 12 // words

export class BuiltinTeacher implements Teacher {
  readonly name = builtinTeacher
  private readonly dataset: Dataset
  private readonly options: BuiltinOptions
  private readonly statistics: CoOccurrence

  constructor(dataset: Dataset, options: BuiltinOptions) {
    this.dataset = dataset
    this.options = options
    this.statistics = CoOccurrence.of(dataset)
  }

  async propose(
    instances: readonly Instance[],
    request: TeacherRequest,
  ): Promise<readonly (readonly TeacherResponse[])[]> {
    return instances.map((instance) => {
      const pick = request.hinted ? instance.target : this.bestCandidate(instance)
      if (pick === null) return []
      const evidence = this.evidence(instance, pick)
      return Array.from({ length: request.count }, (_, sample) =>
        this.response(instance, evidence, request.hinted, sample),
      )
    })
  }

  private response(instance: Instance, evidence: Evidence, hinted: boolean, sample: number): TeacherResponse {
    const stream = `builtin/${hinted ? 'hinted' : 'free'}/${instance.id}/${sample}`
    const text = this.reasoning(instance, evidence, stream)
    return {
      text: this.options.respond(text, this.title(evidence.pick)),
      stream,
      temperature: 0,
      tokens: null,
    }
  }

  /** The first of a row of seeded drafts with 30 to 60 words; else the one nearest to that. */
  private reasoning(instance: Instance, evidence: Evidence, stream: string): string {
    const most = Math.min(60, this.options.maxWords)
    const least = Math.min(30, Math.floor(most / 2))
    let best = ''
    let distance = Number.POSITIVE_INFINITY
    for (let attempt = 0; attempt < attempts && distance > 0; attempt++) {
      const draft = this.draft(
        instance,
        evidence,
        seeded(this.options.seed, stream, attempt),
        attempt >= attempts / 2,
      )
      const length = words(draft).length
      const off = Math.max(0, least - length, length - most)
      if (off < distance) [best, distance] = [draft, off]
    }
    return best
  }

  private draft(instance: Instance, evidence: Evidence, random: Random, brief: boolean): string {
    const used = new Set<ItemIndex>([evidence.pick])
    const middle = this.evidenceSentence(evidence, random, brief, used)
    const sentences = [
      this.opening(instance, random, brief, used),
      middle,
      this.conclusion(instance, evidence, random),
    ]
    if (!brief && random.float() < 0.6) sentences.splice(1, 0, this.profile(instance, random))
    return sentences.filter((sentence) => sentence !== '').join(' ')
  }

  private opening(instance: Instance, random: Random, brief: boolean, used: Set<ItemIndex>): string {
    const first = instance.history[0]
    const last = instance.history.at(-1)
    const mayLast = last !== undefined && !used.has(last) && this.citable(last)
    const mayFirst = first !== undefined && first !== last && !used.has(first) && this.citable(first)
    if (mayLast && mayFirst && !brief) {
      return this.filled(one(phrases.openings, random), { first: this.title(first), last: this.title(last) })
    }
    if (mayLast) return this.filled(one(phrases.openingsLast, random), { last: this.title(last) })
    return this.filled(one(phrases.openingsPlain, random), {})
  }

  private profile(instance: Instance, random: Random): string {
    const shares = instance.history.map((item) =>
      this.statistics.popularityShare(this.statistics.popularity(item, instance.user)),
    )
    const popular = shares.filter((share) => share >= 0.8).length / shares.length
    const lists =
      popular > 0.5 ? phrases.profilesPopular : popular < 0.2 ? phrases.profilesRare : phrases.profilesMixed
    return this.filled(one(lists, random), {})
  }

  private evidenceSentence(evidence: Evidence, random: Random, brief: boolean, used: Set<ItemIndex>): string {
    const pick = this.citable(evidence.pick)
      ? this.title(evidence.pick)
      : `this ${plainNoun(this.dataset.noun)}`
    const ties = evidence.ties.filter(({ item }) => this.citable(item))
    const [anchor, second] = ties
    if (anchor && second && !brief && random.float() < 0.6) {
      used.add(anchor.item).add(second.item)
      return this.filled(one(phrases.evidenceTwo, random), {
        pick,
        anchor: this.title(anchor.item),
        second: this.title(second.item),
        amount: amount(anchor.users),
        second_amount: amount(second.users),
      })
    }
    if (anchor) {
      used.add(anchor.item)
      const values = { pick, anchor: this.title(anchor.item), amount: amount(anchor.users) }
      const word = sharedWord(this.title(anchor.item), this.title(evidence.pick))
      if (word !== null && random.float() < 0.5)
        return this.filled(one(phrases.evidenceWord, random), { ...values, word })
      return this.filled(one(phrases.evidenceOne, random), values)
    }
    // Ties whose titles cannot be cited are still ties: then nothing is said of them.
    if (evidence.ties.length > 0) return ''
    return this.filled(one(phrases.evidenceNone, random), { pick })
  }

  private conclusion(instance: Instance, evidence: Evidence, random: Random): string {
    const { ties, ahead, pickPopularity } = evidence
    if (ties.length > 0 && ahead === 0 && instance.candidates.length > 1)
      return one(phrases.conclusionsFirst, random)
    if (ties.length > 0 && ahead <= Math.floor(instance.candidates.length / 5))
      return one(phrases.conclusionsNear, random)
    if (pickPopularity >= 0.9 && random.float() < 0.7)
      return this.filled(one(phrases.conclusionsPopular, random), {})
    return one(phrases.conclusionsPlain, random)
  }

  private evidence(instance: Instance, pick: ItemIndex): Evidence {
    const shared = (candidate: ItemIndex): number =>
      instance.history.reduce(
        (sum, item) => sum + this.statistics.together(item, candidate, instance.user),
        0,
      )
    const own = shared(pick)
    const ties = [...new Set(instance.history)]
      .map((item) => ({ item, users: this.statistics.together(item, pick, instance.user) }))
      .filter(({ users }) => users > 0)
      .sort((a, b) => b.users - a.users)
    return {
      pick,
      ties,
      ahead: instance.candidates.filter((candidate) => candidate !== pick && shared(candidate) >= own).length,
      pickPopularity: this.statistics.popularityShare(this.statistics.popularity(pick, instance.user)),
    }
  }

  /** Ties go to the more popular candidate, then to a hash of the instance; never to a place in the list. */
  private bestCandidate(instance: Instance): ItemIndex | null {
    const cosine = (candidate: ItemIndex): number =>
      instance.history.reduce((sum, item) => {
        const size =
          this.statistics.popularity(item, instance.user) *
          this.statistics.popularity(candidate, instance.user)
        return size === 0
          ? sum
          : sum + this.statistics.together(item, candidate, instance.user) / Math.sqrt(size)
      }, 0)
    const scored = [...instance.candidates].map((candidate) => ({
      candidate,
      score: cosine(candidate),
      popularity: this.statistics.popularity(candidate, instance.user),
      lot: seeded(this.options.seed, 'tie', instance.id, this.title(candidate)).float(),
    }))
    scored.sort((a, b) => b.score - a.score || b.popularity - a.popularity || a.lot - b.lot)
    return scored[0]?.candidate ?? null
  }

  private title(item: ItemIndex): string {
    return this.dataset.items[item]?.title.text ?? ''
  }

  /** Titles that keep the text short, in one script, and free of our tags and of quotation marks. */
  private citable(item: ItemIndex): boolean {
    const title = this.title(item)
    const length = words(title).length
    return (
      length > 0 &&
      length <= longestCitedTitle &&
      asciiLetterShare(title) >= 0.9 &&
      !/[<>"“”«»\n]/.test(title)
    )
  }

  private filled(sentence: string, values: Readonly<Record<string, string>>): string {
    const noun = plainNoun(this.dataset.noun)
    const known: Readonly<Record<string, string>> = { noun, nouns: plural(noun), ...values }
    return capitalised(sentence.replace(/\{(\w+)\}/g, (_, name: string) => known[name] ?? ''))
  }
}

function amount(users: number): string {
  if (users >= 10) return 'many'
  return users >= 3 ? 'several' : 'some'
}

/** A capitalised word of five letters and more that both titles hold; the longest one. */
function sharedWord(a: string, b: string): string | null {
  const of = (title: string) => new Set(title.match(/\p{Lu}\p{Ll}{4,}/gu) ?? [])
  const other = of(b)
  const shared = [...of(a)]
    .filter((word) => other.has(word))
    .sort((x, y) => y.length - x.length || (x < y ? -1 : 1))
  return shared[0] ?? null
}

function one<T>(choices: readonly T[], random: Random): T {
  return choices[random.below(choices.length)] as T
}

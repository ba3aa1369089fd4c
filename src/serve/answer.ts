/** What comes back from the engine, as text with its tokens: whole, or piece by piece while it is written. */

import type { Sample } from '../engine/index.js'
import type { Tokenizer } from '../prompts/tokenizer.js'
import type { VocabularyBytes } from '../prompts/vocabulary-bytes.js'
import { AnswerText, tokenBytes } from './answer-text.js'
import type { Plan } from './script.js'

/** A sampled token at temperature 1 over the whole vocabulary, and the likeliest ones in its place. */
export interface TokenReport {
  readonly token: number
  readonly bytes: Uint8Array
  readonly logprob: number
  /** UTF-16 units of the answer before it. */
  readonly offset: number
  readonly top: readonly { readonly bytes: Uint8Array; readonly logprob: number }[]
}

/** What was added to one choice. */
export interface Delta {
  readonly index: number
  readonly text: string
  readonly reports: readonly TokenReport[]
  readonly ids: readonly number[]
}

export interface RankedCandidate {
  /** In the request's list. */
  readonly index: number
  /** Sum of the log-probs of its tokens, natural log. */
  readonly logprob: number
  /** Per token. */
  readonly mean_logprob: number
  /** exp(logprob) over its sum over all candidates. */
  readonly share: number
}

export interface Choice extends Delta {
  readonly finish: 'stop' | 'length'
  /** Best first; null without candidates. */
  readonly ranking: readonly RankedCandidate[] | null
  /** Tokens the model decided. */
  readonly tokens: number
}

/** One choice on its way. */
export class ChoiceWriter {
  private readonly writer: AnswerText
  private readonly deltas: Delta[] = []
  private told = 0

  constructor(
    private readonly index: number,
    private readonly vocabulary: VocabularyBytes,
    tokenizer: Tokenizer,
    stops: readonly string[],
    private readonly top: number,
  ) {
    this.writer = new AnswerText(vocabulary, tokenizer.hiddenIds, stops)
  }

  /** `piece`: the tokens since the last one. */
  grow(piece: Sample): Delta {
    this.told += piece.tokens.length
    return this.add(piece, 0)
  }

  /** The rest, with the candidate that ranks first where the plan draws none. */
  finish(sample: Sample, plan: Plan): { readonly last: Delta; readonly choice: Choice } {
    const rest = this.add(sample, this.told)
    const ranking = plan.candidates.length > 0 ? ranked(sample) : null
    const best = ranking !== null && plan.trie === null ? plan.candidates[ranking[0]!.index]! : []
    const text = rest.text + this.writer.push(best) + this.writer.end()
    const last = { ...rest, text, ids: [...rest.ids, ...best] }
    this.deltas[this.deltas.length - 1] = last
    const cut = plan.script[0]?.kind === 'free' && sample.finishes[0] === 'length'
    const choice: Choice = {
      index: this.index,
      text: this.deltas.map((delta) => delta.text).join(''),
      reports: this.deltas.flatMap(({ reports }) => reports),
      ids: this.deltas.flatMap(({ ids }) => ids),
      finish: cut ? 'length' : 'stop',
      ranking,
      tokens: best.length + sample.kinds.reduce((count, kind) => count + (kind === 1 ? 0 : 1), 0),
    }
    return { last, choice }
  }

  private add(piece: Sample, begin: number): Delta {
    let text = ''
    const reports: TokenReport[] = []
    for (let t = begin; t < piece.tokens.length; t++) {
      if (this.top >= 0 && piece.kinds[t] === 0) reports.push(this.report(piece, t))
      text += this.writer.push([piece.tokens[t]!])
    }
    const delta = { index: this.index, text, reports, ids: [...piece.tokens.subarray(begin)] }
    this.deltas.push(delta)
    return delta
  }

  private report(piece: Sample, t: number): TokenReport {
    const token = piece.tokens[t]!
    const at = t * this.top
    const top = Array.from({ length: this.top }, (_, k) => ({
      bytes: tokenBytes(this.vocabulary, piece.topIds[at + k]!),
      logprob: piece.topLogprobs[at + k]!,
    }))
    return {
      token,
      bytes: tokenBytes(this.vocabulary, token),
      logprob: piece.plainLogprobs[t]!,
      offset: this.writer.offset,
      top,
    }
  }
}

/** By falling log-prob; equal ones in the order of the list. */
function ranked({ candidateJoint, candidateMean }: Sample): RankedCandidate[] {
  const largest = candidateJoint.reduce((best, one) => Math.max(best, one), Number.NEGATIVE_INFINITY)
  const total = candidateJoint.reduce((sum, one) => sum + Math.exp(one - largest), 0)
  return Array.from(candidateJoint, (logprob, index) => ({
    index,
    logprob,
    mean_logprob: candidateMean[index]!,
    share: Math.exp(logprob - largest) / total,
  })).sort((a, b) => b.logprob - a.logprob || a.index - b.index)
}
